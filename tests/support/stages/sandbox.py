"""The sandbox, for the suite of the Engine Protocol."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.runs import Channel, Stage

from cove.engines import opener
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
        enforced=frozenset({"inodes", *(name for name in ("memory", "pids", "cpu") if findings[f"cgroups {name}"].ok)}),
        channel=channel,
        folder=folder,
    )
    yield stage
    try:
        await stage.forget()
    finally:
        await stage.engine.close()
