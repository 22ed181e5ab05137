"""The house that a soak shakes: a state folder on a small disk, a service that is started again whatever ends it, a daemon."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx2
from tests.soak.kinds import KINDS, Placed, make
from tests.soak.service import KEY
from tests.support import daemons

from cove.core.errors import CoveError
from cove.core.job import Job, JobId, Phase
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.stores.sql import SqlJobStore

ROOT = Path(__file__).parents[2]
PATH = "/api/services/compute"
DISK_BYTES = 1 << 30
_BLOCK = bytes(1 << 20)
_LOOK = 0.1

Answer = TypeVar("Answer")


@dataclass
class House:
    """Everything that a soak does things to."""

    folder: Path
    port: int
    daemon: daemons.Daemon | None
    findings: list[str] = field(default_factory=list)
    placed: dict[JobId, Placed] = field(default_factory=dict)
    #: Unix times between which the disk was full.
    full: list[tuple[float, float]] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None
    _keeping: asyncio.Task[None] | None = None
    #: What is done just now that may keep a service from starting.
    _troubles: int = 0
    _up: asyncio.Event = field(default_factory=asyncio.Event)
    _is_killing: bool = False
    kills: int = 0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Make what the service is told."""
        self.owner = Account(b"\x01" * 32)
        self.vault = KeyVault(Account.from_hex(KEY))
        self.store = SqlJobStore(f"sqlite:///{self.folder / 'state' / 'cove.db'}")
        self._nonces = itertools.count(time.time_ns())
        self.starts = 0
        (self.folder / "docker").write_text("" if self.daemon is None else self.daemon.host)
        (self.folder / "port").write_text(str(self.port))

    # -------------------------------------------------------------------------------------------- the service

    async def open(self) -> None:
        """Start the service, and keep it started."""
        self._keeping = asyncio.create_task(self._keep())
        await asyncio.wait_for(self._up.wait(), 180)
        await self.store.start()

    async def _keep(self) -> None:
        while True:
            with (self.folder / "log").open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.soak.service", str(self.folder), cwd=ROOT,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                )  # fmt: skip
            assert self._process.stdout is not None
            try:
                if await self._process.stdout.readline():
                    self.starts += 1
                    self._up.set()
                code = await self._process.wait()
            finally:
                if self._process.returncode is None:
                    self._process.send_signal(signal.SIGTERM)
            self._up.clear()
            if code != -signal.SIGKILL and not self._troubles:
                self.findings.append(f"the service ended by itself with {code}: see its log")
            if code != -signal.SIGKILL:
                await asyncio.sleep(_LOOK)  # as a supervisor of services does

    async def kill(self, pause: float) -> None:
        """End the service as a crash would, a while after it came up: one that never comes up brings nothing forward."""
        if self._is_killing:
            return
        self._is_killing = True
        try:
            await self._up.wait()
            await asyncio.sleep(pause)
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
                self._up.clear()
                self.kills += 1
        finally:
            self._is_killing = False

    async def close(self) -> None:
        """Have the service end as its owner would."""
        await self._up.wait()
        assert self._keeping is not None
        assert self._process is not None
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        async with asyncio.timeout(120):
            await self._process.wait()
        if self._process.returncode != 0:
            self.findings.append(f"the service ended with {self._process.returncode} when it was told to")
        self._up.clear()

    # -------------------------------------------------------------------------------------------- troubles

    async def restart_daemon(self, pause: float) -> None:
        """Kill the container daemon and start it again."""
        assert self.daemon is not None
        with self._trouble():
            await asyncio.to_thread(self.daemon.kill)
            await asyncio.sleep(pause)
            await asyncio.to_thread(self.daemon.start)

    async def fill(self, pause: float) -> None:
        """Fill the disk of the state folder for a while."""
        began, place = time.time(), self.folder / "state" / "ballast"
        with self._trouble():
            until = time.monotonic() + pause
            try:
                while time.monotonic() < until:
                    await asyncio.to_thread(_stuff, place)  # what others free is taken too
                    await asyncio.sleep(_LOOK)
            finally:
                place.unlink(missing_ok=True)
                self.full.append((began, time.time()))

    async def lock(self, pause: float) -> None:
        """Hold the database's lock by another connection for a while."""
        with self._trouble():
            connection = sqlite3.connect(self.folder / "state" / "cove.db", timeout=20, check_same_thread=False)
            try:
                await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
                await asyncio.sleep(pause)
            except sqlite3.OperationalError:
                return  # a full disk
            finally:
                connection.close()

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        self._troubles += 1
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(5, self._relax)

    def _relax(self) -> None:
        self._troubles -= 1

    # -------------------------------------------------------------------------------------------- jobs

    async def add(self, kind: str, environment: str) -> None:
        """Put a job in, and do with it what its owner would."""
        placed, package = make(len(self.placed), kind, environment, self.owner.address, self.vault)
        (self.folder / "data" / placed.job.id).write_text("a,b\n1,2\n")
        while True:
            try:
                await self.store.add(placed.job, package)
                break
            except CoveError:
                await asyncio.sleep(_LOOK)
        self.placed[placed.job.id] = placed
        wish = KINDS[kind].wish
        if wish:
            await getattr(self, f"_{wish}")(placed)
            placed.wished = True

    async def _stop(self, placed: Placed) -> None:
        await self._until(placed.job.id, lambda job: job.phase is Phase.RUNNING)
        await self._ask("PUT", placed.job.id, placed.job.id)

    async def _delete(self, placed: Placed) -> None:
        await asyncio.sleep(placed.job.created_at % 4)
        await self._ask("DELETE", placed.job.id, placed.job.id)

    async def _restart(self, placed: Placed) -> None:
        await self._until(placed.job.id, lambda job: job.phase is Phase.DONE)
        await self._ask("POST", placed.job.id, placed.job.id)

    async def _ask(self, method: str, job_id: JobId, text: str) -> None:
        """Ask the service until it says yes; it may be down."""
        while True:
            async with self._asking:  # a greater nonce must not overtake
                answer = await self._asked(method, job_id, text)
            if answer is not None:
                job = await self.get(job_id)
                # It may have been done, and the answer lost.
                is_done = job is None or job.delete_requested_at is not None or (method == "POST" and job.attempt > 1)
                if answer.is_success or is_done:
                    return
                if answer.status_code < httpx2.codes.INTERNAL_SERVER_ERROR:
                    self.findings.append(f"{method} of job {job_id}: {answer.status_code} {answer.text}")
                    return
            await asyncio.sleep(_LOOK)

    async def _asked(self, method: str, job_id: JobId, text: str) -> httpx2.Response | None:
        address, nonce = self.owner.address, str(next(self._nonces))
        body = {"jobId": job_id, "consumerAddress": address, "nonce": nonce}
        body["signature"] = self.owner.sign_text(f"{address}{text}{nonce}")
        with contextlib.suppress(httpx2.TransportError):
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", trust_env=False) as http:
                return await http.request(method, PATH, json=body, timeout=30)
        return None

    async def _until(self, job_id: JobId, holds: object) -> None:
        while True:
            job = await self.get(job_id)
            if job is None or job.phase is Phase.DONE or holds(job):  # type: ignore[operator]
                return
            await asyncio.sleep(_LOOK)  # another process changes it

    async def get(self, job_id: JobId) -> Job | None:
        """Read a job, however long that takes."""
        return await self._read(lambda: self.store.get(job_id))

    async def under_way(self) -> int:
        """Count the jobs that are not done."""
        counts = [await self._read(partial(self.store.counts, name)) for name in ("default", "containers")]
        return sum(waiting + unfinished for waiting, unfinished in counts)

    async def settled(self, patience: float) -> bool:
        """Wait until all jobs are done; False when none of them has moved for so many seconds."""
        before: object = None
        until = time.monotonic() + patience
        while time.monotonic() < until:
            active, left = await self._read(self.store.active), await self.under_way()
            if not active and not left:
                return True
            now = left, [(job.id, job.version) for job in active]
            if now != before:
                before, until = now, time.monotonic() + patience
            await asyncio.sleep(_LOOK)
        return False

    async def _read(self, read: Callable[[], Awaitable[Answer]]) -> Answer:
        """Read from the store, however long that takes."""
        while True:
            try:
                return await read()
            except CoveError:
                await asyncio.sleep(_LOOK)


def _stuff(place: Path) -> None:
    try:
        with place.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(_BLOCK[:size]) == size:
                        pass
    except OSError as problem:
        if problem.errno != errno.ENOSPC:
            raise


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """Mount a small disk; False where this user may not."""
    place.mkdir(mode=0o700)
    if os.getuid() != 0:
        yield False
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "cove-soak", str(place)], check=True)
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)
