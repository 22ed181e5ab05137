"""computeLogs: what happens to a running job, and its log, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cove import wire
from cove.core import messages
from cove.core.job import JobId
from cove.jobs.livelogs import LogEnd, LogPart, Moved
from cove.web import auth, documentation, status
from cove.web.parsing import parameters, read, required
from cove.web.plain import PlainRoute
from cove.wiring.house import Cove

KEEP_ALIVE_SECONDS: Final = 15.0
"""After so much silence a comment is sent: proxies close what says nothing, and who has gone is found out."""

_HEADERS: Final = {
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
    "X-Accel-Buffering": "no",
}


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.get(
        f"{wire.API_PREFIX}/computeLogs",
        summary="What happens to a running job, with its log",
        response_class=Response,
        responses={
            **documentation.responses(404, signed=True),
            200: {
                "description": "Server-sent events",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
        },
        openapi_extra=documentation.query(wire.LogSelector, required=("jobId", "consumerAddress", "nonce")),
    )
    async def logs(request: Request) -> Response:
        """Follow a job of the caller's.

        Each `phase` event is JSON with `attempt`, `phase`, `status` and `statusText`, and with `exitCode`,
        `outOfMemory` and `reason` once the run is over. Each `log` event has `attempt`, `offset` (bytes) and `text`:
        while the job runs, where its environment and the owner of every dataset show logs live, else at the end, as
        much of the log as was released. The last event, `end`, holds the status.
        """
        asked = read(wire.LogSelector, await parameters(request, house.options.max_body))
        proof = auth.proof_of(house, request, asked.signature)
        required(asked, "jobId", *proof.needed())
        job_id = messages.parse_job_id(asked.jobId)
        nonce = messages.parse_nonce(asked.nonce)
        text = messages.compute_logs(asked.consumerAddress or "", asked.jobId or "", nonce)
        owner = await auth.prove(house, asked.consumerAddress or "", text, nonce, proof)
        await house.live_logs.check(owner, job_id)
        events = _events(house, owner, job_id)
        # The place is taken before the answer begins, so that a refusal still has its own status.
        return EventStream(await anext(events), events)

    return router


class EventStream(StreamingResponse):
    """An answer that ends with its client, and then lets go of everything at once."""

    def __init__(self, beginning: bytes, events: AsyncGenerator[bytes], media_type: str = "text/event-stream") -> None:
        super().__init__(_joined(beginning, events), 200, _HEADERS, media_type)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        async with contextlib.aclosing(self._events):
            await super().__call__(scope, receive, send)


async def _joined(beginning: bytes, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield beginning
    async for event in events:
        yield event


async def _events(house: Cove, owner: str, job_id: JobId) -> AsyncGenerator[bytes]:
    clock = asyncio.get_running_loop().time
    text = _LogText()
    with house.limits.streams.one(owner.lower()):
        yield b": the log begins\n\n"
        said = clock()
        async for part in house.live_logs.follow(owner, job_id):
            if isinstance(part, LogPart):
                yield _event("log", text.of(part))
            elif isinstance(part, Moved):
                yield _event("phase", status.moved(part.view.job))
            elif part is not None:
                yield _event("end", _end(house, job_id, part))
            elif clock() - said >= KEEP_ALIVE_SECONDS:
                yield b":\n\n"
            else:
                continue
            said = clock()


def _end(house: Cove, job_id: JobId, end: LogEnd) -> dict[str, Any]:
    if end.view is None:
        return {"jobId": job_id, "removed": 1}
    return status.full(end.view, house.clock.now())


class _LogText:
    """Reads a log's bytes as UTF-8, also where a character is cut by the end of a part."""

    def __init__(self) -> None:
        self._attempt = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def of(self, part: LogPart) -> dict[str, Any]:
        if part.attempt != self._attempt:
            self._attempt = part.attempt
            self._decoder.reset()
        return {"attempt": part.attempt, "offset": part.offset, "text": self._decoder.decode(part.content)}


def _event(name: str, content: object) -> bytes:
    # JSON in ASCII has no line ends: nothing that an algorithm writes can look like an event of ours.
    return f"event: {name}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode("ascii")
