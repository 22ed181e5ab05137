"""initialize and download: access services, ordered and fetched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.access.downloads import FileRequest, OpenFile
from cove.core import messages
from cove.core.errors import Refused
from cove.core.proof import Access, provider_data
from cove.web import auth, documentation, refusals
from cove.web.answers import fee_answer
from cove.web.callers import client_of
from cove.web.errors import json_answer
from cove.web.parsing import json_text, parameters, passed_on, read, required, whole_number
from cove.web.plain import PlainRoute
from cove.web.serving import Content, send
from cove.wiring.house import Cove

_MAX_INDEX = 1_000_000
_SERVED = frozenset({200, 206})


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.get(
        f"{wire.API_PREFIX}/initialize",
        response_model=wire.InitializedAccess,
        summary="What an order of an access service must pay",
        responses=documentation.responses(403, refusals=refusals.ACCESS),
        openapi_extra=documentation.query(
            wire.AccessRequest, required=("documentId", "serviceId", "consumerAddress"), without=("nonce", "signature")
        ),
    )
    async def initialize(request: Request) -> Response:
        """Quote an access service: its datatoken and the provider's signed fee, or the order that is still good."""
        asked = read(wire.AccessRequest, await parameters(request, house.options.max_body))
        required(asked, "documentId", "serviceId", "consumerAddress")
        consumer = auth.address(asked.consumerAddress)
        until = whole_number(asked.validUntil, "validUntil") if asked.validUntil else 0
        wanted = _file_request(asked, consumer)
        with house.limits.asking(client_of(request)):
            quote = await house.downloads.initialize(wanted, until)
        answer: dict[str, Any] = {"datatoken": quote.datatoken, "nonce": await auth.last_nonce(house, consumer)}
        if quote.valid_order is not None:
            return json_answer({**answer, "validOrder": quote.valid_order})
        return json_answer({**answer, "providerFee": fee_answer(quote.fee)})

    @router.head(f"{wire.API_PREFIX}/download", include_in_schema=False)
    @router.get(
        f"{wire.API_PREFIX}/download",
        response_class=Response,
        summary="A file of an access service",
        responses={
            **documentation.responses(403, 404, signed=True, refusals=refusals.DOWNLOAD),
            **documentation.file_answers(),
        },
        openapi_extra=documentation.query(
            wire.AccessRequest,
            required=("documentId", "serviceId", "transferTxId", "consumerAddress"),
            without=("validUntil", "environment"),
        ),
    )
    async def download(request: Request) -> Response:
        """Stream a file that an order pays for; ranges are honoured. HEAD takes a nonce as GET does."""
        asked = read(wire.AccessRequest, await parameters(request, house.options.max_body))
        proof = auth.proof_of(house, request, asked.signature)
        required(asked, "documentId", "serviceId", "transferTxId", *proof.needed())
        nonce = auth.nonce_of(proof, asked.nonce)
        wanted = _file_request(asked, auth.address(asked.consumerAddress))
        if wanted.consumer == house.vault.address:
            # Jobs fetch from other providers with this account. What it signs for them names no provider: whoever was
            # sent it could ask here for what consumers ordered in this account's name.
            raise Refused("consumerAddress", "own_account", hint="This provider gives no files to its own account.")
        text = messages.download(auth.signed_did(asked.documentId), nonce)
        await auth.prove(house, asked.consumerAddress or "", text, nonce, proof, command=messages.DOWNLOAD)
        opened = await house.downloads.open(wanted)

        def chunks(offset: int, length: int | None) -> AsyncIterator[bytes]:
            return house.downloads.read(wanted, opened, offset, length)

        name = opened.facts.filename or f"file{wanted.index or 0}"
        answer = await send(request, Content(name, opened.facts.content_length, opened.etag, chunks))
        if request.method == "GET" and answer.status_code in _SERVED and house.proofs.wanted:
            await house.proofs.record(_access(wanted, opened, text, proof))
        return answer

    return router


def _access(wanted: FileRequest, opened: OpenFile, signed_text: str, proof: auth.Proof) -> Access:
    """Give what is proven of a file that is about to be sent: the first of its bytes was read, none went out."""
    return Access(
        chain_id=opened.chain_id,
        order_tx=opened.order.tx_id,
        datatoken=opened.order.datatoken,
        consumer=wanted.consumer,
        provider_data=provider_data(wanted.did, wanted.service_id, wanted.index or 0),
        consumer_data=signed_text,
        consumer_signature=proof.signature,
    )


def _file_request(asked: wire.AccessRequest, consumer: str) -> FileRequest:
    return FileRequest(
        consumer=consumer,
        did=messages.parse_did(asked.documentId, "documentId"),
        service_id=asked.serviceId or "",
        index=whole_number(asked.fileIndex, "fileIndex", _MAX_INDEX) if asked.fileIndex else None,
        order_tx=messages.parse_tx(asked.transferTxId, "transferTxId") if asked.transferTxId else None,
        userdata=json_text(asked.userdata or {}, "userdata"),
        passed_on=passed_on(asked.policyServer),
    )
