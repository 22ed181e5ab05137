"""The airlock in a folder of this host: ``<job id>/<digest of the file's type and path>``, for the service alone.

No name that an algorithm chose becomes a name on this disk, and nothing here is ever counted or served as a result.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cove.core.airlock import file_key
from cove.core.errors import NoSpace, NotFound, Unavailable
from cove.core.job import JobId, Verdict
from cove.results import taking

PART: Final = "airlock"

_JOB: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", re.ASCII)
_MISSING: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL})


class DiskAirlock:
    """An ``Airlock`` in a folder.

    Args:
        root: Made, for the service's user alone, when it is not there. Where it lies on the file system of the runs,
            files are taken over without copying.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, job_id: JobId, file: Verdict, content: Callable[[], Path]) -> None:
        """Take a file in; an equal earlier one of the same type and path stays. Blocking."""
        target = self.place(job_id, file.type, file.path)
        with self._failures():
            taking.keep(target, content, file.size, file.sha256, self._root)

    def settle(self, job_id: JobId) -> None:
        """Have the names of all that was taken in of a job outlive a power cut; their content does. Blocking."""
        folder = self._folder(job_id)
        if not folder.is_dir():
            return
        with self._failures():
            for changed in (folder, self._root, self._root.parent):
                taking.flush_folder(changed)

    def look(self, job_id: JobId, kind: str, path: str) -> tuple[int, str]:
        """Give size and sha256 of a file as it is now. Blocking."""
        with self._failures():
            return taking.look(self.place(job_id, kind, path))

    def place(self, job_id: JobId, kind: str, path: str) -> Path:
        """Say where a file is, or would be."""
        return self._folder(job_id) / file_key(kind, path)

    async def read(self, job_id: JobId, kind: str, path: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Give a part of a file in chunks of at most 1 MiB; it ends early where the file does."""
        place = self.place(job_id, kind, path)
        with self._failures():
            file = await asyncio.to_thread(taking.open_regular, place)
        with file:
            end = offset + length
            while offset < end:
                wanted = min(taking.CHUNK_BYTES, end - offset)
                with self._failures():
                    chunk = await asyncio.to_thread(os.pread, file.fileno(), wanted, offset)
                if not chunk:
                    return
                offset += len(chunk)
                yield chunk

    async def delete(self, job_id: JobId) -> None:
        """Remove everything of a job. May be repeated."""
        if _JOB.fullmatch(job_id) is not None:
            await asyncio.to_thread(self._delete, self._root / job_id)

    async def jobs(self) -> Sequence[JobId]:
        """List the jobs that anything is kept of."""
        return await asyncio.to_thread(self._jobs)

    def _folder(self, job_id: JobId) -> Path:
        if _JOB.fullmatch(job_id) is None:
            raise ValueError("this is no id of a job")
        return self._root / job_id

    def _delete(self, folder: Path) -> None:
        with self._failures(), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)

    def _jobs(self) -> Sequence[JobId]:
        try:
            with os.scandir(self._root) as entries:
                return sorted(JobId(entry.name) for entry in entries if _JOB.fullmatch(entry.name))
        except FileNotFoundError:
            return ()
        except OSError as problem:
            raise self._unavailable(problem) from None

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
                hint = "Make room on its disk; the job is taken further when it is tried again."
                raise NoSpace(f"The disk of the airlock's folder {self._root} is full.", hint=hint) from None
            if problem.errno in _MISSING:
                raise NotFound("There is no such file in the airlock.") from None
            raise self._unavailable(problem) from None

    def _unavailable(self, problem: OSError) -> Unavailable:
        message = f"The airlock's folder {self._root} cannot be used: {problem.strerror}."
        return Unavailable(PART, message, hint="The user that Cove runs as needs to read and write it.")
