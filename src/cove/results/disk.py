"""Results in a folder of this host: ``<job id>/<attempt>/<digest of the file's type and path>``.

No name that an algorithm chose becomes a name on this disk. A file appears under its key whole or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from cove.core.errors import NoSpace, NotFound, StaleWrite, Unavailable
from cove.core.job import JobId
from cove.core.policy import ReleasedOutput
from cove.ports import Finding

CHUNK_BYTES: Final = 1 << 20
_SMALL_CHUNK: Final = 1 << 18
_LARGE_CHUNK: Final = 1 << 22
_QUICK_SECONDS: Final = 0.1
PART: Final = "results"

_JOB: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", re.ASCII)
_KEY: Final = re.compile(r"([0-9A-Za-z][0-9A-Za-z_-]{0,63})/([0-9]{1,9})-([0-9a-f]{32})", re.ASCII)
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_THE_FILE: Final = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EINVAL})
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
        if _JOB.fullmatch(job_id) is None:
            raise ValueError("this is no id of a job")
        name = hashlib.sha256(f"{output.type}\0{output.path}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        key = f"{job_id}/{attempt}-{name}"
        self._put(self._root / key, output, content)
        return key

    def settle(self, job_id: JobId) -> None:
        """Have the names of all that was put of a job outlive a power cut; their content does already. Blocking."""
        folder = self._root / job_id
        if _JOB.fullmatch(job_id) is None or not folder.is_dir():
            return
        with self._failures():
            for changed in (folder, self._root, self._root.parent):
                _flush_folder(changed)

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
            return _open_regular(self._root / key)
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

    def _put(self, target: Path, output: ReleasedOutput, content: Callable[[], Path]) -> None:
        if self._holds(target, output):
            # Put before, by a service that was killed before it noted it; the source may be gone by now.
            return
        with self._failures():
            _make(target.parent)
            try:
                self._take(target, output, content())
            except BaseException:
                _remove_empty(target.parent, self._root)
                raise

    def _holds(self, target: Path, output: ReleasedOutput) -> bool:
        try:
            file = _open_regular(target)
        except OSError:
            return False
        with file:
            return os.fstat(file.fileno()).st_size == output.size and _digest(file, output.size) == output.sha256

    def _take(self, target: Path, output: ReleasedOutput, source: Path) -> None:
        try:
            file = _open_regular(source)
        except OSError as problem:
            if problem.errno in _NOT_THE_FILE:
                raise _changed() from None
            raise
        with file:
            facts = os.fstat(file.fileno())
            if facts.st_size != output.size:
                raise _changed()
            if not (_may_be_moved(facts, target.parent) and _move(file, source, target, output)):
                _copy(file, target, output)

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


def _open_regular(place: Path) -> BinaryIO:
    """Open a regular file without following a link; OSError for anything else."""
    # Not blocking, so that a pipe in the file's place is looked at and not waited for.
    descriptor = os.open(place, _READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _changed() -> StaleWrite:
    return StaleWrite("The file is not the one that was released.")


def _check(digest: str, output: ReleasedOutput) -> None:
    if digest != output.sha256:
        raise _changed()


def _may_be_moved(facts: os.stat_result, folder: Path) -> bool:
    """Say whether a file can be ours by renaming: same file system, our own, and with no other name to change it by."""
    return facts.st_nlink == 1 and facts.st_uid == os.geteuid() and facts.st_dev == folder.stat().st_dev


def _move(file: BinaryIO, source: Path, target: Path, output: ReleasedOutput) -> bool:
    """Check a file and give it its new name; False where the file system wants a copy after all."""
    _check(_digest(file, output.size), output)
    os.fchmod(file.fileno(), 0o600)
    os.fsync(file.fileno())
    try:
        source.rename(target)
    except OSError as problem:
        if problem.errno in {errno.EXDEV, errno.EPERM, errno.EACCES}:
            return False
        if problem.errno == errno.ENOENT:
            raise _changed() from None
        raise
    now, checked = target.lstat(), os.fstat(file.fileno())
    if (now.st_dev, now.st_ino) != (checked.st_dev, checked.st_ino):
        # The name stood for another file by the time of the rename.
        target.unlink()
        raise _changed()
    return True


def _copy(file: BinaryIO, target: Path, output: ReleasedOutput) -> None:
    """Copy and hash in one pass, so that the digest is that of the very bytes that are written."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as copy:
            _check(_digest(file, output.size, copy), output)
            os.fsync(descriptor)
        partial.rename(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _digest(file: BinaryIO, size: int, copy: BinaryIO | None = None) -> str:
    """Hash a file from its start, and copy it on the way; never more than one byte beyond the size it should have."""
    file.seek(0)
    buffer = memoryview(bytearray(min(CHUNK_BYTES, size + 1)))
    digest = hashlib.sha256()
    remaining = size + 1
    while remaining > 0 and (count := file.readinto(buffer[:remaining])):  # type: ignore[attr-defined]
        digest.update(buffer[:count])
        if copy is not None:
            _write_all(copy, buffer[:count])
        remaining -= count
    return digest.hexdigest()


def _write_all(copy: BinaryIO, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[copy.write(chunk) :]


def _make(folder: Path) -> None:
    """Make a folder, and those above it, for the service's user alone."""
    for missing in (folder.parent, folder):
        if not missing.is_dir():
            missing.mkdir(mode=0o700, parents=True, exist_ok=True)


def _flush_folder(folder: Path) -> None:
    """Make a folder's new names outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(folder: Path, root: Path) -> None:
    """Take back folders that were made for a file that did not come."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent
