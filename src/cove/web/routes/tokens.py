"""Auth tokens: made for a time, and taken back."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.core import messages
from cove.core.errors import BadSignature, Invalid
from cove.web import auth, documentation
from cove.web.errors import json_answer
from cove.web.parsing import parameters, read, required, whole_number
from cove.web.plain import PlainRoute
from cove.wiring.house import Cove

_LATEST = (1 << 53) - 1


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.get(
        f"{wire.API_PREFIX}/createAuthToken",
        response_model=wire.TokenAnswer,
        summary="Make an auth token",
        responses=documentation.responses(signed=True),
        openapi_extra=documentation.query(
            wire.TokenRequest, required=("address", "nonce", "expiration", "signature"), without=("token",)
        ),
    )
    async def create(request: Request) -> Response:
        """Make a token that stands for the account's signature until its expiration, on every endpoint but these."""
        asked = read(wire.TokenRequest, await parameters(request, house.options.max_body))
        required(asked, "address", "nonce", "expiration", "signature")
        expires = whole_number(asked.expiration, "expiration", _LATEST)
        if expires <= house.clock.now():
            raise Invalid({"expiration": ["The expiration must be a UTC timestamp in the future."]})
        account = await _prove(house, request, asked)
        return json_answer({"token": house.tokens.make(account, expires)})

    @router.delete(
        f"{wire.API_PREFIX}/deleteAuthToken",
        response_model=wire.TokenDeleted,
        summary="Take an auth token back",
        responses=documentation.responses(413, signed=True),
        openapi_extra=documentation.query_or_body(
            wire.TokenRequest, required=("address", "nonce", "signature", "token"), without=("expiration",)
        ),
    )
    async def delete(request: Request) -> Response:
        """Take a token back before its time."""
        asked = read(wire.TokenRequest, await parameters(request, house.options.max_body))
        required(asked, "address", "nonce", "signature", "token")
        account = await _prove(house, request, asked)
        try:
            facts = house.tokens.read(asked.token or "", house.clock.now())
        except BadSignature as problem:
            raise Invalid({"token": [problem.message]}) from None
        if facts.address.lower() != account.lower():
            raise Invalid({"token": ["Token is invalid."]})
        if not await house.revoked.revoke(facts.id, facts.expires):
            raise Invalid({"token": ["Token is deleted."]})
        return json_answer({"success": "Token has been deactivated."})

    return router


async def _prove(house: Cove, request: Request, asked: wire.TokenRequest) -> str:
    nonce = messages.parse_nonce(asked.nonce)
    text = messages.token(asked.address or "", nonce)
    return await auth.prove(
        house, asked.address or "", text, nonce, auth.proof_of(house, request, asked.signature, token=False)
    )
