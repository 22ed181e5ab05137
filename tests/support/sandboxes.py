"""Started sandboxes."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import Channel, Stage

from cove.engines import opener
from cove.engines.sandbox import SandboxEngine, host
from cove.ports import Engine, EnginePlace, ImageSource

HOST = {"host": ImageSource("host")}


@contextlib.asynccontextmanager
async def sandbox(
    folder: Path, channel: Channel, images: Mapping[str, ImageSource] = HOST, **settings: Any
) -> AsyncIterator[Stage]:
    """Give a started sandbox, of whose runs nothing is left in the end.

    Args:
        folder: What it keeps lies below.
        channel: For its runs.
        images: That it knows.
        settings: What differs from the usual settings.
    """
    root = folder / "engine"

    def again() -> Engine:
        return opener("sandbox")(EnginePlace("sandbox", root, images, settings))

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
    stage.listen()
    try:
        yield stage
        await stage.forget()
    finally:
        await stage.engine.close()
