"""Spare keepers: one run takes one, nobody else's, and none stays where no service is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support import daemons
from tests.support.daemons import Daemon
from tests.support.runs import Channel, Stage, a_run
from tests.support.stages.docker import staged

from cove.core.lifecycle import Active
from cove.engines.docker import DockerEngine
from cove.engines.docker.containers import Names, Size

DAEMONS = {"docker": daemons.docker, "podman": daemons.podman}


@pytest.fixture(params=sorted(DAEMONS))
def daemon(request: pytest.FixtureRequest) -> Daemon:
    return DAEMONS[request.param]()


@pytest.fixture
async def stage(
    daemon: Daemon, tmp_path: Path, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    monkeypatch.setattr("cove.engines.docker.spares._REST_SECONDS", 0.0)
    async with staged(daemon, tmp_path, channel) as made:
        made.listen()
        yield made
    assert there(daemon) == set()


def there(daemon: Daemon) -> set[str]:
    """Name all containers of the suite."""
    with daemon.client() as http:
        chosen = json.dumps({"label": ["cove.engine=cove-test"]})
        found = http.get("/containers/json", params={"all": "true", "filters": chosen}).json()
    return {str(name).removeprefix("/") for one in found for name in one["Names"]}


async def spare(engine: object) -> str:
    """Give the name of the spare once it is ready."""
    assert isinstance(engine, DockerEngine)
    await asyncio.gather(*engine._spares._making.values())
    (ready,) = engine._spares._ready.values()
    return ready.name


async def test_the_next_run_of_a_size_takes_it(stage: Stage, daemon: Daemon, channel: Channel) -> None:
    await stage.finish(a_run("print(1)"))
    first = await spare(stage.engine)
    assert first in there(daemon)
    run = a_run("say(os.getuid()); tell(); wait(); Path('/data/outputs/a').write_text('1')", *channel.binds)
    await stage.begin(run)
    assert first not in there(daemon)
    assert {Names("cove-test", run.id).keeper, Names("cove-test", run.id).main} <= there(daemon)
    assert await spare(stage.engine) != first
    again = stage.again()  # it finds the run by what the daemon has, and takes no part of it for a spare
    await again.start()
    assert isinstance((await again.observe([run.id]))[run.id], Active)
    await again.close()
    channel.answer()
    assert (await stage.ended(run.id)).code == 0
    assert [place.name for place in (await stage.engine.collect(run.id)).outputs.iterdir()] == ["a"]
    await stage.engine.remove(run.id)
    assert not {Names("cove-test", run.id).keeper, Names("cove-test", run.id).main} & there(daemon)


async def test_those_of_a_killed_service_go_at_the_next_start(stage: Stage, daemon: Daemon) -> None:
    await stage.finish(a_run("print(1)"))
    left = await spare(stage.engine)
    again = stage.again()
    await again.start()
    assert left not in there(daemon)
    await again.close()
    # The first one is told that it is gone, and starts its run without it.
    assert (await stage.finish(a_run("print(2)"))).log == "2\n"


async def test_what_a_start_left_that_was_cut_off_goes_first(stage: Stage, daemon: Daemon) -> None:
    await stage.finish(a_run("print(1)"))
    run = a_run("print(os.getuid()); Path('/data/outputs/a').write_text('1')")
    with daemon.client() as http:  # killed between the keeper and the run
        assert http.post(f"/containers/{await spare(stage.engine)}/rename", params={
            "name": Names("cove-test", run.id).keeper}).is_success  # fmt: skip
    assert isinstance(stage.engine, DockerEngine)
    stage.engine._spares._ready.clear()
    finished = await stage.finish(run)
    assert (finished.exit.code, finished.outputs) == (0, {"a": b"1"})


async def test_none_is_left_of_a_service_that_ends_while_it_makes_one(stage: Stage, daemon: Daemon) -> None:
    """Podman kept half of a container that was removed while it was being made, and listed no container ever again."""
    assert isinstance(stage.engine, DockerEngine)
    spares = stage.engine._spares
    for number in range(5):
        spares.want(Size(1 << 20, 100 + number, 1000))
        while not await asyncio.to_thread(volumes, daemon):
            pass
        await spares.drop()
        assert (there(daemon), volumes(daemon)) == (set(), set())


def volumes(daemon: Daemon) -> set[str]:
    with daemon.client() as http:
        chosen = json.dumps({"label": ["cove.engine=cove-test"]})
        return {one["Name"] for one in http.get("/volumes", params={"filters": chosen}).json()["Volumes"] or []}
