"""computeResult: the released files, whole or by range."""

from __future__ import annotations

import hmac
import mimetypes
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cove import wire
from cove.core import messages
from cove.core.errors import BadSignature
from cove.jobs.requests import ResultPart
from cove.web import auth, documentation
from cove.web.errors import json_answer
from cove.web.parsing import parameters, read, required, whole_number
from cove.web.plain import PlainRoute
from cove.web.status import link_proof
from cove.wiring import Cove

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_MAX_INDEX: Final = 1_000_000


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.head(f"{wire.API_PREFIX}/computeResult", include_in_schema=False)
    @router.get(
        f"{wire.API_PREFIX}/computeResult",
        summary="One result of a job",
        responses={**documentation.responses(404), 200: {"content": {"application/octet-stream": {}}}},
        openapi_extra=documentation.query(wire.ResultSelector, required=("jobId", "index")),
    )
    async def result(request: Request) -> Response:
        """Stream a released file; ranges are honoured. HEAD takes a nonce as GET does."""
        chosen = read(wire.ResultSelector, await parameters(request, house.options.max_body))
        required(chosen, "jobId", "index")
        index = whole_number(chosen.index, "index", _MAX_INDEX)
        job_id = messages.parse_job_id(chosen.jobId)
        owner = None if await _linked(house, chosen, index) else await _owner(house, request, chosen)
        part = await house.jobs.result(owner, job_id, index)
        return await _answer(house, request, part, index)

    return router


async def _owner(house: Cove, request: Request, chosen: wire.ResultSelector) -> str:
    proof = auth.proof_of(request, chosen.signature)
    required(chosen, *proof.needed())
    nonce = messages.parse_nonce(chosen.nonce)
    text = messages.compute_result(chosen.consumerAddress or "", chosen.jobId or "", chosen.index or "", nonce)
    return await auth.prove(house, chosen.consumerAddress or "", text, nonce, proof)


async def _linked(house: Cove, chosen: wire.ResultSelector, index: int) -> bool:
    """Say whether the request is one of our own links; a bad one is refused."""
    if not chosen.link:
        return False
    expires = whole_number(chosen.expires, "expires")
    attempt = await house.jobs.attempt_of(messages.parse_job_id(chosen.jobId))
    if attempt is not None:
        proof = link_proof(house.vault, chosen.jobId or "", attempt, index, expires)
        if hmac.compare_digest(proof.encode(), chosen.link.encode()) and house.clock.now() <= expires:
            return True
    raise BadSignature("The link is not valid any more.", hint="Ask for the status again, signed.")


async def _answer(house: Cove, request: Request, part: ResultPart, index: int) -> Response:
    etag = f'"{part.etag}"'
    headers = {
        "Content-Disposition": disposition(part.filename),
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Cache-Control": "private, no-store",
    }
    if is_held(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range", "") if request.headers.get("if-range", etag) == etag else ""
    span = byte_range(asked, part.size)
    first, length = span or (0, part.size)
    if span is not None and length == 0:
        return json_answer(
            {"error": "The range is not in the file."},
            416,
            {"Content-Range": f"bytes */{part.size}", "Accept-Ranges": "bytes"},
        )
    if span is not None:
        headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{part.size}"
    headers["Content-Length"] = str(length)
    kind = _media_type(part.filename)
    code = 200 if span is None else 206
    if request.method == "HEAD" or length == 0:
        return Response(None, code, headers, kind)
    chunks = house.jobs.read(part, index, first, length)
    # Read before the answer begins, so that what cannot be read is still said with its own status.
    beginning = await anext(chunks, b"")
    return StreamingResponse(_joined(beginning, chunks), code, headers, kind)


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


def _media_type(filename: str) -> str:
    """Give a type that no browser runs: what could hold a script is sent as bytes."""
    if filename.endswith(".log"):
        return "text/plain; charset=utf-8"
    return _SAFE.get(mimetypes.guess_type(filename)[0] or "", "application/octet-stream")
