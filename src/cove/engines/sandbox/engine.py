"""The engine: run folders on disk, a keeper that starts supervisors, and files that tell how each run is."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import signal
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cove.core.errors import EngineUnfit, NoSpace, NotFound, Unavailable
from cove.core.job import Container, Run, RunId
from cove.core.lifecycle import Active, Exited, Missing, Observation
from cove.engines import inside
from cove.engines.sandbox import host, images, plan, seccomp
from cove.engines.sandbox.config import SandboxConfig
from cove.engines.sandbox.disks import Disks
from cove.engines.sandbox.keeping import is_nearly_full
from cove.ports import Collected, Finding, Preparation

_KEEPER: Final = Path(__file__).with_name("keeper.py")
_ANSWER_SECONDS: Final = 10.0
_MARK: Final = "exit.tmp"
_STARTED: Final = b"started\n"
_FULL: Final = b"full\n"
_NO_USER: Final = b"users\n"
_SHARED: Final = Path("/run/cove")
_GRACE_SECONDS: Final = 10


class SandboxEngine:
    """``cove.ports.Engine`` over bubblewrap."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._root = config.root
        self._keeper: asyncio.subprocess.Process | None = None
        self._asking = asyncio.Lock()
        self._listeners: list[Callable[[RunId], None]] = []
        self._events = -1
        self._limits = host.Limits(())
        self._bwrap = host.Bubblewrap("")
        self._disks = Disks(config.disk_in_memory)
        self._users = config.root / "users"

    async def start(self) -> None:
        """Look at what this host can enforce, and listen for the ends of runs."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._bwrap = host.Bubblewrap(host.bubblewrap())
        self._limits = host.Limits.of_this_host(self._config.cgroup)
        self._disks = await asyncio.to_thread(Disks.of_this_host, self._root, self._config.disk_in_memory)
        self._users = _file_of_users(self._root)
        place = self._root / "events"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(place, 0o600)
        self._events = os.open(place, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._events, self._hear)

    async def close(self) -> None:
        """Let go; the keeper ends by itself and the runs go on."""
        if self._events >= 0:
            asyncio.get_running_loop().remove_reader(self._events)
            os.close(self._events)
            self._events = -1
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()
            await self._keeper.wait()
            self._keeper = None

    async def prepare(self, container: Container, progress: Preparation) -> Container:
        """Have an image unpacked here, or see that it is one of this host's."""
        source = images.source_of(self._config.images, container)
        if images.is_unpacked(source) and self._config.store is not None:
            image = await self._config.store.prepare(source, container, progress)
            return replace(container, digest=image.digest, login=None)
        await asyncio.to_thread(images.root_of, self._config.images, container, sys.base_prefix)
        return container

    async def submit(self, run: Run) -> None:
        """Start a run unless one of its name was started before."""
        if run.resources.gpus or run.network:
            raise EngineUnfit("The sandbox engine has no graphics processors and no network to give to a run.")
        folder = f"{self._root}/{run.id}"
        if not isinstance(_observation(folder), Missing):
            return
        try:
            order = await asyncio.to_thread(self._prepare, folder, run)
        except OSError as problem:
            if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                raise NoSpace("There is no space left for a run.") from None
            raise Unavailable("sandbox", f"A run's folder cannot be made: {problem.strerror}.") from None
        await self._ask(order)

    async def observe(self, runs: Sequence[RunId]) -> Mapping[RunId, Observation]:
        """Say of every run what its files tell."""
        return {run: _observation(f"{self._root}/{run}") for run in runs}

    async def cancel(self, run: RunId, *, grace_seconds: float = 10.0) -> None:
        """Have its supervisor end a run."""
        await asyncio.to_thread(_cancel, self._root / run, grace_seconds)

    async def collect(self, run: RunId) -> Collected:
        """Say where the outputs of an exited run are."""
        folder = self._root / run
        if not (folder / "exit.json").is_file():
            raise NotFound("There is no exited run of this name.")
        return Collected(folder / "outputs", folder / "logs", folder / "log")

    async def logs(self, run: RunId, offset: int, length: int) -> bytes:
        """Give part of the captured log."""
        return await asyncio.to_thread(_read, self._root / run / "log", offset, length)

    async def remove(self, run: RunId) -> None:
        """End a run at once, and forget everything of it."""
        folder = self._root / run
        if not folder.is_dir():
            return
        await asyncio.to_thread(self._remove, folder)

    async def runs(self) -> Sequence[RunId]:
        """List every run that there is a folder of."""
        return [RunId(entry.name) for entry in self._root.iterdir() if entry.is_dir()]

    def on_exit(self, listener: Callable[[RunId], None]) -> None:
        """Have a listener called soon after a run exited."""
        self._listeners.append(listener)

    async def examine(self) -> Sequence[Finding]:
        """Look at what can be enforced here."""
        return await asyncio.to_thread(host.examine, self._bwrap.binary, self._limits, self._disks, self._config)

    def enforcement(self) -> Mapping[str, str]:
        """Say by what each limit of a run is enforced here."""
        return host.enforcement(self._limits, self._disks)

    # ------------------------------------------------------------------------------------------ starting

    def _prepare(self, folder: str, run: Run) -> bytes:
        """Make a run's folder, and give what the keeper is told: one line of JSON."""
        view = images.view_of(self._config.images, self._config.store, run.container, sys.base_prefix)
        entries, binds = view.root
        own = (*view.config.entrypoint, *view.config.command)
        with contextlib.suppress(FileExistsError):
            Path(folder).mkdir(mode=0o700)
        mounts, disk = self._disks.mounts(plan.mounts(run, [*binds, *self._bwrap.binds], view.work), run.resources)
        if disk is not None and is_nearly_full(os.statvfs(folder)):
            raise OSError(errno.ENOSPC, "the host is nearly full")
        order: dict[str, Any] = {
            "name": run.id,
            "users": (str(self._users), self._config.first_uid, self._config.uids),
            "mounts": mounts,
            "disk": disk,
            "options": plan.arguments(run, entries, secrets.token_hex(16), view.config, has_work=bool(view.work)),
            "command": inside.command(run.container, has_shell=view.has_shell, own=own),
            "bwrap": self._bwrap.place,
            "seccomp": (seccomp.program() or b"").hex(),
            "cgroups": self._limits.cgroups(run.id, run.resources, disk_in_memory=disk is None),
            "rlimits": self._limits.rlimits(run.resources),
            "log_bytes": run.resources.log_bytes,
            "seconds": run.resources.time_seconds,
            "grace": _GRACE_SECONDS,
        }
        return json.dumps(order).encode("ascii") + b"\n"

    async def _ask(self, order: bytes) -> None:
        """Have the keeper start a supervisor, and wait for its word that the supervisor took the run."""
        async with self._asking:
            for _ in range(2):
                keeper = await self._living_keeper()
                answer = b""
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        if keeper.stdin is not None and keeper.stdout is not None:
                            keeper.stdin.write(order)
                            await keeper.stdin.drain()
                            answer = await keeper.stdout.readline()
                if answer == _STARTED:
                    return
                if answer == _FULL:
                    raise NoSpace("There is no space left for a run.")
                if answer == _NO_USER:
                    raise Unavailable("sandbox", "Every uid of sandbox.first_uid and sandbox.uids has a run.")
                if answer:
                    raise Unavailable("sandbox", "A run's supervisor did not start.")
                await self._end_keeper()
            raise Unavailable("sandbox", "The sandbox's keeper does not start.")

    async def _end_keeper(self) -> None:
        """End a keeper that does not answer; the supervisors that it started go on."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            with contextlib.suppress(ProcessLookupError):
                keeper.kill()
            await keeper.wait()

    async def _living_keeper(self) -> asyncio.subprocess.Process:
        if self._keeper is None or self._keeper.returncode is not None:
            self._keeper = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(_KEEPER), str(self._root),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={}, start_new_session=True,
            )  # fmt: skip
        return self._keeper

    # ------------------------------------------------------------------------------------------ ending

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for name in os.read(self._events, 1 << 16).decode("ascii", "replace").split():
                for listener in self._listeners:
                    listener(RunId(name))

    def _remove(self, folder: Path) -> None:
        for name in (_MARK, "exit.json"):  # it may still be cleaning up
            host.end_holder(folder / name)
        self._limits.end(folder.name)
        images.remove_tree(folder)


def _file_of_users(root: Path) -> Path:
    """Give the file by which all Coves of this host agree on who has which uid; that of our own where there is none."""
    if os.getuid() == 0:
        with contextlib.suppress(OSError):
            _SHARED.mkdir(mode=0o700, exist_ok=True)
            facts = _SHARED.lstat()
            if stat.S_ISDIR(facts.st_mode) and facts.st_uid == 0 and os.access(_SHARED, os.W_OK):
                return _SHARED / "users"
    return root / "users"


def _observation(folder: str) -> Observation:
    record = _record(folder)
    if record is not None:
        return record
    try:
        descriptor = os.open(f"{folder}/{_MARK}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        # It became exit.json between the two looks, or was never there.
        return _record(folder) or Missing()
    try:
        taken_at = os.fstat(descriptor).st_mtime
        if _is_locked(descriptor):
            return Active(taken_at)
    finally:
        os.close(descriptor)
    return _record(folder) or Exited(1, None, taken_at, failure="lost")


def _record(folder: str) -> Exited | None:
    try:
        with open(f"{folder}/exit.json", "rb") as file:  # noqa: PTH123 - asked for every run at every look
            found = json.loads(file.read())
    except FileNotFoundError:
        return None
    return Exited(
        code=found["code"],
        started_at=found["started_at"],
        finished_at=found["finished_at"],
        out_of_memory=found["out_of_memory"],
        ended_by=found["ended_by"],
        failure=found["failure"],
        detail=found["detail"],
    )


def _is_locked(descriptor: int) -> bool:
    """Say whether a living supervisor holds a run: a lock dies with its holder, so no pid can mislead."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _cancel(folder: Path, grace_seconds: float) -> None:
    if grace_seconds != _GRACE_SECONDS:
        with contextlib.suppress(OSError):  # the run is gone, or the disk is full: the usual grace then
            (folder / "grace").write_text(str(grace_seconds), encoding="ascii")
    host.signal_holder(folder / _MARK, signal.SIGUSR1)


def _read(place: Path, offset: int, length: int) -> bytes:
    try:
        with place.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        return b""
