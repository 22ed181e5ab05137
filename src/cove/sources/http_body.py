"""Reads the body of an HTTP/1.1 answer strictly: exactly as many bytes as it announced, decoded from chunks only.

``http.client`` reads until its caller's buffer is full, and takes framing that two readers could understand
differently. Here each read gives what came, so that a caller sees how fast it comes, and odd framing is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from cove.core.errors import DataMissing

_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_MAX_LINE: Final = 4096
_MAX_TRAILERS: Final = 100
_MISFRAMED: Final = "The source's answer is not framed as HTTP asks."


class Stream(Protocol):
    """The buffered bytes behind an answer's headers."""

    def readinto1(self, buffer: memoryview, /) -> int:
        """Give what is there, waiting for one byte at least; 0 at the end."""
        ...

    def readline(self, limit: int, /) -> bytes:
        """Give a line with its end."""
        ...


@dataclass(slots=True)
class Body:
    """A body that is read once, from its beginning."""

    stream: Stream
    #: Bytes that are still to come; None: chunks, or until the connection ends.
    left: int | None
    #: True when it comes in chunks; ``left`` then counts within the present one.
    chunked: bool = False
    ended: bool = False

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer with what comes next; 0 at the end.

        Raises:
            DataMissing: It broke off, or its chunks are malformed.
            OSError: The connection broke.
        """
        if self.ended or not buffer:
            return 0
        if self.chunked and self.left is None:
            self._next_chunk()
            if self.ended:
                return 0
        count = self.stream.readinto1(buffer if self.left is None else buffer[: self.left]) if self.left != 0 else 0
        if count == 0 and self.left:
            raise DataMissing("The source broke off before its announced end.")
        if self.left is not None:
            self.left -= count
        if self.chunked and self.left == 0:
            self._end_of_chunk()
        elif count == 0:
            self.ended = True
        return count

    def _next_chunk(self) -> None:
        line = self.stream.readline(_MAX_LINE)
        if not line:
            raise DataMissing("The source broke off before its announced end.")
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise DataMissing(_MISFRAMED)
        size = int(match[1], 16)
        if size:
            self.left = size
            return
        self._skip_trailers()
        self.left = 0
        self.ended = True

    def _end_of_chunk(self) -> None:
        if self.stream.readline(2) not in {b"\r\n", b"\n"}:
            raise DataMissing(_MISFRAMED)
        self.left = None

    def _skip_trailers(self) -> None:
        for _ in range(_MAX_TRAILERS):
            line = self.stream.readline(_MAX_LINE)
            if line in {b"\r\n", b"\n"}:
                return
            if not line.endswith(b"\n"):
                break
        raise DataMissing(_MISFRAMED)


def body_of(stream: Stream, headers: Mapping[str, str]) -> Body:
    """Give the body of an answer.

    Args:
        stream: At the first byte behind the headers.
        headers: Names in lower case; values of equal names joined with a comma.

    Raises:
        DataMissing: The framing is ambiguous or of a kind that was not asked for.
    """
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if coding.strip().lower() != "chunked" or "content-length" in headers:
            raise DataMissing(_MISFRAMED)
        return Body(stream, None, chunked=True)
    length = announced_length(headers)
    return Body(stream, length, ended=length == 0)


def announced_length(headers: Mapping[str, str]) -> int | None:
    """Give the value of ``Content-Length``; None when there is none.

    Raises:
        DataMissing: It is no number, or several that differ.
    """
    values = {value.strip() for value in headers.get("content-length", "").split(",")} - {""}
    if not values and "content-length" not in headers:
        return None
    if len(values) != 1 or _LENGTH.fullmatch(next(iter(values))) is None:
        raise DataMissing(_MISFRAMED)
    return int(values.pop())
