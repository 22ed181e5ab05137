"""Results in a folder of this host: ``<job id>/<attempt>/<digest of the file's type and path>``.

No name that an algorithm chose becomes a name on this disk. A file appears under its key whole or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from cove.core.airlock import file_key
from cove.core.errors import NoSpace, NotFound, Unavailable
from cove.core.job import JobId
from cove.core.policy import ReleasedOutput
from cove.ports import Finding
from cove.results import taking

_SMALL_CHUNK: Final = 1 << 18
_LARGE_CHUNK: Final = 1 << 22
_QUICK_SECONDS: Final = 0.1
PART: Final = "results"

_JOB: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", re.ASCII)
_KEY: Final = re.compile(r"([0-9A-Za-z][0-9A-Za-z_-]{0,63})/([0-9]{1,9})-([0-9a-f]{32})", re.ASCII)
_LOW_BYTES: Final = 1 << 30


class DiskResults:
    """A ``ResultStore`` in a folder.

    Args:
        root: Made, for the service's user alone, when it is not there. Where it lies on the file system of the runs,
            results are taken over without copying.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, job_id: JobId, attempt: int, output: ReleasedOutput, content: Callable[[], Path]) -> str:
        """Store one released file and give its key; an equal earlier put of the same path is replaced. Blocking."""
        key = self.key(job_id, attempt, output.type, output.path)
        with self._failures():
            taking.keep(self._root / key, content, output.size, output.sha256, self._root)
        return key

    def key(self, job_id: JobId, attempt: int, kind: str, path: str) -> str:
        """Give the key that :meth:`put` gives, or gave, to a file of this type and path."""
        if _JOB.fullmatch(job_id) is None:
            raise ValueError("this is no id of a job")
        return f"{job_id}/{attempt}-{file_key(kind, path)}"

    def settle(self, job_id: JobId) -> None:
        """Have the names of all that was put of a job outlive a power cut; their content does already. Blocking."""
        folder = self._root / job_id
        if _JOB.fullmatch(job_id) is None or not folder.is_dir():
            return
        with self._failures():
            for changed in (folder, self._root, self._root.parent):
                taking.flush_folder(changed)

    async def read(self, key: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Give a part of a stored file in chunks of at most 4 MiB; it ends early where the file does.

        Each chunk costs a way to a thread and back, so a reader who takes them quickly gets large ones; one who is
        slow gets small ones, so that a thousand of them hold little memory.
        """
        file = await asyncio.to_thread(self.open_file, key)
        try:
            end = offset + length
            size = _SMALL_CHUNK
            while offset < end:
                chunk = await asyncio.to_thread(self._read, file.fileno(), min(size, end - offset), offset)
                if not chunk:
                    return
                offset += len(chunk)
                given = time.monotonic()
                yield chunk
                is_quick = time.monotonic() - given < _QUICK_SECONDS
                size = min(size * 2, _LARGE_CHUNK) if is_quick else _SMALL_CHUNK
        finally:
            # After a cancellation a thread may still be reading; what it reads, from whatever file, goes nowhere.
            file.close()

    def open_file(self, key: str) -> BinaryIO:
        """Open a stored file without a buffer, to be sent by its descriptor (``loop.sendfile``); the caller closes it.

        Blocking, for some microseconds.

        Raises:
            NotFound: There is no such key.
            Unavailable: The disk does not answer.
        """
        if _KEY.fullmatch(key) is None:
            raise NotFound("There is no such result.")
        try:
            return taking.open_regular(self._root / key)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound("There is no such result.") from None
        except OSError as problem:
            raise self._unavailable(problem) from None

    async def delete(self, job_id: JobId) -> None:
        """Forget everything of a job. May be repeated."""
        if _JOB.fullmatch(job_id) is not None:
            await asyncio.to_thread(self._delete, self._root / job_id)

    async def jobs(self) -> Sequence[JobId]:
        """List the jobs that anything is stored of."""
        return await asyncio.to_thread(self._jobs)

    async def examine(self) -> Sequence[Finding]:
        """Look at the folder: whether it takes files, and how much room there is."""
        return await asyncio.to_thread(lambda: list(self._examine()))

    def _read(self, descriptor: int, length: int, offset: int) -> bytes:
        with self._failures():
            return os.pread(descriptor, length, offset)

    def _delete(self, folder: Path) -> None:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as problem:
            raise self._unavailable(problem) from None

    def _jobs(self) -> Sequence[JobId]:
        try:
            with os.scandir(self._root) as entries:
                return sorted(JobId(entry.name) for entry in entries if _JOB.fullmatch(entry.name))
        except FileNotFoundError:
            return ()
        except OSError as problem:
            raise self._unavailable(problem) from None

    def _examine(self) -> Iterator[Finding]:
        probe = self._root / f".probe-{secrets.token_hex(8)}"
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe.touch(mode=0o600, exist_ok=False)
            probe.unlink()
            free = shutil.disk_usage(self._root).free
            open_to_others = self._root.stat().st_mode & 0o077
        except OSError as problem:
            advice = "The user that Cove runs as needs to write this folder, and its disk needs room."
            seen = f"The results folder {self._root} cannot be written: {problem.strerror}."
            yield Finding(PART, ok=False, seen=seen, advice=advice)
            return
        enough = free >= _LOW_BYTES
        seen = f"{free >> 20} MiB are free for results in {self._root}."
        yield Finding(PART, ok=enough, seen=seen, advice="" if enough else "Make room, or move the state folder.")
        if open_to_others:
            seen = f"Others may look into the results folder {self._root}."
            yield Finding(PART, ok=False, seen=seen, advice=f"chmod 700 {self._root}")

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
                hint = "Make room on its disk; the job's results are stored when it is tried again."
                raise NoSpace(f"The disk of the results folder {self._root} is full.", hint=hint) from None
            raise self._unavailable(problem) from None

    def _unavailable(self, problem: OSError) -> Unavailable:
        message = f"The results folder {self._root} cannot be used: {problem.strerror}."
        return Unavailable(PART, message, hint="The user that Cove runs as needs to read and write it.")
