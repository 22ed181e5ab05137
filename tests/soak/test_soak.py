"""The short form of ``make soak``; its seed is told, and ``python -m tests.soak --seed`` does the same again."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.soak import checks, soak
from tests.soak.house import House, small_disk
from tests.soak.kinds import make
from tests.support import daemons

SECONDS = 12.0
WITH_DOCKER = (
    os.environ.get("COVE_TEST_DAEMONS") != "0"
    and os.getuid() == 0
    and all(shutil.which(name) for name in ("dockerd", "runc", "busybox"))
)


@pytest.fixture(scope="module", params=["sandbox and docker" if WITH_DOCKER else "sandbox"])
def daemon(request: pytest.FixtureRequest) -> Iterator[daemons.Daemon | None]:
    yield daemons.docker() if WITH_DOCKER else None
    daemons.end_all()


async def test_nothing_is_lost_or_left_while_all_around_fails(daemon: daemons.Daemon | None) -> None:
    report = await soak.soak(secrets.randbits(32), SECONDS, daemon)
    assert not report.findings, str(report)


def test_a_seed_says_all_that_is_done() -> None:
    first, again = (soak.plan(7, 600.0, docker=True, disk=True) for _ in range(2))
    assert first == again
    assert {event.what for event in first} >= {*soak.TROUBLES, *soak.KINDS}


async def test_a_second_run_of_a_job_is_seen(daemon: daemons.Daemon | None, tmp_path: Path) -> None:
    folder = soak.made_in(tmp_path)
    with small_disk(folder / "state"):
        await _hold_locks(House(folder, soak.free_port(), daemon))


async def _hold_locks(house: House) -> None:
    daemon = house.daemon
    await house.open()
    for number, where in enumerate(["default"] if daemon is None else ["default", "containers"]):
        placed, package = make(number, "good", where, house.owner.address, house.vault)
        (house.folder / "data" / placed.job.id).write_text("held as by another run")
        with (house.folder / "data" / placed.job.id).open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            house.placed[placed.job.id] = placed
            await house.store.add(placed.job, package)
            assert await house.settled(120)
        (finding,) = [found for found in await checks.of_jobs(house) if placed.job.id in found]
        assert finding.endswith("two runs of it at the same time")
    await house.close()
    await house.store.close()
    assert checks.of_place(house) == []
