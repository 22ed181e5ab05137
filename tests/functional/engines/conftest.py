"""What the tests of single engines share, and the sandbox with images that are unpacked by the real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.images import BUSYBOX, an_image, busybox, write_layout
from tests.support.runs import PATIENCE, Channel, Finished, Told, a_run, contents

from cove.core.job import Container
from cove.core.lifecycle import Exited
from cove.engines.sandbox import SandboxConfig, SandboxEngine
from cove.images.store import DiskImages, StoreOptions
from cove.ports import ImageSource


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    made = Channel(tmp_path / "channel")
    yield made
    made.close()


@dataclass
class Kitchen:
    """Makes images, and runs them in a sandbox."""

    engine: SandboxEngine
    store: DiskImages
    images: dict[str, ImageSource]
    folder: Path

    async def ready(self, *layers: bytes, run: dict[str, Any] | None = None, entrypoint: str = "") -> Container:
        """Have an image of a shell and further layers made ready."""
        image = an_image(busybox(), *layers, run=run)
        name = f"kitchen/tool{len(self.images)}"
        path = write_layout(self.folder / name, (image, "1"))
        self.images[name] = ImageSource("archive", str(path))
        return await self.engine.prepare(Container(name, "1", image.digest, entrypoint), Told())

    async def finish(self, container: Container, script: str = "", **changes: Any) -> Finished:
        """Run it to its end."""
        run = replace(a_run(script.encode(), container=container, **changes))
        ended = asyncio.Event()
        self.engine.on_exit(lambda found: ended.set() if found == run.id else None)
        await self.engine.submit(run)
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
        seen = (await self.engine.observe([run.id]))[run.id]
        assert isinstance(seen, Exited)
        places = await self.engine.collect(run.id)
        log = (await self.engine.logs(run.id, 0, 1 << 20)).decode()
        return Finished(seen, log, contents(places.outputs), contents(places.logs))


@pytest.fixture
async def kitchen(tmp_path: Path) -> AsyncIterator[Kitchen]:
    if not BUSYBOX.exists():
        pytest.skip("no busybox here: apt-get install busybox-static")
    images: dict[str, ImageSource] = {}
    store = DiskImages(tmp_path / "images", StoreOptions(), tuple)
    engine = SandboxEngine(SandboxConfig(tmp_path / "engine", images, store))
    await engine.start()
    findings = {finding.part: finding for finding in await engine.examine()}
    try:
        if not findings["sandbox"].ok:
            pytest.skip(f"{findings['sandbox'].seen}: {findings['sandbox'].advice}")
        yield Kitchen(engine, store, images, tmp_path)
    finally:
        for run in await engine.runs():
            await engine.remove(run)
        await engine.close()
        store.close()
