"""Sandboxes of other settings than the suite of the Engine Protocol has."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import Channel, Stage

from cove.engines.sandbox import ImageSource, SandboxConfig, SandboxEngine, host


@contextlib.asynccontextmanager
async def sandbox(folder: Path, channel: Channel, **settings: Any) -> AsyncIterator[Stage]:
    """Give a started sandbox, of whose runs nothing is left in the end.

    Args:
        folder: What it keeps lies below.
        channel: For its runs.
        settings: What differs from the usual ``SandboxConfig``.
    """
    root = folder / "engine"

    def again() -> SandboxEngine:
        return SandboxEngine(SandboxConfig(root, {"host": ImageSource("host")}, **settings))

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
        cripple=lambda: None,
        enforced=frozenset(name for name in ("memory", "pids", "cpu") if findings[f"cgroups {name}"].ok),
        channel=channel,
        folder=folder,
    )
    stage.listen()
    try:
        yield stage
        await stage.forget()
    finally:
        await stage.engine.close()
