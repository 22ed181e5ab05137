"""computeResult: the released files, whole or by range."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.core import messages
from cove.core.errors import BadSignature
from cove.jobs.requests import ResultPart
from cove.web import auth, documentation
from cove.web.handles import job_id_of
from cove.web.parsing import parameters, read, required, whole_number
from cove.web.plain import PlainRoute
from cove.web.serving import Content, send
from cove.web.status import link_proof
from cove.wiring.house import Cove

_MAX_INDEX: Final = 1_000_000


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.head(f"{wire.API_PREFIX}/computeResult", include_in_schema=False)
    @router.get(
        f"{wire.API_PREFIX}/computeResult",
        response_class=Response,
        summary="One result of a job",
        responses={**documentation.responses(404, signed=True), **documentation.file_answers()},
        openapi_extra=documentation.query(wire.ResultSelector, required=("jobId",)),
    )
    async def result(request: Request) -> Response:
        """Stream a released file, all outputs in one archive where no index is given; ranges are honoured.

        HEAD takes a nonce as GET does.
        """
        chosen = read(wire.ResultSelector, await parameters(request, house.options.max_body))
        required(chosen, "jobId")
        index = None if chosen.index is None else whole_number(chosen.index, "index", _MAX_INDEX)
        job_id = messages.parse_job_id(chosen.jobId)
        if await _linked(house, chosen, index):
            part = await house.jobs.result(None, job_id, index)
        else:
            owner = await _owner(house, request, chosen)
            part = await house.jobs.result(owner, await job_id_of(house, job_id), index)
        return await send(request, Content(part.filename, part.size, part.etag, _reader(house, part)))

    return router


async def _owner(house: Cove, request: Request, chosen: wire.ResultSelector) -> str:
    proof = auth.proof_of(house, request, chosen.signature)
    required(chosen, *proof.needed())
    nonce = auth.nonce_of(proof, chosen.nonce)
    text = messages.compute_result(chosen.consumerAddress or "", chosen.jobId or "", chosen.index or "", nonce)
    return await auth.prove(house, chosen.consumerAddress or "", text, nonce, proof, command=messages.RESULT)


async def _linked(house: Cove, chosen: wire.ResultSelector, index: int | None) -> bool:
    """Say whether the request is one of our own links; a bad one is refused."""
    if not chosen.link or index is None:
        return False
    expires = whole_number(chosen.expires, "expires")
    attempt = await house.jobs.attempt_of(messages.parse_job_id(chosen.jobId))
    if attempt is not None:
        proof = link_proof(house.vault, chosen.jobId or "", attempt, index, expires)
        if hmac.compare_digest(proof.encode(), chosen.link.encode()) and house.clock.now() <= expires:
            return True
    raise BadSignature("The link is not valid any more.", hint="Ask for the status again, signed.")


def _reader(house: Cove, part: ResultPart) -> Callable[[int, int | None], AsyncIterator[bytes]]:
    def read(offset: int, length: int | None) -> AsyncIterator[bytes]:
        return house.jobs.read(part, offset, part.size - offset if length is None else length)

    return read
