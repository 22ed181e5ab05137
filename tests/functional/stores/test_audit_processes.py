"""Two processes write one chain (a service, and a command beside it)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import postgresql

from cove.core.audit import Verification
from cove.stores import SqlJobStore
from cove.stores.audit import SqlAuditStore
from cove.stores.database import sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "cove.db")
        return
    with postgresql.server() as on, postgresql.database(on) as made:
        yield made.render_as_string(hide_password=False)


async def test_two_processes_keep_one_chain(url: str) -> None:
    script = Path(__file__).with_name("audit_process.py")
    both = [
        subprocess.Popen(  # noqa: ASYNC220 - nothing else waits for this loop
            [sys.executable, script, url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(120) for process in both] == [0, 0]
    for process in both:
        process.communicate()
    store = SqlJobStore(url)
    await store.start()
    log = SqlAuditStore(store)
    look = Verification()
    for record in await log.records():
        look.follow(record)
    look.end(await log.counted())
    await store.close()
    assert look.problems == []
    assert look.head.number == 190, "ten of either's records may stand there once"
