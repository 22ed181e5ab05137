"""What tests of every kind share."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import eth_account  # noqa: F401 - once, here: see below
import pytest

if TYPE_CHECKING:
    from tests.chain import Ocean


# py_ecc, which eth_account imports, raises the limit, and deep JSON then ends the process; see cove.client.wallet.
sys.setrecursionlimit(1000)


@pytest.fixture(scope="session")
def ocean() -> Iterator[Ocean]:
    """A chain with Ocean's contracts; tests share it, so each publishes its own assets."""
    pytest.importorskip("cove.ledgers.devchain", reason="the in-process chain needs: pip install 'cove[demo]'")
    from tests.chain import make_ocean  # noqa: PLC0415 - the chain takes a second to import

    made = make_ocean()
    yield made
    asyncio.run(made.chain.close())


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail where every part should be there and a test was skipped all the same (``.ci/run``)."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [] if reporter is None else reporter.stats.get("skipped", [])
    # What can only be seen as another user than root is no missing part.
    if os.environ.get("COVE_TEST_NO_SKIPS") and [
        report for report in skipped if "root may" not in str(report.longrepr)
    ]:
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
