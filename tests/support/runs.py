"""Real runs for the suites of the Engine Protocol: scripts that an engine runs, and what is seen of them from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cove.core.job import Bind, Container, JobId, Resources, Run, RunId, run_id
from cove.core.lifecycle import Exited, Observation
from cove.ports import Engine

ALGORITHM = "/data/transformations/algorithm"
#: Seconds within which everything that a test waits for must have happened, on a busy machine too.
PATIENCE = 120.0
RESOURCES = Resources(
    cpus=2.0,
    memory_bytes=256 << 20,
    disk_bytes=32 << 20,
    inodes=1000,
    processes=32,
    time_seconds=60,
    log_bytes=1 << 20,
)
PRELUDE = """
import ctypes, errno, json, os, signal, socket, stat, struct, subprocess, sys
from pathlib import Path

def tell(word="ready"):
    with open("/data/inputs/channel/0", "w") as pipe:
        pipe.write(word + "\\n")

def wait():
    pipe = os.open("/data/inputs/channel/1", os.O_RDONLY)
    os.read(pipe, 1)
    os.close(pipe)

def attempt(act, *arguments, **named):
    # What became of something that should fail: the name of the error, or "done".
    try:
        act(*arguments, **named)
    except OSError as problem:
        return errno.errorcode.get(problem.errno, str(problem))
    return "done"

def write(place, content="x"):
    return attempt(lambda: Path(place).write_text(content))

libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    ctypes.set_errno(0)
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    answer = libc.syscall(ctypes.c_long(number), *words)
    return "done" if answer >= 0 else errno.errorcode[ctypes.get_errno()]

def daemon(body):
    # Run a function in a process that belongs to nobody but the first process of the sandbox.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            try:
                body()
            finally:
                os._exit(0)
        os._exit(0)
    os.wait()

def say(answer):
    print(json.dumps(answer), flush=True)
"""
"""What every script may use: a channel to the test, attempts that tell their error, raw system calls."""


def a_run(
    script: str | bytes = "",
    *binds: Bind,
    entrypoint: str | None = None,
    container: Container | None = None,
    environment: Sequence[tuple[str, str]] = (),
    **limits: Any,
) -> Run:
    """Give a run of a script under a name of its own, which stands on the command line of all its processes.

    Args:
        script: Python that may use the prelude; bytes are taken as they are.
        binds: Further files.
        entrypoint: None for ``python3 $ALGO``.
        container: None for the image ``host`` with the entrypoint.
        environment: Further variables.
        limits: What differs from ``RESOURCES``.
    """
    name = run_id(JobId(secrets.token_hex(16)), 1)
    content = script if isinstance(script, bytes) else (PRELUDE + script).encode()
    return Run(
        name,
        container or Container("host", entrypoint=f"python3 $ALGO {name}" if entrypoint is None else entrypoint),
        (Bind("", ALGORITHM, content), *binds),
        tuple(environment),
        replace(RESOURCES, **limits),
    )


@dataclass
class Told:
    """What was told of the getting of an image."""

    bytes_done: int = 0
    bytes_total: int | None = None
    doing: str = ""


@dataclass(frozen=True)
class Finished:
    """What came of a run."""

    exit: Exited
    #: The captured log.
    log: str
    #: Every entry of the outputs by its relative path; None for what is neither a regular file nor a folder.
    outputs: dict[str, bytes | None]
    #: The same of ``/data/logs``.
    logs: dict[str, bytes | None]

    @property
    def said(self) -> Any:
        """Give what the script said in the last line of its log."""
        assert self.exit.code == 0, (self.exit, self.log)
        return json.loads(self.log.splitlines()[-1])


class Channel:
    """Two named pipes, shown to a run as inputs: it tells the test how far it is, and waits until it may go on."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        places = [folder / "told", folder / "asked"]
        for place in places:
            os.mkfifo(place)
            place.chmod(0o666)
        self.binds = tuple(Bind(str(place), f"/data/inputs/channel/{n}") for n, place in enumerate(places))
        self._told, self._asked = (os.open(place, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC) for place in places)
        self._heard = b""

    def close(self) -> None:
        os.close(self._told)
        os.close(self._asked)

    async def heard(self) -> str:
        """Wait for one word of ``tell``."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            while b"\n" not in self._heard:
                readable = asyncio.Event()
                loop.add_reader(self._told, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(self._told)
                self._heard += os.read(self._told, 1 << 16)
        word, _, self._heard = self._heard.partition(b"\n")
        return word.decode()

    def has_more(self) -> bool:
        """Say whether there is a word that nobody waited for."""
        with contextlib.suppress(BlockingIOError):
            self._heard += os.read(self._told, 1 << 16)
        return b"\n" in self._heard

    def answer(self) -> None:
        """Let one ``wait`` go on."""
        os.write(self._asked, b"!")


@dataclass(frozen=True)
class Traits:
    """Where engines may differ in what is seen inside: the defaults are what the specification says word by word."""

    #: The uid inside; None where it is the one that the host sees, a different one for each run.
    user: int | None = 1000
    #: The working directory of an image that names none.
    working_directory: str = "/"
    #: Whether the run's first process is the sandbox's own program, which shows nothing and holds nothing. False: it is
    #: a usual init process, with the run's own environment and with pipes whose far end throws away what it reads.
    first_process_is_bare: bool = True
    #: Signals that the first process leaves blocked for the algorithm, as a mask.
    blocked_signals: int = 0
    #: Whether a run's processes may not write into each other's memory.
    memory_is_closed: bool = True
    #: Kinds of namespaces that a run has of its own.
    namespaces: frozenset[str] = frozenset({"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"})
    #: Places of a usual system that the engine itself puts into every run; nothing of this host may be in them.
    own_places: frozenset[str] = frozenset()
    #: What of ``gpus`` and ``network`` the engine has to give here.
    gives: frozenset[str] = frozenset()
    #: Whether the loopback is the only interface. False: there may be others that lead nowhere.
    network_is_bare: bool = True
    #: How many processes a run of one process shows: its own, and those of the sandbox.
    processes: int = 2
    #: Whether the home folder belongs to the run's user. False: it may write there, and the folder is another's.
    owns_home: bool = True
    #: Whether the table of mounts is silent on where on the host things lie.
    mounts_tell_nothing: bool = True
    #: Files of /proc that can be opened for writing, though nothing comes of it.
    open_in_proc: frozenset[str] = frozenset()
    #: Whether the number of a run's files is limited. False: its disk alone is.
    counts_files: bool = True
    #: Seconds after its start within which a run's script has begun for certain, on a busy machine too.
    beginning: int = 2
    #: How many runs a test may start at a time where it wants many: 1.0 of what it would like.
    crowd: float = 1.0


@dataclass
class Stage:
    """An engine that is started, with what a test does to it from outside."""

    engine: Engine
    #: Gives another engine object on the same folder or daemon.
    again: Callable[[], Engine]
    #: Kills what watches over a run, as a crash of this host's software would.
    lose: Callable[[RunId], None]
    #: Kills what the engine itself runs to start runs.
    cripple: Callable[[], None]
    #: What is enforced from outside each run here: ``memory``, ``pids``, ``cpu``, ``inodes``.
    enforced: frozenset[str]
    channel: Channel
    #: What the engine keeps on this host lies below it; the folder of the engine itself is ``engine``.
    folder: Path
    traits: Traits = Traits()
    #: Makes the engine's far end stop answering until the context ends; None where there is none.
    silenced: Callable[[], contextlib.AbstractContextManager[None]] | None = None
    #: Makes an image of the folder ``folder / name``, to be known as ``name:1``; the folder itself may be the image.
    load: Callable[[str], None] = lambda _: None
    _exits: dict[RunId, asyncio.Event] = field(default_factory=dict)

    def listen(self) -> None:
        """Hear of the ends of runs from the present engine."""
        self.engine.on_exit(lambda run: self._exit(run).set())

    def listen_again(self, run: RunId) -> None:
        """Forget an end that was heard of, for a run that is started again under its name."""
        self._exits.pop(run)

    def _exit(self, run: RunId) -> asyncio.Event:
        return self._exits.setdefault(run, asyncio.Event())

    async def restart(self) -> None:
        """Close the engine, and go on with another object."""
        await self.engine.close()
        self.engine = self.again()
        await self.engine.start()
        self.listen()

    async def observe(self, run: RunId) -> Observation:
        return (await self.engine.observe([run]))[run]

    async def ended(self, run: RunId, patience: float = PATIENCE) -> Exited:
        """Wait for the end of a run that was started."""
        async with asyncio.timeout(patience):
            await self._exit(run).wait()
        seen = await self.observe(run)
        assert isinstance(seen, Exited)
        return seen

    async def log(self, run: RunId) -> str:
        return (await self.engine.logs(run, 0, 1 << 30)).decode("utf-8", "replace")

    async def begin(self, run: Run) -> None:
        """Start a run, and wait until its script tells that it is ready."""
        await self.engine.submit(run)
        ended = asyncio.create_task(self._exit(run.id).wait())
        told = asyncio.create_task(self.channel.heard())
        await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not told.done():
            told.cancel()
            pytest.fail(f"the run ended before it was ready: {await self.observe(run.id)}\n{await self.log(run.id)}")
        assert await told == "ready"

    async def started(self, script: str, *binds: Bind, **limits: Any) -> Run:
        """Start a script, and wait until it told that it is ready."""
        run = a_run(script, *self.channel.binds, *binds, **limits)
        await self.begin(run)
        return run

    async def logged(self, run: RunId, text: str) -> None:
        """Wait until the log of a run that goes on is this text."""
        async with asyncio.timeout(PATIENCE):
            while (read := await self.log(run)) != text:
                assert text.startswith(read)

    async def finish(self, run: Run, patience: float = PATIENCE) -> Finished:
        """Start a run, wait for its end, and read what it left."""
        await self.engine.submit(run)
        return await self.finished(run.id, patience)

    async def finished(self, run: RunId, patience: float = PATIENCE) -> Finished:
        """Wait for the end of a run that was started, and read what it left."""
        seen = await self.ended(run, patience)
        places = await self.engine.collect(run)
        return Finished(seen, await self.log(run), contents(places.outputs), contents(places.logs))

    async def said(self, script: str, *binds: Bind, **more: Any) -> Any:
        """Run a script to its end, and give what it said."""
        return (await self.finish(a_run(script, *binds, **more))).said

    async def forget(self) -> None:
        """Remove every run, and see that nothing of any is left."""
        runs = await self.engine.runs()
        for run in runs:
            await self.engine.remove(run)
        assert list(await self.engine.runs()) == []
        assert traces_of(*runs) == []


def contents(folder: Path) -> dict[str, bytes | None]:
    """Read everything below a folder that may be missing, however deep; links are not followed, folders not listed."""
    return dict(_walk(folder)) if folder.is_dir() and not folder.is_symlink() else {}


def _walk(folder: Path) -> Iterator[tuple[str, bytes | None]]:
    for top, below, names, descriptor in os.fwalk(folder):
        linked = [
            name for name in below if stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
        ]
        for name in (*names, *linked):
            path = f"{top}/{name}"[len(f"{folder}/") :]
            if not stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                yield path, None
                continue
            with open(name, "rb", opener=lambda name, flags, top=descriptor: os.open(name, flags, dir_fd=top)) as file:
                yield path, file.read()


def processes_of(run: RunId) -> list[int]:
    """List the processes of this host that have a run's name on their command line."""
    return [pid for pid in _pids() if run.encode() in _read(f"/proc/{pid}/cmdline")]


def host_uid(pid: int) -> int:
    """Give the user of a process as this process sees it."""
    return Path(f"/proc/{pid}").stat().st_uid


def traces_of(*runs: RunId) -> list[str]:
    """List what this host holds under the names of runs: processes, mounts, cgroups."""
    found = [f"process {pid}" for run in runs for pid in processes_of(run)]
    for pid in _pids():
        lines = _read(f"/proc/{pid}/mountinfo").decode().splitlines()
        found += [line for line in lines if any(run in line for run in runs)]
    for parent, folders, _ in os.walk("/sys/fs/cgroup"):
        found += [f"{parent}/{name}" for name in folders if any(run in name for run in runs)]
    return found


async def died(pids: Sequence[int]) -> None:
    """Wait until processes that are not this one's children have ended."""
    loop = asyncio.get_running_loop()
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        loop.add_reader(process, ended.set)
        try:
            async with asyncio.timeout(PATIENCE):
                await ended.wait()
        finally:
            loop.remove_reader(process)
            os.close(process)


def is_folder_empty(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def mode_of(place: Path) -> int:
    return stat.S_IMODE(place.lstat().st_mode)


def _pids() -> list[int]:
    return [int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit()]


def _read(place: str) -> bytes:
    try:
        return Path(place).read_bytes()
    except OSError:
        return b""
