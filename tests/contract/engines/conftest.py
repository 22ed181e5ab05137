"""Every engine, for the suite of its Protocol."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.conftest import ORDER
from tests.support import daemons
from tests.support.runs import Channel, Stage
from tests.support.stages.docker import docker, podman
from tests.support.stages.kubernetes import kubernetes
from tests.support.stages.sandbox import sandbox


class Set(NamedTuple):
    """How the suite sets up an engine."""

    #: Its name in ``cove.engines.ENGINES``.
    kind: str
    open: Callable[[Path, Channel], contextlib.AbstractAsyncContextManager[Stage]]
    #: Whether it has a far end that may not answer: then its stage has ``silenced``.
    distant: bool = False


STAGES = {
    "docker": Set("docker", docker, distant=True),
    "podman": Set("docker", podman, distant=True),
    "sandbox": Set("sandbox", sandbox),
    "kubernetes": Set("kubernetes", kubernetes, distant=True),
}
"""The whole suite runs on each; a kind of engine that has several far ends is here once for each of them."""


@pytest.fixture
def kinds() -> frozenset[str]:
    """The kinds of engines that this suite can set up."""
    return frozenset(one.kind for one in STAGES.values())


def _is_ours(item: pytest.Item) -> bool:
    return Path(__file__).parent in item.path.parents


@pytest.fixture(scope="session", autouse=True)
def _no_daemon_stays() -> Iterator[None]:
    yield
    daemons.end_all()


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    made = Channel(tmp_path / "channel")
    yield made
    made.close()


def _chosen(*, distant: bool = False) -> list[str]:
    """Name the engines that this run of the suite is about: a cluster is brought up for ``make test-kubernetes`` alone."""
    clusters = os.environ.get("COVE_TEST_KUBERNETES") == "1"
    return sorted(
        name for name, one in STAGES.items() if (one.distant or not distant) and (clusters or one.kind != "kubernetes")
    )


@pytest.fixture(params=_chosen())
async def stage(request: pytest.FixtureRequest, tmp_path: Path, channel: Channel) -> AsyncIterator[Stage]:
    """A started engine; in the end nothing of its runs is left."""
    async with STAGES[request.param].open(tmp_path, channel) as made:
        made.listen()
        yield made


@pytest.fixture(params=_chosen(distant=True))
async def distant(request: pytest.FixtureRequest, tmp_path: Path, channel: Channel) -> AsyncIterator[Stage]:
    """A started engine that has a far end."""
    async with STAGES[request.param].open(tmp_path, channel) as made:
        made.listen()
        yield made


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the suite's tests in an order that is new each time (``tests/conftest.py``).

    What is for engines with a far end is dropped where none of them is tested: there is nothing that was skipped.
    """
    left_out = [item for item in items if _is_for_nobody(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    places = [place for place, item in enumerate(items) if _is_ours(item)]
    ours = [items[place] for place in places]
    random.Random(os.environ[ORDER]).shuffle(ours)  # noqa: S311 - no secret
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def _is_for_nobody(item: pytest.Item) -> bool:
    return "distant" in getattr(item, "fixturenames", ()) and "NOTSET" in item.name
