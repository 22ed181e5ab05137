"""How a run comes to life at the daemon. It may be begun again: what an earlier start left goes first."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from cove.core.errors import EngineUnfit, ImagePullFailed, ImageRefused, NoSpace, Unavailable
from cove.core.job import Bind, Container, Run
from cove.core.lifecycle import Exited
from cove.engines import inside
from cove.engines.docker import containers, images
from cove.engines.docker.api import Api, Refused
from cove.engines.docker.archive import Packed, TooLarge, copies_of, is_readable, repacked
from cove.engines.docker.config import DockerConfig, login
from cove.engines.docker.containers import Kept, Names, Plan, Shown, Size
from cove.engines.docker.daemon import Daemon
from cove.engines.docker.handover import Handover, Handovers, Held, opened
from cove.engines.docker.records import Records
from cove.engines.docker.spares import Spare, Spares

_MISSING: Final = 404
_PLAIN: Final = re.compile(r"/[^:,\"'\n\r\0]*")
_DATA: Final = ("inputs", "ddos", "transformations", "outputs", "logs")


class Unfit(Exception):
    """The daemon cannot start this run, and never will; the text is for people."""


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts runs at one daemon."""

    api: Api
    config: DockerConfig
    daemon: Daemon
    records: Records
    spares: Spares
    handovers: Handovers

    async def start(self, run: Run) -> None:
        """Start a run; where the daemon says no to it, its record says so.

        Raises:
            ImageRefused: There is no such image.
            NoSpace: There is no room for the record, or at the daemon.
            Unavailable: It is not known whether the run was started.
        """
        await self.daemon.learn()
        if run.resources.gpus and self.daemon.is_podman:
            raise EngineUnfit("Podman takes no request for graphics processors over this API, without a word.")
        image, _ = await images.find(self.api, self.config, run.container)
        user = containers.user_of(run.id, self.config.first_uid, self.config.uids)
        plan = Plan(self.daemon.names(run.id), run, user, image, secrets.token_hex(16))
        try:
            _check(run)
            self.handovers.keep(run.id, await self._created(plan))
            await asyncio.to_thread(self.records.begin, run.id)
            await self._go(plan.names)
        except Unfit as problem:
            await self._undo(run)
            await asyncio.to_thread(self.records.begin, run.id)
            ended = Exited(1, None, time.time(), failure="sandbox", detail=str(problem))
            await asyncio.to_thread(self.records.end, run.id, ended)
        except _Lost:
            await self._undo(run)
            raise Unavailable("the container daemon", "It lost a run that was about to start.") from None
        except (NoSpace, ImageRefused, EngineUnfit):
            await self._undo(run)
            raise

    async def _undo(self, run: Run) -> None:
        self.handovers.drop(run.id)
        await self.daemon.remove(run.id)
        await asyncio.to_thread(self.records.remove, run.id)

    async def _created(self, plan: Plan) -> Held:
        with contextlib.suppress(_Begun):
            return await self._create(plan)
        await self.daemon.remove(plan.run.id)
        try:
            return await self._create(plan)
        except _Begun:
            raise _Lost from None

    async def _create(self, plan: Plan) -> Held:
        """Have the volumes, the keeper with what Cove gives, and the run's container."""
        run = plan.run
        shown, copied = await asyncio.to_thread(_sorted, run.binds, shared=self.config.shared_disk)
        if not copied and containers.fits_spare(plan.image):
            spare = self.spares.take(Size.of(run))
            self.spares.want(Size.of(run))
            made = None if spare is None else await self._on_spare(spare, plan, shown)
            if made is not None:
                return made
        kept = await self._kept(plan, copies=bool(copied))
        handover = await opened(self.api, plan.names.keeper)
        try:
            await self._give(handover, plan, [*shown, *copied])
            if copied:
                await self.api.put_archive(plan.names.keeper, "/d", copies_of([bind.source for bind in copied]))
            shows = [Shown(bind.source, bind.target) for bind in shown]
            shows += [Shown(f"{kept.copies}/{number}", bind.target) for number, bind in enumerate(copied)]
            main = await self._main(plan, kept, shows)
            if containers.is_copied(plan.image):
                await self._copy_work(plan)
        except BaseException:
            handover.close()
            raise
        return Held(main, handover, run.resources.disk_bytes, run.resources.log_bytes)

    async def _on_spare(self, spare: Spare, plan: Plan, shown: Sequence[Bind]) -> Held | None:
        """Have a spare be the run's keeper, and the run's container; None where the spare is not there any more."""
        plan, limits = replace(plan, user=spare.user), plan.run.resources
        shows = [Shown(bind.source, bind.target) for bind in shown]
        try:
            try:
                await self._give(spare.handover, plan, shown)
            except Unavailable:
                await self.spares.remove(spare)
                return None
            # Until it has the run's name nobody would find it again, so it goes with whatever comes between.
            named, main = await asyncio.gather(
                self._named(spare, plan.names), self._main(plan, spare.kept, shows), return_exceptions=True
            )
            _raise(named, main)
        except BaseException:
            await asyncio.shield(self.spares.remove(spare))
            raise
        return Held(str(main), spare.handover, limits.disk_bytes, limits.log_bytes)

    async def _named(self, spare: Spare, names: Names) -> None:
        try:
            await self.spares.name(spare, names.keeper)
        except Refused:
            raise _Begun from None

    async def _give(self, handover: Handover, plan: Plan, places: Sequence[Bind]) -> None:
        await asyncio.to_thread(lambda: handover.give(given(plan, places, self.daemon.profile())))

    async def _main(self, plan: Plan, kept: Kept, shows: Sequence[Shown]) -> str:
        """Make the run's container, and say what the daemon calls it."""
        body = containers.main(plan, kept, shows, self.daemon.setting(kept))
        try:
            return str((await self.api.post("/containers/create", body, name=plan.names.main))["Id"])
        except Refused as refusal:
            raise (_Begun() if refusal.is_name_taken else _unfit(refusal)) from None

    async def _kept(self, plan: Plan, *, copies: bool) -> Kept:
        """Make the volumes and the keeper of one run."""
        names, size = plan.names, Size.of(plan.run)
        bodies = [
            containers.writable_volume(names.volume("w"), names.labels("w"), size, plan.user),
            containers.given_volume(names.volume("c"), names.labels("c"), plan.user),
            *([containers.copies_volume(names)] if copies else []),
        ]
        made = await asyncio.gather(*[self.api.post("/volumes/create", body) for body in bodies])
        await self._keep(names, containers.keeper(plan, self.config.helper, copies=copies))
        return Kept(*[str(volume["Mountpoint"]) for volume in made])

    async def _keep(self, names: Names, body: dict[str, object]) -> None:
        for _ in range(2):
            try:
                await self.api.post("/containers/create", body, name=names.keeper)
            except Refused as refusal:
                if refusal.status == _MISSING and self.config.pull == "missing":
                    await self._pull_helper()
                    continue
                raise (_Begun() if refusal.is_name_taken else _unfit(refusal)) from None
            break
        try:
            await self.api.post(f"/containers/{names.keeper}/start")
        except Refused as refusal:
            raise _unfit(refusal) from None

    async def _pull_helper(self) -> None:
        image, _, tag = self.config.helper.rpartition(":")
        try:
            wanted = Container(image or tag, tag if image else "")
            await images.pull(self.api, self.config, wanted, _Nobody(), login(self.config, wanted.image))
        except (ImageRefused, ImagePullFailed):
            raise Unavailable("the helper image", f"The image {self.config.helper} cannot be pulled.") from None

    async def _go(self, names: Names) -> None:
        try:
            await self.api.post(f"/containers/{names.main}/start")
        except Refused as refusal:
            main = (await self.daemon.parts(names.run)).get(containers.MAIN)
            if main is None or main.is_new:
                raise _unfit(refusal) from None

    async def _copy_work(self, plan: Plan) -> None:
        """Give the run the files of the image's working directory as its own."""
        name = plan.names.volume(containers.ORIGINAL)
        try:
            # Seen by a container of its own: in the run's, the folder is covered already.
            await self.api.delete(f"/containers/{name}", force="true")
            await self.api.post("/containers/create", containers.original(plan), name=name)
            with await asyncio.to_thread(_fetched, self.api, name, plan) as archive:
                await self.api.put_archive(plan.names.keeper, "/w/work", _pieces(archive))
        except TooLarge:
            text = "The image's working directory does not fit on the disk of this environment."
            raise Unfit(text) from None
        except Refused as refusal:
            if refusal.status != _MISSING:  # the image names one that it does not have
                raise
        finally:
            await self.api.delete(f"/containers/{name}", force="true")


class _Begun(Exception):
    """An earlier start of the run was cut off, or this one's spare went: what there is has another uid and places."""


class _Lost(Exception):
    """The daemon came back without what was made for a run."""


def _raise(*results: object) -> None:
    for result in results:
        if isinstance(result, BaseException):
            raise result


class _Nobody:
    bytes_done = 0
    bytes_total: int | None = None
    doing = ""


def _check(run: Run) -> None:
    words = [run.container.entrypoint, *(word for pair in run.environment for word in pair)]
    try:
        is_fit = not any("\0" in word for word in words) and "".join(words).encode("utf-8") is not None
    except UnicodeEncodeError:
        is_fit = False
    if not is_fit:
        raise Unfit("A variable, or the command, has characters that no program can be given.")


def _fetched(api: Api, name: str, plan: Plan) -> IO[bytes]:
    with api.archive(name, plan.image.working_directory) as pieces:
        return repacked(pieces, plan.user, plan.run.resources.disk_bytes)


async def _pieces(archive: IO[bytes]) -> AsyncIterator[bytes]:
    while part := await asyncio.to_thread(archive.read, 1 << 20):
        yield part


def given(plan: Plan, places: Sequence[Bind], profile: bytes) -> bytes:
    """Give the archive of what Cove writes for a run: its ``/data``, with an empty place for each larger input."""
    packed = Packed()
    for name in _DATA:
        packed.folder(f"data/{name}")
    for bind in plan.run.binds:
        if bind.content is not None:
            packed.file(bind.target, bind.content, 0o755 if bind.target == inside.ALGORITHM else 0o644)
    for bind in places:
        if _is_folder(bind.source):
            packed.folder(bind.target)
        else:
            packed.file(bind.target, b"")
    for name, text in inside.names(plan.user).items():
        packed.file(f"etc/{name}", text.encode())
    packed.file("seccomp.json", profile)
    return packed.whole()


def _sorted(binds: Sequence[Bind], *, shared: bool) -> tuple[list[Bind], list[Bind]]:
    """Part the inputs of this host into those that the daemon can show as they are, and those that are copied.

    A copy is needed where the daemon is on another host, and where the owner alone may read a file: its mode is not
    ours to change, and the run is another user.

    Raises:
        Unfit: One is not there.
    """
    shown: list[Bind] = []
    copied: list[Bind] = []
    for bind in binds:
        if bind.content is not None:
            continue
        try:
            fits = shared and _PLAIN.fullmatch(bind.source) and is_readable(bind.source)
        except OSError:
            raise Unfit("An input is not there any more.") from None
        (shown if fits else copied).append(bind)
    return shown, copied


def _is_folder(source: str) -> bool:
    return Path(source).is_dir()


def _unfit(refusal: Refused) -> Exception:
    text = str(refusal).lower()
    if "device driver" in text:
        return EngineUnfit("The container daemon has no graphics processors to give to a run.")
    if "bind source path does not exist" in text:
        # The inputs were looked at, so it is the keeper's: the daemon came back without its file systems.
        return _Lost()
    if "no space left" in text:
        return NoSpace("The container daemon has no space left.")
    if refusal.status == _MISSING and "image" in text:
        return ImageRefused("The image is not at the container daemon any more.")
    return Unfit("The container daemon refused to start this job.")
