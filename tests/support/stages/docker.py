"""Docker and Podman, for the suite of the Engine Protocol."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from tests.support import daemons
from tests.support.daemons import Daemon
from tests.support.runs import Channel, Stage, Traits

from cove.engines import opener
from cove.engines.docker.containers import Names
from cove.ports import Engine, EnginePlace, ImageSource

CHECKSUM = f"sha256:{'ab' * 32}"
_UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers").exists()
TRAITS = Traits(
    user=None,
    working_directory="/job",
    first_process_is_bare=False,
    memory_is_closed=False,
    namespaces=frozenset({"cgroup", "ipc", "mnt", "net", "pid", "uts"}),
    own_places=frozenset({"/etc/hostname", "/etc/resolv.conf", "/sys", "/run", "/var"}),
    beginning=3,
    crowd=0.25,
)


@contextlib.asynccontextmanager
async def docker(folder: Path, channel: Channel) -> AsyncIterator[Stage]:
    async with staged(daemons.docker(), folder, channel) as stage:
        yield stage


@contextlib.asynccontextmanager
async def podman(folder: Path, channel: Channel) -> AsyncIterator[Stage]:
    # catatonit, Podman's init, leaves the three signals of job control blocked; with version 1 of cgroups Podman makes
    # no namespace of them.
    namespaces = TRAITS.namespaces - (set() if _UNIFIED else {"cgroup"})
    traits = replace(TRAITS, blocked_signals=0b111 << 19, namespaces=namespaces)
    async with staged(daemons.podman(), folder, channel, traits) as stage:
        yield stage


@contextlib.asynccontextmanager
async def staged(
    daemon: Daemon, folder: Path, channel: Channel, traits: Traits = TRAITS, **more: object
) -> AsyncIterator[Stage]:
    images = {"sealed": ImageSource("host", checksum=CHECKSUM)}
    options = {"host": daemon.host, "helper": daemons.HELPER, "pull": "never", "name": "cove-test", **more}

    def again() -> Engine:
        return opener("docker")(EnginePlace("docker", folder / "engine", images, options))

    def cripple() -> None:
        daemon.kill()
        daemon.start()

    load: Callable[[str], None] = lambda name: daemon.load(  # noqa: E731
        f"{name}:1", daemons.folder_archive(folder / name)
    )
    engine = again()
    await engine.start()
    stage = Stage(
        engine=engine,
        again=again,
        lose=lambda run: daemon.remove_container(Names("cove-test", run).main),
        cripple=cripple,
        enforced=frozenset({"memory", "pids", "cpu"}),
        channel=channel,
        folder=folder,
        traits=traits,
        silenced=daemon.silenced,
        load=load,
    )
    yield stage
    try:
        await stage.forget()
    finally:
        await stage.engine.close()
