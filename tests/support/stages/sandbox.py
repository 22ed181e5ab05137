"""The sandbox, for the suite of the Engine Protocol."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support import sandboxes
from tests.support.runs import Channel, Stage

from cove.ports import ImageSource

CHECKSUM = f"sha256:{'ab' * 32}"


@contextlib.asynccontextmanager
async def sandbox(folder: Path, channel: Channel) -> AsyncIterator[Stage]:
    images = {
        "host": ImageSource("host"),
        "sealed": ImageSource("host", checksum=CHECKSUM),
        "gone": ImageSource("rootfs", str(folder / "gone")),
        "small:1": ImageSource("rootfs", str(folder / "small")),
    }
    async with sandboxes.sandbox(folder, channel, images) as stage:
        yield stage
