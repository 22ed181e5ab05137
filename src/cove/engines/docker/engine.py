"""The engine: runs at a container daemon, found by their labels, and the ends of runs, kept on this host."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

from cove.core.errors import EngineUnfit, NotFound, Unavailable
from cove.core.job import Container, Run, RunId
from cove.core.lifecycle import Active, Exited, Missing, Observation
from cove.engines.docker import containers, images, settling, watching
from cove.engines.docker.api import Api, Refused
from cove.engines.docker.archive import CutOff
from cove.engines.docker.config import DockerConfig
from cove.engines.docker.daemon import Daemon, Part
from cove.engines.docker.handover import Handovers, Held
from cove.engines.docker.memory import MemoryWatch
from cove.engines.docker.private import PrivateImages
from cove.engines.docker.records import Records
from cove.engines.docker.settling import Ended
from cove.engines.docker.spares import Spares
from cove.engines.docker.starting import Starter
from cove.ports import Collected, Finding, Preparation

_GRACE_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 5.0
_UNKNOWN: Final = 255
#: How often outputs are asked for that do not come whole.
_TRIES: Final = 5


class DockerEngine:
    """``cove.ports.Engine`` over the Docker API."""

    def __init__(self, config: DockerConfig) -> None:
        self._config = config
        self._api = Api(config)
        self._daemon = Daemon(self._api, config)
        self._records = Records(config.root)
        self._private = PrivateImages(self._api, config.root)
        self._spares = Spares(self._api, config)
        self._handovers = Handovers()
        self._starter = Starter(self._api, config, self._daemon, self._records, self._spares, self._handovers)
        self._locks: WeakValueDictionary[RunId, asyncio.Lock] = WeakValueDictionary()
        self._listeners: list[Callable[[RunId], None]] = []
        self._settling: dict[RunId, asyncio.Task[None]] = {}
        self._ending: dict[RunId, asyncio.Task[None]] = {}
        self._started: dict[RunId, float] = {}
        self._removing: set[RunId] = set()
        #: Unix time from which on the daemon tells of every end; infinite while it does not.
        self._heard_since = math.inf
        self._cut_off: Counter[RunId] = Counter()
        self._memory = MemoryWatch()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen to the daemon; one that does not answer yet is tried again until it does."""
        await asyncio.to_thread(self._records.open)
        await asyncio.to_thread(self._private.open)
        with contextlib.suppress(Unavailable), _answers():
            await self._daemon.learn()
            await self._look_again()
            await self._daemon.sweep()
        self._watching = asyncio.create_task(
            watching.watch(self._api, self._config.name, self._hear, self._look_again, self._hear_nothing)
        )

    async def close(self) -> None:
        """Let go; the daemon goes on with every run."""
        tasks = [
            task for task in (self._watching, *self._settling.values(), *self._ending.values()) if task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._settling.clear()
        self._ending.clear()
        self._handovers.close()
        if self._watching is not None:  # it was started, and not closed before
            self._watching = None
            with contextlib.suppress(Unavailable, Refused, TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._spares.drop()
        self._memory.close()
        await self._api.close()

    async def prepare(self, container: Container, progress: Preparation) -> Container:
        """Have the daemon pull an image that it does not have, or that others were shown."""
        with _answers():
            await self._daemon.learn()
            # Podman asks the registry whenever it pulls, and cannot be told to ask alone.
            ask_first = not self._daemon.is_podman
            return await images.prepare(
                self._api, self._config, self._private, container, progress, ask_first=ask_first
            )

    # ------------------------------------------------------------------------------------------ starting

    async def submit(self, run: Run) -> None:
        """Start a run unless one of its name was started before."""
        if run.network and not self._config.network:
            raise EngineUnfit("This engine has no network to give to a run: its setting network names none.")
        with _answers():
            async with self._lock(run.id):
                if not isinstance(await self._observed_alone(run.id), Missing):
                    return
                await self._starter.start(run)
                if self._records.ended(run.id) is None:
                    self._limit(run.id, run.resources.time_seconds)
                    await self._watch_memory(run.id)
                else:
                    self._tell(run.id)

    def _lock(self, run: RunId) -> asyncio.Lock:
        """Give what keeps starts and removes of one run apart; it is forgotten when nobody holds it."""
        return self._locks.setdefault(run, asyncio.Lock())

    async def _watch_memory(self, run: RunId) -> None:
        if self._daemon.is_podman and self._config.shared_disk:
            facts = await self._daemon.facts(run)
            if facts is not None:
                self._memory.watch(run, facts.pid)

    # ------------------------------------------------------------------------------------------ looking

    async def observe(self, runs: Sequence[RunId]) -> Mapping[RunId, Observation]:
        """Say of every run what the daemon tells, or its record, which is for good."""
        with _answers():
            going_on = [run for run in runs if self._records.ended(run) is None]
            found = await self._daemon.all_parts() if going_on else {}
            return {run: await self._observed(run, found.get(run, {})) for run in runs}

    async def _observed(self, run: RunId, parts: Mapping[str, Part]) -> Observation:
        record = self._records.ended(run)
        if record is not None:
            return record
        main = parts.get(containers.MAIN)
        active = await self._active(run, main)
        if active is not None:
            return active
        lock = self._lock(run)
        if lock.locked() or self._records.began(run) is None:
            return Missing()
        async with lock:  # the list may be older than a start that has just come to its end
            return await self._observed_alone(run)

    async def _observed_alone(self, run: RunId) -> Observation:
        """Look at a run that nobody starts or removes meanwhile: its lock is held."""
        record = self._records.ended(run)
        if record is not None:
            return record
        main = (await self._daemon.parts(run)).get(containers.MAIN)
        active = await self._active(run, main)
        if active is not None:
            return active
        began = self._records.began(run)
        if began is None or (main is not None and main.is_new):
            return Missing()
        return await self._lose(run, began)

    async def _active(self, run: RunId, main: Part | None) -> Active | None:
        """Take up a run that was started: its outputs where it has ended, else its time limit; None for any other."""
        if main is None or main.is_new:
            return None
        if run not in self._started:
            facts = await self._daemon.facts(run)
            if facts is None:  # it went since it was listed
                return None
            self._started[run] = facts.started_at or time.time()
        if not main.is_running:
            self._settle(run, main.id)
        elif run not in self._ending or self._ending[run].done():
            kill_at = self._records.asked(run)[1]
            seconds = containers.limits_of(main.labels)[0]
            if kill_at:
                self._end_at(run, kill_at)
            elif seconds:
                self._limit(run, self._started[run] + seconds - time.time())
        return Active(self._started[run])

    async def _lose(self, run: RunId, began: float) -> Exited:
        """Write down that a run's containers were taken away, by whomever."""
        ended = Exited(1, None, max(began, time.time()), ended_by=self._records.asked(run)[0], failure="lost")
        await asyncio.to_thread(self._records.end, run, ended)
        self._tell(run)
        return ended

    async def collect(self, run: RunId) -> Collected:
        """Say where the outputs of an exited run are."""
        if self._records.ended(run) is None:
            raise NotFound("There is no exited run of this name.")
        folder = self._records.folder(run)
        return Collected(folder / "outputs", folder / "logs", folder / "log")

    async def logs(self, run: RunId, offset: int, length: int) -> bytes:
        """Give part of the captured log."""
        if self._records.ended(run) is not None:
            return await asyncio.to_thread(_read, self._records.folder(run) / "log", offset, length)
        with _answers():
            keeper = (await self._daemon.parts(run)).get(containers.KEEPER)
            if keeper is None or not keeper.is_running:
                return b""
            length = min(length, containers.limits_of(keeper.labels)[1] - offset)
            if length <= 0:
                return b""
            await self._daemon.learn()
            by_archive = self._daemon.is_podman
            try:
                return await asyncio.to_thread(
                    settling.log_so_far, self._api, keeper.id, offset, length, by_archive=by_archive
                )
            except CutOff:
                raise Unavailable("the container daemon", "The container daemon stopped while it sent a log.") from None

    async def runs(self) -> Sequence[RunId]:
        """List every run that the daemon or this host has anything of."""
        with _answers():
            there = await self._daemon.all_parts()
        return sorted({*there, *await asyncio.to_thread(self._records.all)})

    def on_exit(self, listener: Callable[[RunId], None]) -> None:
        """Have a listener called soon after a run exited."""
        self._listeners.append(listener)

    async def examine(self) -> Sequence[Finding]:
        """Look at what the daemon can enforce."""
        return await self._daemon.examine()

    def enforcement(self) -> Mapping[str, str]:
        """Say by what each limit of a run is enforced."""
        return {"memory": "cgroup", "processes": "cgroup", "cpu": "cgroup", "disk": "sized tmpfs"}

    # ------------------------------------------------------------------------------------------ ending

    async def cancel(self, run: RunId, *, grace_seconds: float = _GRACE_SECONDS) -> None:
        """Have the daemon send SIGTERM, and SIGKILL after the grace."""
        if self._records.ended(run) is not None:
            return
        with _answers():
            main = (await self._daemon.parts(run)).get(containers.MAIN)
            if main is not None and main.is_running:
                await self._ask_to_end(run, "stopped", grace_seconds)

    async def _ask_to_end(self, run: RunId, why: str, grace_seconds: float) -> None:
        kill_at = time.time() + grace_seconds
        if await asyncio.to_thread(self._records.ask, run, why, kill_at):
            self._end_at(run, kill_at)
            await self._daemon.signal(run, "SIGTERM")

    def _limit(self, run: RunId, seconds: float) -> None:
        self._replace(run, self._time_limit(run, seconds))

    async def _time_limit(self, run: RunId, seconds: float) -> None:
        await asyncio.sleep(seconds)
        # What comes next takes this task's place.
        self._ending.pop(run, None)
        with contextlib.suppress(Unavailable, Refused):
            await self._ask_to_end(run, "time_limit", _GRACE_SECONDS)

    def _end_at(self, run: RunId, kill_at: float) -> None:
        self._replace(run, self._kill(run, kill_at))

    async def _kill(self, run: RunId, kill_at: float) -> None:
        await asyncio.sleep(max(0.0, kill_at - time.time()))
        with contextlib.suppress(Unavailable, Refused):
            await self._daemon.signal(run, "SIGKILL")

    def _replace(self, run: RunId, what: Coroutine[Any, Any, None]) -> None:
        earlier = self._ending.pop(run, None)
        if earlier is not None:
            earlier.cancel()
        self._ending[run] = asyncio.create_task(what)

    async def remove(self, run: RunId) -> None:
        """End a run at once, and forget everything of it."""
        async with self._lock(run):
            self._removing.add(run)
            try:
                await self._remove(run)
            finally:
                self._removing.discard(run)

    async def _remove(self, run: RunId) -> None:
        ending = self._ending.pop(run, None)
        if ending is not None:
            ending.cancel()
        self._handovers.drop(run)
        with _answers():
            await self._daemon.remove(run)
        taking = self._settling.pop(run, None)
        if taking is not None:  # it ends by itself: there is nothing to be had any more
            await asyncio.gather(taking, return_exceptions=True)
        await asyncio.to_thread(self._records.remove, run)
        self._memory.forget(run)
        self._started.pop(run, None)
        self._cut_off.pop(run, None)

    # ------------------------------------------------------------------------------------------ hearing

    def _hear(self, run: RunId, main: str) -> None:
        """Take the outputs of a run that ended."""
        if self._records.ended(run) is None:
            self._settle(run, main)

    def _hear_nothing(self) -> None:
        """Take note that the daemon went away."""
        self._heard_since = math.inf

    def _settle(self, run: RunId, main: str) -> None:
        known = self._settling.get(run)
        if known is not None and not known.done():
            return
        # Whoever looked before the record was written comes after it: somebody reads what was taken by then.
        if run not in self._removing and self._records.ended(run) is None:
            held = self._handovers.take(run, main)
            self._settling[run] = asyncio.create_task(self._settled(run, held))

    async def _settled(self, run: RunId, held: Held | None) -> None:
        with contextlib.suppress(Unavailable, Refused):
            ended = Ended(run, held, is_last=self._cut_off[run] >= _TRIES - 1)
            try:
                seen = await settling.settle(self._api, self._daemon, self._records, ended)
            except CutOff:  # the next look tries again
                self._cut_off[run] += 1
                return
            if seen is None:
                return
            if seen.code == _UNKNOWN and not seen.failure and seen.finished_at < self._heard_since:
                # What a daemon says that was away when a container ended; an algorithm may have said it too. It is not
                # known, so the run counts as lost, and the next one tells.
                seen = replace(seen, code=1, failure="lost")
            if self._memory.was_killed(run):
                seen = replace(seen, out_of_memory=True)
            self._memory.forget(run)
            await asyncio.to_thread(self._records.end, run, seen)
            ending = self._ending.pop(run, None)
            if ending is not None:
                ending.cancel()
            self._tell(run)

    def _tell(self, run: RunId) -> None:
        for listener in self._listeners:
            listener(run)

    async def _look_again(self) -> None:
        """Take up every run that the daemon has; spares of before may not be what they were."""
        self._heard_since = time.time()
        with _answers():
            await self._spares.drop()
            for run, parts in (await self._daemon.all_parts()).items():
                if isinstance(await self._observed(run, parts), Active):
                    await self._watch_memory(run)


@contextlib.contextmanager
def _answers() -> Iterator[None]:
    """Take a refusal that nobody expected for what it is: nothing is known."""
    try:
        yield
    except Refused as refusal:
        raise Unavailable("the container daemon", f"The container daemon refused with {refusal.status}.") from None


def _read(place: Path, offset: int, length: int) -> bytes:
    try:
        with place.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        return b""
