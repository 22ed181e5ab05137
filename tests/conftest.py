"""What tests of every kind share."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import eth_account  # noqa: F401 - once, here: see below
import hypothesis
import pytest
from tests.support.scheduling import name_groups, pytest_xdist_make_scheduler  # noqa: F401 - the second is a hook

if TYPE_CHECKING:
    from tests.chain import Ocean


# py_ecc, which eth_account imports, raises the limit, and deep JSON then ends the process; see cove.client.wallet.
sys.setrecursionlimit(1000)

# Nothing is measured by the clock on a machine that others use too. Where the tests decide (``.ci/run``), they are the
# same ones each time; elsewhere the examples are new ones in each run.
hypothesis.settings.register_profile(
    "cove",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="COVE_TEST_NO_SKIPS" in os.environ,
    print_blob=True,
)
hypothesis.settings.load_profile("cove")

#: The variable that repeats an order in which the engines' suite was run.
ORDER = "COVE_TEST_ORDER"


@pytest.fixture(scope="session")
def ocean() -> Iterator[Ocean]:
    """A chain with Ocean's contracts; tests share it, so each publishes its own assets."""
    pytest.importorskip("cove.ledgers.devchain", reason="the in-process chain needs: pip install 'cove[demo]'")
    from tests.chain import make_ocean  # noqa: PLC0415 - the chain takes a second to import

    made = make_ocean()
    yield made
    asyncio.run(made.chain.close())


def pytest_configure() -> None:
    """Draw the order of the engines' suite; the processes of pytest-xdist inherit it."""
    os.environ.setdefault(ORDER, secrets.token_hex(4))


_OF_THE_CLUSTER = "functional/kubernetes"
#: Where tests of container daemons are; the daemon is a parameter, or else it is Docker.
_OF_DAEMONS = ("contract/engines", "functional/daemons", "functional/deploy", "soak")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Keep the tests of a daemon in one process, which starts it once, and those that break a cluster in one.

    pytest-xdist begins with large groups: these run beside all others.
    """
    for item in items:  # before pytest-xdist looks at the groups
        folder = _folder(item)
        if folder == _OF_THE_CLUSTER:
            item.add_marker(pytest.mark.xdist_group("cluster"))
        if folder in _OF_DAEMONS and (daemon := _daemon_of(item, folder)):
            item.add_marker(pytest.mark.xdist_group(daemon))
    yield
    name_groups(items)
    items.sort(key=_place)  # after the engines' suite was put in an order of its own


def _folder(item: pytest.Item) -> str:
    return item.path.parent.relative_to(Path(__file__).parent).as_posix()


def _place(item: pytest.Item) -> bool:
    """Put the engines' suite on a cluster last: its tests wait half of their time, and for those that want it alone."""
    values = getattr(getattr(item, "callspec", None), "params", {}).values()
    return "kubernetes" in map(str, values)


def _daemon_of(item: pytest.Item, folder: str) -> str | None:
    values = getattr(getattr(item, "callspec", None), "params", {}).values()
    names = {str(value).partition(" ")[0] for value in values} & {"docker", "podman"}
    usual = "docker" if folder != "contract/engines" or item.path.name.startswith("test_docker") else None
    return min(names, default=usual)


def pytest_report_header() -> str:
    return f"order of the engines' suite: {ORDER}={os.environ[ORDER]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once more, where a person looks, how a failed run is run again."""
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(pytest_report_header())


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail where every part should be there and a test was skipped all the same (``.ci/run``)."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [] if reporter is None else reporter.stats.get("skipped", [])
    # What can only be seen as another user than root is no missing part.
    if os.environ.get("COVE_TEST_NO_SKIPS") and [
        report for report in skipped if "root may" not in str(report.longrepr)
    ]:
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
