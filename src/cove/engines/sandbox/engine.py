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
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cove.core.errors import NoSpace, NotFound, Unavailable
from cove.core.job import Run, RunId
from cove.core.lifecycle import Active, Exited, Missing, Observation
from cove.engines.sandbox import host, images, plan, seccomp
from cove.engines.sandbox.config import SandboxConfig
from cove.ports import Collected, Finding

_KEEPER: Final = Path(__file__).with_name("keeper.py")
_ANSWER_SECONDS: Final = 10.0
_FOLDERS: Final = (
    ("root", 0o755), ("outputs", 0o755), ("logs", 0o755), ("home", 0o700), ("tmp", 0o1777), ("shm", 0o1777),
)  # fmt: skip
_USERS: Final = "root:x:0:0:root:/root:/bin/sh\njob:x:1000:1000:job:/home/job:/bin/sh\n"
_GROUP: Final = "root:x:0:\njob:x:1000:\n"


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
        self._bwrap = ""

    async def start(self) -> None:
        """Look at what this host can enforce, and listen for the ends of runs."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._bwrap = host.bubblewrap()
        self._limits = host.Limits.of_this_host()
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

    async def submit(self, run: Run) -> None:
        """Start a run unless one of its name was started before."""
        root_entries, sources, targets = await asyncio.to_thread(
            images.root_of, self._config.images, run.container, sys.base_prefix
        )
        folder = self._root / run.id
        try:
            await asyncio.to_thread(self._prepare, folder, run, root_entries, sources, targets)
        except OSError as problem:
            if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                raise NoSpace("There is no space left for a run.") from None
            raise Unavailable("sandbox", f"A run's folder cannot be made: {problem.strerror}.") from None
        await self._ask(run.id)

    async def observe(self, runs: Sequence[RunId]) -> Mapping[RunId, Observation]:
        """Say of every run what its files tell."""
        return {run: _observation(self._root / run) for run in runs}

    async def cancel(self, run: RunId, *, grace_seconds: float = 10.0) -> None:
        """Have its supervisor end a run; the grace is the one that the run was started with."""
        del grace_seconds
        await asyncio.to_thread(_write_to, self._root / run / "control", b"stop\n")

    async def collect(self, run: RunId) -> Collected:
        """Say where the outputs of an exited run are."""
        folder = self._root / run
        if not (folder / "exit.json").is_file():
            raise NotFound("There is no exited run of this name.")
        return Collected(folder / "collected" / "outputs", folder / "collected" / "logs", folder / "log")

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
        return await asyncio.to_thread(host.examine, self._bwrap, self._limits)

    # ------------------------------------------------------------------------------------------ starting

    def _prepare(
        self, folder: Path, run: Run, root: Sequence[tuple[str, str]], sources: list[str], targets: list[str]
    ) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if (folder / "started").exists():
            return
        with contextlib.suppress(FileExistsError):
            os.mkfifo(folder / "control", 0o600)
        package, library, binary = host.bubblewrap_parts(self._bwrap)
        binds = [f"{plan.BASE}/in/{number}" for number in range(len(run.binds))]
        spec: dict[str, Any] = {
            "uid": self._config.first_uid + int.from_bytes(secrets.token_bytes(4), "big") % self._config.uids,
            "sources": [*(bind.source for bind in run.binds), *sources, *package],
            "targets": [*binds, *targets, *library],
            "folders": _FOLDERS,
            "etc": [("passwd", _USERS), ("group", _GROUP), ("hosts", "127.0.0.1 localhost\n")],
            "disk": run.resources.disk_bytes,
            "inodes": run.resources.inodes,
            "options": plan.arguments(run, root, len(run.binds), secrets.token_hex(16)),
            "command": plan.command(run.container),
            "bwrap": binary,
            "seccomp": (seccomp.program() or b"").hex(),
            "cgroups": self._limits.cgroups(run.id, run.resources),
            "rlimits": self._limits.rlimits(run.resources),
            "log_bytes": run.resources.log_bytes,
            "seconds": run.resources.time_seconds,
            "grace": 10,
        }
        temporary = folder / "spec.tmp"
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(spec), "utf-8")
        temporary.rename(folder / "spec.json")

    async def _ask(self, run: RunId) -> None:
        """Have the keeper start a supervisor, and wait for its word that it did."""
        async with self._asking:
            for _ in range(2):
                keeper = await self._living_keeper()
                try:
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        if keeper.stdin is None or keeper.stdout is None:
                            continue
                        keeper.stdin.write(f"{run}\n".encode())
                        await keeper.stdin.drain()
                        if await keeper.stdout.readline():
                            break
                except (OSError, TimeoutError):
                    self._keeper = None
                self._keeper = None
            else:
                raise Unavailable("sandbox", "The sandbox's keeper does not start.")
        await self._wait_for_start(self._root / run)

    async def _wait_for_start(self, folder: Path) -> None:
        """Wait for the supervisor's first mark, a millisecond's matter."""
        for _ in range(2000):
            if (folder / "started").exists():
                return
            await asyncio.sleep(0.001)
        raise Unavailable("sandbox", "A run's supervisor did not start.")

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
        self._limits.end(folder.name)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                host.end_holder(folder / "lock", descriptor)
            finally:
                os.close(descriptor)
        self._limits.end(folder.name)
        images.remove_tree(folder)


def _observation(folder: Path) -> Observation:
    record = _record(folder)
    if record is not None:
        return record
    if not (folder / "started").exists():
        return Missing()
    if _is_locked(folder / "lock"):
        return Active(_started_at(folder))
    return _record(folder) or Exited(1, None, (folder / "started").stat().st_mtime, failure="lost")


def _record(folder: Path) -> Exited | None:
    try:
        found = json.loads((folder / "exit.json").read_bytes())
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


def _started_at(folder: Path) -> float | None:
    try:
        return (folder / "started").stat().st_mtime
    except FileNotFoundError:
        return None


def _is_locked(place: Path) -> bool:
    """Say whether a living supervisor holds a run: a lock dies with its holder, so no pid can mislead."""
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write_to(place: Path, text: bytes) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(place, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, text)
        finally:
            os.close(descriptor)


def _read(place: Path, offset: int, length: int) -> bytes:
    try:
        with place.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        return b""
