"""Every engine, for the suite of its Protocol."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.support.runs import Channel, Stage

from cove.engines import ENGINES, opener
from cove.engines.sandbox import SandboxEngine, host
from cove.ports import Engine, EnginePlace, ImageSource

CHECKSUM = f"sha256:{'ab' * 32}"


@contextlib.asynccontextmanager
async def sandbox(folder: Path, channel: Channel) -> AsyncIterator[Stage]:
    images = {
        "host": ImageSource("host"),
        "sealed": ImageSource("host", checksum=CHECKSUM),
        "gone": ImageSource("rootfs", str(folder / "gone")),
        "small:1": ImageSource("rootfs", str(folder / "small")),
    }
    root = folder / "engine"

    def again() -> Engine:
        return opener("sandbox")(EnginePlace("sandbox", root, images))

    def cripple() -> None:
        assert isinstance(stage.engine, SandboxEngine)
        assert stage.engine._keeper is not None
        stage.engine._keeper.kill()

    engine = again()
    await engine.start()
    findings = {finding.part: finding for finding in await engine.examine()}
    if not findings["sandbox"].ok:
        await engine.close()
        pytest.skip(f"{findings['sandbox'].seen}: {findings['sandbox'].advice}")
    stage = Stage(
        engine=engine,
        again=again,
        lose=lambda run: host.signal_holder(root / run / "exit.tmp", signal.SIGKILL),
        cripple=cripple,
        enforced=frozenset(name for name in ("memory", "pids", "cpu") if findings[f"cgroups {name}"].ok),
        channel=channel,
        folder=folder,
    )
    yield stage
    try:
        await stage.forget()
    finally:
        await stage.engine.close()


STAGES: dict[str, Callable[[Path, Channel], contextlib.AbstractAsyncContextManager[Stage]]] = {"sandbox": sandbox}
"""By the name in ``cove.engines.ENGINES``: how the suite sets up an engine."""


@pytest.fixture
def stages() -> frozenset[str]:
    """The engines that this suite can set up."""
    return frozenset(STAGES)


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    made = Channel(tmp_path / "channel")
    yield made
    made.close()


@pytest.fixture(params=sorted(ENGINES))
async def stage(request: pytest.FixtureRequest, tmp_path: Path, channel: Channel) -> AsyncIterator[Stage]:
    """A started engine; in the end nothing of its runs is left."""
    if request.param not in STAGES:
        pytest.fail(f"the suite does not set up the engine {request.param!r}: add it to STAGES")
    async with STAGES[request.param](tmp_path, channel) as made:
        made.listen()
        yield made
