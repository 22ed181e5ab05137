"""How pytest-xdist deals tests out, where one of its processes ends before its tests do.

Version 3.8.0 then waits for ever: a process that takes another's place is given a single test and begins it when it has
a second one, and tests that were done are dealt out again, as nothing (pytest-dev/pytest-xdist#1327, #1378). The test
that ended the process is not begun again either: it would end the next one (#1371). Groups it writes into a test's name
where pytest 9.2 does not read them, and deals their tests out one by one (#1386).

Also a plugin: ``pytest -p tests.support.scheduling``.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import pytest
from _pytest.nodeid import NodeId
from xdist.scheduler import LoadGroupScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

_NEEDED = 2
"""Tests that a process must have been given to begin the first of them; or be told that there are no more."""


class Scheduling(LoadGroupScheduling):
    """Deals out what one process is to run in one piece, and goes on without a process that ended."""

    def remove_node(self, node: WorkerController) -> str | None:
        """Deal out again what a process that ended has not done, and give the test that it was at."""
        work = self.assigned_work.pop(node)
        at = next((test for unit in work.values() for test, is_done in unit.items() if not is_done), None)
        for scope, unit in work.items():
            left = {test: False for test, is_done in unit.items() if not is_done and test != at}
            if left:
                self.workqueue[scope] = left
        if at is not None:
            for other in self.nodes:
                self._reschedule(other)
        return at

    def _reschedule(self, node: WorkerController) -> None:
        if node not in self.registered_collections:  # it has yet to say which tests it knows, or knows others
            return
        super()._reschedule(node)
        while self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) < _NEEDED:
            self._assign_work_unit(node)
        if not self.workqueue and self._pending_of(self.assigned_work[node]) < _NEEDED:
            node.shutdown()


def name_groups(items: Sequence[pytest.Item]) -> None:
    """Let the names of tests say their groups, where pytest-xdist has told them apart."""
    for item in items:
        if (name := vars(item).get("_nodeid")) is not None:
            item._id = NodeId.parse(name)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Do so when pytest-xdist has looked at all tests."""
    yield
    name_groups(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Take this one's part of ``--dist loadgroup``."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadgroup" else None
