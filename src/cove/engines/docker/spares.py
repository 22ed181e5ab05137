"""Keepers that are ready before there is a run for them: half of a short run's time was the start of its keeper.

A spare is like any keeper but for its name; its uid becomes the run's. It is taken by giving it the run's name: from
then on it is found by that, and whoever looks for spares does not see it. There is one for each size of the runs that
came, so that a daemon has as many as there are environments. They go when the service ends; those of a killed one at
the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Final

from cove.core.errors import Unavailable
from cove.engines.docker import containers
from cove.engines.docker.api import Api, Refused
from cove.engines.docker.archive import Packed
from cove.engines.docker.config import DockerConfig
from cove.engines.docker.containers import Keeping, Kept, Size
from cove.engines.docker.handover import Handover, opened

_AT_MOST: Final = 4
_REST_SECONDS: Final = 1.0
"""A spare is made when the run that had the last one is under way, and not beside its start."""


@dataclass(frozen=True, slots=True)
class Spare:
    """A keeper without a run."""

    #: The daemon's own name of it, which stays.
    id: str
    name: str
    user: int
    kept: Kept
    #: Names of its volumes.
    volumes: tuple[str, ...]
    handover: Handover


@dataclass(slots=True)
class Spares:
    """The spare keepers of one engine."""

    api: Api
    config: DockerConfig
    _ready: dict[Size, Spare] = field(default_factory=dict)
    _making: dict[Size, asyncio.Task[None]] = field(default_factory=dict)

    def take(self, size: Size) -> Spare | None:
        """Give a keeper that is ready, for whoever names or removes it; None where there is none.

        Args:
            size: The run's.
        """
        return self._ready.pop(size, None)

    async def name(self, spare: Spare, name: str) -> None:
        """Have a spare be a run's keeper.

        Args:
            spare: It was taken.
            name: What the run's keeper is called.

        Raises:
            Refused: It was taken away; or the run has one of an earlier start, which goes first.
            Unavailable: The daemon did not answer.
        """
        await self.api.post(f"/containers/{spare.id}/rename", name=name)

    def want(self, size: Size) -> None:
        """Have one ready soon."""
        if size not in self._ready and size not in self._making:
            self._making[size] = asyncio.create_task(self._make_later(size))

    async def _make_later(self, size: Size) -> None:
        try:
            await asyncio.sleep(_REST_SECONDS)
            with contextlib.suppress(Unavailable, Refused):
                while len(self._ready) >= _AT_MOST:
                    await self.remove(self._ready.pop(next(iter(self._ready))))
                self._ready[size] = await self._made_whole(size)
        finally:
            self._making.pop(size, None)

    async def _made_whole(self, size: Size) -> Spare:
        """Make a spare; where that is cancelled, remove it as soon as it is made.

        What Podman is about to create must not be removed meanwhile: it would keep half of it, and never list any
        container again.
        """
        making = asyncio.create_task(self._made(size))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            with contextlib.suppress(Unavailable, Refused):
                await self.remove(await making)
            raise

    async def _made(self, size: Size) -> Spare:
        name = f"{self._prefix}{secrets.token_hex(16)}"
        user = self.config.first_uid + secrets.randbelow(self.config.uids)
        labels = {containers.ENGINE_LABEL: self.config.name, containers.PART_LABEL: containers.SPARE}
        labels |= {containers.LOG_LABEL: str(size.log_bytes), containers.DISK_LABEL: str(size.disk_bytes)}
        labels[containers.SECONDS_LABEL] = "0"
        volumes = {
            "/w": f"{self.config.name}-{secrets.token_hex(16)}",
            "/c": f"{self.config.name}-{secrets.token_hex(16)}",
        }
        handover: Handover | None = None
        try:
            bodies = (
                containers.writable_volume(volumes["/w"], labels, size, user),
                containers.given_volume(volumes["/c"], labels, user),
            )
            made = [await self.api.post("/volumes/create", body) for body in bodies]
            body = containers.keeping(Keeping(self.config.helper, user, size, volumes, labels))
            own = str((await self.api.post("/containers/create", body, name=name))["Id"])
            await self.api.post(f"/containers/{own}/start")
            handover = await opened(self.api, own)
            await asyncio.to_thread(handover.give, Packed().whole())  # it is ready when it answers
        except BaseException:
            if handover is not None:
                handover.close()
            await asyncio.shield(self._remove(name, *volumes.values()))
            raise
        kept = Kept(*[str(volume["Mountpoint"]) for volume in made])
        return Spare(own, name, user, kept, tuple(volumes.values()), handover)

    async def remove(self, spare: Spare) -> None:
        """Remove one, whatever it is called by now; nothing where the daemon does not answer."""
        spare.handover.close()
        await self._remove(spare.id, *spare.volumes)

    async def drop(self) -> None:
        """Remove every spare, also those of an earlier service.

        By their names: one that is taken just now has another one, and stays.

        Raises:
            Unavailable: The daemon did not answer.
        """
        for task in list(self._making.values()):
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)
        known = {spare.name: spare.volumes for spare in self._ready.values()}
        for spare in self._ready.values():
            spare.handover.close()
        self._ready.clear()
        labels = [f"{containers.ENGINE_LABEL}={self.config.name}", f"{containers.PART_LABEL}={containers.SPARE}"]
        for one in await self.api.get("/containers/json", all="true", filters=json.dumps({"label": labels})):
            for name in [str(name).removeprefix("/") for name in one.get("Names") or []]:
                if name.startswith(self._prefix):
                    await self._remove(name, *known.get(name, ()))

    @property
    def _prefix(self) -> str:
        return f"{self.config.name}-spare-"

    async def _remove(self, name: str, *volumes: str) -> None:
        with contextlib.suppress(Unavailable, Refused):
            await self.api.delete(f"/containers/{name}", force="true", v="true")
            for volume in volumes:
                await self.api.delete(f"/volumes/{volume}", force="true")
