"""Archives to and from a container: what Cove gives is built here, what a run left is hostile and taken apart here."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

PARTS: Final = ("outputs", "logs")
OUTPUTS: Final = "w/out/"
LOG: Final = "c/log/text"
"""Where they are in the archive that a keeper makes (``scripts.HANDING``)."""

_CHUNK: Final = 1 << 20
_BLOCK: Final = 512
_MAX_DEPTH: Final = 64
#: How much of an archive is read for each byte that a run may leave: sparse files are sent as zeros.
_PATIENCE: Final = 64
_SLACK: Final = 64 << 20


class CutOff(Exception):
    """An archive ended before its end."""


class TooLarge(Exception):
    """A folder is larger than it may be."""


@dataclass(slots=True)
class Packed:
    """A small archive that is built in memory."""

    _buffer: io.BytesIO = field(default_factory=io.BytesIO)
    _made: set[str] = field(default_factory=set)

    def folder(self, name: str) -> None:
        """Add a folder, and those above it, unless it is there."""
        parts = name.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            above = "/".join(parts[:depth])
            if above and above not in self._made:
                self._made.add(above)
                self._buffer.write(_header(above, tarfile.DIRTYPE, 0, 0o755))

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file with the folders above it."""
        name = name.strip("/")
        self.folder(name.rpartition("/")[0])
        self._made.add(name)
        self._buffer.write(_header(name, tarfile.REGTYPE, len(content), mode))
        self._buffer.write(content + bytes(-len(content) % _BLOCK))

    def whole(self) -> bytes:
        """Give the archive."""
        return self._buffer.getvalue() + bytes(2 * _BLOCK)


async def copies_of(sources: Sequence[str]) -> AsyncIterator[bytes]:
    """Give an archive of files and folders under the names 0, 1, ..., readable by everybody."""
    for number, source in enumerate(sources):
        for name, path, facts in await asyncio.to_thread(lambda at=source: list(_below(at))):  # type: ignore[misc]
            inside = f"{number}/{name}" if name else str(number)
            if stat.S_ISDIR(facts.st_mode):
                yield _header(inside, tarfile.DIRTYPE, 0, 0o755)
                continue
            with open(path, "rb") as file:  # noqa: ASYNC230, PTH123 - read in a thread, below
                size = os.fstat(file.fileno()).st_size
                yield _header(inside, tarfile.REGTYPE, size, 0o555 if facts.st_mode & stat.S_IXUSR else 0o444)
                left = size
                while left:
                    part = await asyncio.to_thread(file.read, min(left, _CHUNK))
                    if not part:
                        raise OSError("An input became shorter while it was read.")
                    left -= len(part)
                    yield part
            yield bytes(-size % _BLOCK)
    yield bytes(2 * _BLOCK)


def is_readable(source: str) -> bool:
    """Say whether every user may read a file, or a folder with all that is in it.

    Whoever may not enter the folders above does not matter: a daemon that binds a path is root.
    """
    return all(
        facts.st_mode & stat.S_IROTH and (not stat.S_ISDIR(facts.st_mode) or facts.st_mode & stat.S_IXOTH)
        for _, _, facts in _below(source, special=True)
    )


def _below(source: str, *, special: bool = False) -> Iterator[tuple[str, str, os.stat_result]]:
    """Give a file, or a folder and what is in it, by name relative to it; links and what is special only if asked."""
    yield "", source, Path(source).stat()
    for top, folders, files in os.walk(source):
        for name in sorted([*folders, *files]):
            path = f"{top}/{name}"
            facts = Path(path).lstat()
            if (
                stat.S_ISDIR(facts.st_mode)
                or stat.S_ISREG(facts.st_mode)
                or (special and not stat.S_ISLNK(facts.st_mode))
            ):
                yield path[len(source) :].strip("/"), path, facts


def _header(name: str, kind: bytes, size: int, mode: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.mode = kind, size, mode
    # Of all ways to write a long name, busybox reads GNU's alone.
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


class _Enough(Exception):
    """More came than anybody could have written: a sparse file is sent as zeros."""


class _Reader(io.RawIOBase):
    """A stream of pieces as tarfile reads it."""

    def __init__(self, pieces: Iterable[bytes], limit: int, mark: bytes = b"") -> None:
        self._pieces = iter(pieces)
        self._mark = mark
        self._rest = memoryview(b"")
        self._left = limit
        self._end = b""
        self._is_over = False

    def is_whole(self) -> bool:
        """Read to the end, and say whether it is where it should be."""
        while self._next():
            pass
        return self._end == self._mark

    def read(self, size: int = -1) -> bytes:
        """Give the next bytes.

        Raises:
            _Enough: There is no end of it.
            CutOff: It is over, and was asked for again: tarfile would go on for the rest of a file's size.
        """
        if self._is_over:
            raise CutOff
        parts: list[memoryview] = []
        while size > 0 and (self._rest or self._next()):
            parts.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(parts[-1])
        self._is_over = not parts
        return b"".join(parts)

    def _next(self) -> bool:
        if self._left <= 0:
            raise _Enough
        if self._mark and self._end == self._mark:
            return False  # what sends it may stay open
        piece = next(self._pieces, b"")
        self._left -= len(piece)
        self._rest = memoryview(piece)
        if self._mark:
            self._end = (self._end + piece[-len(self._mark) :])[-len(self._mark) :]
        return bool(piece)


def unpack(pieces: Iterable[bytes], folder: Path, budget: int, log_bytes: int, mark: bytes) -> bytes:
    """Write the outputs of a keeper's archive below a folder: regular files alone, no modes of the run's choice.

    Args:
        pieces: The archive, as it comes.
        folder: Where to.
        budget: Bytes of outputs at the most; files that do not fit are left out.
        log_bytes: Bytes of the log at the most.
        mark: What comes last: nothing behind it is waited for.

    Returns:
        The log.

    Raises:
        CutOff: The archive did not come to its end; it can be asked for again.
        OSError: The disk is full.
    """
    left = budget
    log = b""
    seen: set[str] = set()
    reader = _Reader(pieces, budget * _PATIENCE + log_bytes + _SLACK, mark)
    try:
        with _opened(reader) as archive:
            for entry in archive:
                if entry.name == LOG and entry.isreg():
                    content = archive.extractfile(entry)
                    log = b"" if content is None else content.read(log_bytes)
                    continue
                name = _name(entry.name)
                if not name or not (entry.isreg() or entry.islnk()):
                    continue
                content = _content(archive, entry, folder, seen)
                size = 0 if content is None else os.fstat(content.fileno()).st_size if entry.islnk() else entry.size
                if content is None:
                    continue
                with content:
                    if size > left:
                        continue
                    left -= size
                    _write(folder, name, content)
                seen.add(name)
    except _Enough:
        return log  # what comes after such files is lost, and it is the run's own
    except (tarfile.TarError, ValueError):
        pass  # what cannot be read is lost; whether more was to come is seen below
    try:
        if not reader.is_whole():
            raise CutOff
    except _Enough:
        pass
    return log


def content_of(pieces: Iterable[bytes], length: int) -> bytes:
    """Give the beginning of the one file of an archive."""
    with contextlib.suppress(tarfile.TarError), _opened(_Reader(pieces, length + _SLACK)) as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is not None:
                return content.read(length)
    return b""


def _opened(reader: _Reader) -> tarfile.TarFile:
    return tarfile.open(fileobj=reader, mode="r|", encoding="utf-8", errors="surrogateescape")


def _name(name: str) -> str:
    """Give the relative name of an output, with ``outputs`` or ``logs`` first; empty for what is none."""
    if not name.startswith(OUTPUTS):
        return ""
    words = name[len(OUTPUTS) :].split("/")
    if len(words) < 2 or words[0] not in PARTS or {"", ".", ".."} & set(words) or len(words) > _MAX_DEPTH + 2:  # noqa: PLR2004
        return ""
    return "/".join(words)


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path, seen: set[str]) -> IO[bytes] | None:
    """Give a file's content; another name of a file that was written is a copy of that."""
    if not entry.islnk():
        return archive.extractfile(entry)
    source = _name(entry.linkname)
    if source not in seen:
        return None
    at = _enter(folder, source.split("/")[:-1])
    try:
        return os.fdopen(os.open(source.rpartition("/")[2], os.O_RDONLY | os.O_NOFOLLOW, dir_fd=at), "rb")
    finally:
        os.close(at)


def _write(folder: Path, name: str, content: IO[bytes]) -> None:
    *above, last = name.split("/")
    at = _enter(folder, above)
    try:
        target = os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=at)
    finally:
        os.close(at)
    with os.fdopen(target, "wb", 0) as file:
        while part := content.read(_CHUNK):
            view = memoryview(part)
            while view:
                view = view[file.write(view) or 0 :]


def _enter(folder: Path, names: Sequence[str]) -> int:
    """Go down folder by folder, making those that are missing: all names together may be too long for one call."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for name in names:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=at)
        try:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
        finally:
            os.close(at)
        at = below
    return at


def repacked(pieces: Iterable[bytes], user: int, limit: int) -> IO[bytes]:
    """Give a folder's archive anew: its content alone, as a user's own, in a temporary file.

    Raises:
        TooLarge: It is larger than the limit.
    """
    made = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        with (
            _opened(_Reader(pieces, limit + _SLACK)) as source,
            tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as target,
        ):
            left = limit
            for entry in source:
                left -= entry.size
                if left < 0:
                    raise TooLarge  # noqa: TRY301 - the file is closed on the way out
                if entry.isreg() or entry.isdir() or entry.issym() or entry.islnk():
                    target.addfile(_owned(entry, user), source.extractfile(entry) if entry.isreg() else None)
    except _Enough:
        made.close()
        raise TooLarge from None
    except BaseException:
        made.close()
        raise
    made.seek(0)
    return made


def _owned(entry: tarfile.TarInfo, user: int) -> tarfile.TarInfo:
    """Give an entry without the folder that the archive begins with, as a user's own."""
    link = entry.linkname.partition("/")[2] if entry.islnk() else entry.linkname
    name = entry.name.partition("/")[2] or "."
    return entry.replace(name=name, linkname=link, uid=user, gid=user, uname="", gname="", mode=entry.mode & 0o777)
