"""Sends files, whole or by range, in a way that no browser runs them."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cove.web.errors import json_answer

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Content:
    """A file that is to be sent."""

    filename: str
    #: Bytes; None when it is not known: then there are no ranges.
    size: int | None
    #: Strong validator, without quotes; empty for none.
    etag: str
    #: Gives the bytes from an offset on, at most so many of them (None: all); it may say by an error that it cannot.
    read: Callable[[int, int | None], AsyncIterator[bytes]]


async def send(request: Request, content: Content) -> Response:
    """Answer a GET or HEAD with a file, or the part of it that is asked for (RFC 9110)."""
    etag = f'"{content.etag}"' if content.etag else ""
    headers = {
        "Content-Disposition": disposition(content.filename),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Cache-Control": "private, no-store",
        **({"ETag": etag} if etag else {}),
        **({"Accept-Ranges": "bytes"} if content.size is not None else {}),
    }
    if etag and is_held(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    first, length, code = 0, content.size, 200
    if content.size is not None:
        asked = request.headers.get("range", "") if request.headers.get("if-range", etag) == etag else ""
        span = byte_range(asked, content.size)
        if span is not None:
            first, length, code = *span, 206
            if length == 0:
                return _outside(content.size)
            headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{content.size}"
        headers["Content-Length"] = str(length)
    kind = _media_type(content.filename)
    if request.method == "HEAD" or length == 0:
        return Response(None, code, headers, kind)
    chunks = content.read(first, length)
    # Read before the answer begins, so that what cannot be read is still said with its own status.
    beginning = await anext(chunks, b"")
    return StreamingResponse(_joined(beginning, chunks), code, headers, kind)


def _outside(size: int) -> Response:
    headers = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
    return json_answer({"error": "The range is not in the file."}, 416, headers)


async def _joined(beginning: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield beginning
    async for chunk in chunks:
        yield chunk


def is_held(header: str, etag: str) -> bool:
    """Say whether an If-None-Match header names an entity tag; tags are compared weakly (RFC 9110, 13.1.2)."""
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in header.split(","))


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Give first byte and length of what a Range header asks for (RFC 9110, 14.1.2).

    Args:
        header: Empty for none. What is no single range of bytes is ignored, which the RFC allows.
        size: Bytes of the whole file.

    Returns:
        None for the whole file; a length of 0 when the range lies outside of the file.
    """
    match = _RANGE.fullmatch(header.strip().lower())
    if match is None:
        return None
    start, end = match.groups()
    if not start:
        length = min(int(end), size) if end else None
        return None if length is None else (size - length, length)
    first = int(start)
    if end and int(end) < first:
        return None
    last = min(int(end), size - 1) if end else size - 1
    return first, max(0, last - first + 1)


def disposition(filename: str) -> str:
    """Give a Content-Disposition that never renders and that ocean.js can read (no blanks, no quotes)."""
    name = filename.rpartition("/")[2]
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name) or "result"
    header = f"attachment;filename={plain}"
    return header if plain == name else f"{header};filename*=UTF-8''{quote(name, safe='', errors='replace')}"


_SAFE: Final[Mapping[str, str]] = {
    "text/csv": "text/csv",
    "application/json": "application/json",
    "text/plain": "text/plain; charset=utf-8",
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "application/x-tar": "application/x-tar",
}
_BYTES: Final = "application/octet-stream"

MEDIA_TYPES: Final = (_BYTES, *(kind.partition(";")[0] for kind in _SAFE.values()))
"""What files are sent as."""


def _media_type(filename: str) -> str:
    """Give a type that no browser runs: what could hold a script is sent as bytes."""
    if filename.endswith(".log"):
        return "text/plain; charset=utf-8"
    return _SAFE.get(mimetypes.guess_type(filename)[0] or "", _BYTES)
