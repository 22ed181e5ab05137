"""Compressed bytes become a tar's bytes, a piece at a time, hashed on the way and never more than is allowed."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import Empty, Queue
from threading import Event, Thread
from typing import Final, Protocol

from cove.core.errors import ImageRefused

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = b"\x2a\x4d\x18"
_LOOK_SECONDS: Final = 0.05
_WINDOW_LOG: Final = 27
"""128 MiB: the most that a zstd frame may have us remember."""


_AHEAD: Final = 8
"""Pieces that may wait for who writes them."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's object in the shape of zstd's."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def decompressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give a layer's tar: from gzip, zstd or as it is, which its first bytes tell.

    Raises:
        ImageRefused: It is damaged, or ends too early.
    """
    waiting = iter(pieces)
    first = b""
    while len(first) < 4 and (piece := next(waiting, b"")):  # noqa: PLR2004 - what the signs are found by
        first += piece
    rest = _chained(first, waiting)
    if first.startswith(_GZIP):
        return _members(rest, _Gzip)
    if first.startswith(_ZSTD) or first[1:4] == _SKIPPABLE:
        return _members(rest, _zstd)
    return rest


def checked(pieces: Iterable[bytes], digest: str, limit: int) -> Iterator[bytes]:
    """Give pieces on, and see at their end that they are what a digest says.

    Args:
        pieces: What is to be checked.
        digest: ``sha256:<hex>``; empty for no check.
        limit: Bytes that there may be.

    Raises:
        ImageRefused: They are other bytes, or more.
    """
    found = hashlib.sha256()
    for piece in pieces:
        limit -= len(piece)
        if limit < 0:
            raise ImageRefused("The image is larger than this provider takes.")
        found.update(piece)
        yield piece
    if digest and f"sha256:{found.hexdigest()}" != digest:
        raise ImageRefused("A layer of the image is not what its digest says.")


def ahead(pieces: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Give pieces that a thread makes ready while the ones before are used. To be closed when it is not used up."""
    ready: Queue[bytes | BaseException | None] = Queue(_AHEAD)
    closed = Event()

    def make() -> None:
        last: BaseException | None = None
        try:
            for piece in pieces:
                ready.put(piece)
                if closed.is_set():
                    break
        except BaseException as problem:  # noqa: BLE001 - it is raised where the pieces are used
            last = problem
        ready.put(last)

    thread = Thread(target=make, name="cove-image", daemon=True)
    thread.start()
    try:
        while isinstance(piece := ready.get(), bytes):
            yield piece
        if piece is not None:
            raise piece
    finally:
        closed.set()
        while thread.is_alive():
            with contextlib.suppress(Empty):
                ready.get(timeout=_LOOK_SECONDS)


def _zstd() -> _Decompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _members(pieces: Iterator[bytes], make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Decompress one member after the other, as tools that work in parallel write them."""
    current: _Decompressor | None = None
    try:
        for piece in pieces:
            data = piece
            while data or (current is not None and not current.needs_input):
                if current is None:
                    data = data.lstrip(b"\0")  # what some tools fill the last block with
                    if not data:
                        break
                    current = make()
                made = current.decompress(data, PIECE_BYTES)
                data = b""
                if made:
                    yield made
                if current.eof:
                    data, current = current.unused_data, None
    except (zlib.error, zstd.ZstdError):
        raise ImageRefused("A layer of the image is damaged: it cannot be decompressed.") from None
    if current is not None:
        raise ImageRefused("A layer of the image is damaged: it ends too early.")
