"""Brings a result into a file: resumed after a break, checked, and in place whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Final, Protocol

import httpx2

from cove.client.errors import DownloadBroken, NotReachable, NotThere, ServerRefused

_CHUNK: Final = 256 << 10
_TRIES: Final = 5
_FIRST_PAUSE: Final = 0.1
_PARTIAL: Final = 206
_UNSATISFIABLE: Final = 416
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and the bytes of the whole file (None when the server does not say)."""


class Open(Protocol):
    """Asks for the file; called anew, with a new signature, after every break."""

    def __call__(self, headers: Mapping[str, str]) -> AbstractContextManager[httpx2.Response]:
        """Give the answer to a request with these headers."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """What the status promised of a file."""

    #: Bytes; None when the status does not say.
    size: int | None = None
    #: Hex digest; None for a file that is built while it is sent.
    sha256: str | None = None


@dataclass(slots=True)
class _Piece:
    """What is here already."""

    file: BufferedRandom
    received: int = 0
    total: int | None = None
    etag: str = ""

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.received = 0


def download(
    open_file: Open,
    target: Path,
    expected: Expected,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Bring a file.

    Args:
        open_file: Asks the server for it.
        target: Where it goes; an existing file is replaced in one step.
        expected: What it must be.
        progress: Told about the bytes.
        pause: Waits some seconds between two tries.

    Raises:
        DownloadBroken: It is not what was expected; nothing is left.
        NotReachable: Five tries in a row brought no byte.
        OSError: The file cannot be written; nothing is left.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            piece = _Piece(file)
            _receive(piece, open_file, expected, progress or _silent, pause)
            file.flush()
            _check(piece, expected, target.name)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    return target


def _receive(
    piece: _Piece, open_file: Open, expected: Expected, progress: Progress, pause: Callable[[float], None]
) -> None:
    tries = 0
    while True:
        before = piece.received
        try:
            _receive_once(piece, open_file, expected, progress)
        except NotReachable:
            tries = 1 if piece.received > before else tries + 1
            if tries >= _TRIES:
                raise
            pause(_FIRST_PAUSE * 2**tries)
            continue
        return


def _receive_once(piece: _Piece, open_file: Open, expected: Expected, progress: Progress) -> None:
    try:
        with open_file(_headers(piece)) as answer:
            _begin(piece, answer, expected)
            progress(piece.received, piece.total)
            for chunk in answer.iter_bytes(_CHUNK):
                piece.file.write(chunk)
                piece.received += len(chunk)
                if piece.total is not None and piece.received > piece.total:
                    raise DownloadBroken("The server sent more bytes than it had promised.")
                progress(piece.received, piece.total)
    except NotThere:
        raise
    except ServerRefused as refused:
        if refused.status != _UNSATISFIABLE or piece.received == 0 or piece.received != piece.total:
            raise
    if piece.total is not None and piece.received < piece.total:
        raise NotReachable("The connection broke off before the end of the file.")


def _headers(piece: _Piece) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if piece.received and piece.etag:
        return headers | {"Range": f"bytes={piece.received}-", "If-Range": piece.etag}
    return headers


def _begin(piece: _Piece, answer: httpx2.Response, expected: Expected) -> None:
    """Place the file's end where the answer goes on, and learn the whole length."""
    if answer.status_code == _PARTIAL:
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        if match is None or int(match[1]) != piece.received:
            raise DownloadBroken("The server sent another part of the file than was asked for.")
        return
    if piece.received:
        piece.restart()
    length = answer.headers.get("content-length", "")
    piece.total = int(length) if length.isascii() and length.isdigit() else expected.size
    etag = answer.headers.get("etag", "")
    piece.etag = "" if etag.startswith("W/") else etag


def _check(piece: _Piece, expected: Expected, name: str) -> None:
    if expected.size is not None and expected.size != piece.received:
        raise DownloadBroken(f"{name} has {piece.received} bytes; the status promised {expected.size}.")
    if expected.sha256 is None:
        return
    piece.file.seek(0)
    if hashlib.file_digest(piece.file, "sha256").hexdigest() != expected.sha256.lower():
        raise DownloadBroken(f"{name} has not the sha256 that the status promised.")


def _silent(received: int, total: int | None) -> None:
    del received, total
