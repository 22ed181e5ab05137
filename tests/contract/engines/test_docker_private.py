"""Private images at a daemon: a job's own login opens them, and nobody else gets what it brought."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import daemons
from tests.support.daemons import Daemon
from tests.support.images import BUSYBOX, RunningRegistry, an_image, busybox, tar_of
from tests.support.registries import LOGIN, a_registry
from tests.support.runs import Channel, Stage, Told, a_run
from tests.support.stages.docker import staged

from cove.core.errors import ImageRefused
from cove.core.job import Container, RegistryLogin
from cove.engines import opener
from cove.ports import Engine, EnginePlace, ImageSource

DAEMONS = {"docker": daemons.docker, "podman": daemons.podman}
RIGHT = RegistryLogin(*LOGIN)
WRONG = RegistryLogin("ann", "Geheimwort")


@pytest.fixture(params=sorted(DAEMONS))
def daemon(request: pytest.FixtureRequest) -> Daemon:
    return DAEMONS[request.param]()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    if not BUSYBOX.exists():
        pytest.skip("no busybox here: apt-get install busybox-static")
    with a_registry(tmp_path / "registry", login=True, port=daemons.REGISTRY_PORT) as running:
        yield running


@pytest.fixture
async def stage(daemon: Daemon, tmp_path: Path, channel: Channel) -> AsyncIterator[Stage]:
    async with staged(daemon, tmp_path, channel, pull="missing") as made:
        made.listen()
        yield made


def pushed(registry: RunningRegistry, folder: Path) -> Container:
    """Put an image there that no other test has."""
    image = an_image(busybox(), tar_of([("name", str(folder).encode())]))
    name = registry.push(image, f"team/{folder.name.replace('_', '-').lower().strip('-')}", "1")
    return Container(name, "1", image.digest, "sh $ALGO")


async def refused(engine: Engine, container: Container) -> str:
    with pytest.raises(ImageRefused) as raised:
        await engine.prepare(container, Told())
    return str(raised.value)


async def test_a_jobs_login_opens_an_image_for_this_job_alone(
    stage: Stage, daemon: Daemon, registry: RunningRegistry, tmp_path: Path
) -> None:
    container = pushed(registry, tmp_path)
    assert "it is not public" in await refused(stage.engine, container)
    assert "the login given with the job" in await refused(stage.engine, replace(container, login=WRONG))
    ready = await stage.engine.prepare(replace(container, login=RIGHT), Told())
    finished = await stage.finish(a_run(b"cat /name", container=replace(ready, login=None)))
    assert finished.log == str(tmp_path)
    by_tag, by_id = replace(container, checksum=""), replace(container, checksum=ready.digest)
    others = [Container(f"{registry.host}/other/tool", "1", of) for of in (ready.digest, container.checksum)]
    again = stage.again()
    await again.start()
    try:
        for engine in (stage.engine, again):  # the second one has the folder alone
            for one in (container, replace(container, login=WRONG), by_tag, by_id, *others):
                await refused(engine, one)
            assert (await engine.prepare(replace(container, login=RIGHT), Told())).digest == ready.digest
            assert (await engine.prepare(replace(by_tag, login=RIGHT), Told())).digest == ready.digest
    finally:
        await again.close()
    kept = [place.read_bytes() for place in (tmp_path / "engine").rglob("*") if place.is_file()]
    assert kept
    for secret in (LOGIN[1], base64.b64encode(LOGIN[1].encode()).decode()):
        assert not [text for text in kept if secret.encode() in text]
        assert secret not in (daemon.folder / "log").read_text()


async def test_an_image_that_the_owner_can_have_is_everybodys(
    stage: Stage, daemon: Daemon, registry: RunningRegistry, tmp_path: Path, channel: Channel
) -> None:
    container = pushed(registry, tmp_path)
    ready = await stage.engine.prepare(replace(container, login=RIGHT), Told())
    options = {"registries": {registry.host: dict(zip(("username", "password"), LOGIN, strict=True))}}
    async with staged(daemon, tmp_path, channel, pull="missing", **options) as owners:
        assert (await owners.engine.prepare(container, Told())).digest == ready.digest
        # Now it is, whoever asks, and the registry is not asked again.
        registry.hide()
        assert (await owners.engine.prepare(container, Told())).digest == ready.digest


async def test_a_login_makes_nothing_private_that_was_there(
    stage: Stage, daemon: Daemon, registry: RunningRegistry, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/local"
    daemon.load(f"{name}:1", daemons.helper_archive())
    there = Container(name, "1")
    ready = await stage.engine.prepare(there, Told())
    for missing in (Container(name, "2", login=RIGHT), Container(name, "2", login=WRONG)):
        await refused(stage.engine, missing)
    assert await stage.engine.prepare(there, Told()) == ready


async def test_what_a_pull_brought_that_was_cut_off_is_private(
    stage: Stage, daemon: Daemon, registry: RunningRegistry, tmp_path: Path
) -> None:
    container = pushed(registry, tmp_path)
    asked = asyncio.Event()

    class Asked(Told):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if value == "pulling":
                asked.set()

    pulling = asyncio.create_task(stage.engine.prepare(replace(container, login=RIGHT), Asked()))
    await asked.wait()
    pulling.cancel()
    await asyncio.gather(pulling, return_exceptions=True)
    # Had the service been killed, the daemon would have gone on to the end of it.
    told = base64.urlsafe_b64encode(json.dumps(dict(zip(("username", "password"), LOGIN, strict=True))).encode())
    with daemon.client() as http:
        wanted = {"fromImage": f"{container.image}@{container.checksum}"}
        pulled = http.post("/images/create", params=wanted, headers={"X-Registry-Auth": told.decode()})
        assert '"error"' not in pulled.text
    again = stage.again()
    await again.start()
    try:
        await refused(again, container)
        await again.prepare(replace(container, login=RIGHT), Told())
    finally:
        await again.close()


async def test_a_login_is_told_to_no_registry_but_the_one_that_the_job_names(
    daemon: Daemon, registry: RunningRegistry, tmp_path: Path
) -> None:
    container = pushed(registry, tmp_path)
    images = {"alias/tool": ImageSource("registry", f"{container.image}:1")}
    options = {"host": daemon.host, "helper": daemons.HELPER, "name": "cove-test"}
    engine = opener("docker")(EnginePlace("docker", tmp_path / "engine", images, options))
    await engine.start()
    try:
        assert "it is not public" in await refused(engine, Container("alias/tool", "1", login=RIGHT))
    finally:
        await engine.close()
