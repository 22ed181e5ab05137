"""What a small site needs of a metadata cache (Aquarius): published DDOs, and a check before publishing."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.core import messages
from cove.core.errors import NotFound
from cove.web import documentation
from cove.web.callers import client_of
from cove.web.errors import json_answer
from cove.web.parsing import body_of
from cove.web.plain import PlainRoute
from cove.wiring.house import Cove

_WRAPPED: Final = b'{"ddo":'


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.get(
        f"{wire.CACHE_PREFIX}/ddo/{{did}}",
        response_model=dict[str, Any],
        summary="A published DDO",
        responses=documentation.responses(404),
        openapi_extra={"parameters": [documentation.parameter("did", "The asset's DID", place="path")]},
    )
    async def document(request: Request) -> Response:
        """Give the DDO of a published asset, with its NFT's state and owner and its newest metadata event."""
        did = messages.parse_did(request.path_params["did"], "did")
        try:
            with house.limits.asking(client_of(request)):
                text = await house.access.asset_document(did)
        except NotFound as problem:
            # Before it publishes, ocean.py looks for Aquarius's own words, and takes every other answer for an asset.
            words = f"Asset DID {did} not found in Elasticsearch"
            return json_answer({"error": problem.message, "code": problem.code, "message": words}, 404)
        return Response(text.encode(), media_type="application/json")

    @router.post(
        f"{wire.CACHE_PREFIX}/ddo/validate",
        response_model=wire.CheckedDocument,
        summary="Check a DDO before it is published",
        responses=documentation.responses(413),
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "The DDO, JSON",
                "content": {"application/octet-stream": {}},
            }
        },
    )
    async def validate(request: Request) -> Response:
        """See that a DDO follows the rules of Ocean's shapes and could be read here once it is published.

        The body is its JSON. The answer is a validator's proof, which the NFT's contract checks where a publisher
        writes it on chain: the provider's signature (EIP-191) of the sha256 of the body. What else the provider signs
        are keccak hashes, so that this signature is good for nothing else. A body that begins with {"ddo": is one of
        Ocean Node's API: the document is what follows, byte by byte.
        """
        body = await body_of(request, house.options.max_body)
        house.limits.outside(client_of(request))
        digest = await house.access.check_document(_document_in(body))
        v, r, s = house.vault.sign_hash(digest)
        proof = {"publicKey": house.vault.address, "v": v, "r": ["0x" + r.hex()], "s": ["0x" + s.hex()]}
        return json_answer({"hash": "0x" + digest.hex(), **proof})

    return router


def _document_in(body: bytes) -> bytes:
    """Give the document of a body, which clients of Ocean Node's API wrap: what is published is hashed as it is."""
    if not body.startswith(_WRAPPED):
        return body
    try:
        text = body[len(_WRAPPED) :].decode()
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return body
    return text[:end].encode()
