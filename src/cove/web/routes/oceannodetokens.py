"""Auth tokens of Ocean Node's API: they stand for a signature and its nonce alike."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.core import messages
from cove.core.errors import BadSignature, Invalid
from cove.web import auth, documentation
from cove.web.errors import json_answer
from cove.web.parsing import body_of, parse_json, read, required, whole_number
from cove.web.plain import PlainRoute
from cove.wiring.house import Cove

LIFETIME: Final = 86_400
"""Seconds that a token lasts whose end was not asked for; ``@oceanprotocol/lib`` never asks."""

_LATEST: Final = (1 << 53) - 1


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.post(
        f"{wire.API_PREFIX}/auth/token",
        response_model=wire.NodeToken,
        summary="Make a token of Ocean Node's API",
        responses=documentation.responses(413, signed=True),
        openapi_extra=documentation.body(wire.NodeTokenRequest),
    )
    async def create(request: Request) -> Response:
        """Make a token that stands for the account's signature and nonce in the header Authorization."""
        asked = await _asked(house, request)
        required(asked, "address", "nonce", "signature")
        now = house.clock.now()
        expires = whole_number(asked.validUntil, "validUntil", _LATEST) if asked.validUntil else int(now) + LIFETIME
        if expires <= now:
            raise Invalid({"validUntil": ["The validUntil must be a UTC timestamp in the future."]})
        account = await _prove(house, request, asked, messages.CREATE_TOKEN)
        return json_answer({"token": house.tokens.make(account, expires, without_nonce=True)})

    @router.post(
        f"{wire.API_PREFIX}/auth/token/invalidate",
        response_model=wire.NodeTokenTaken,
        summary="Take a token of Ocean Node's API back",
        responses=documentation.responses(413, signed=True),
        openapi_extra=documentation.body(wire.NodeTokenRequest),
    )
    async def invalidate(request: Request) -> Response:
        """Take a token back before its time; one that is taken back already, or has ended, stays so."""
        asked = await _asked(house, request)
        required(asked, "address", "nonce", "signature", "token")
        account = await _prove(house, request, asked, messages.INVALIDATE_TOKEN)
        try:
            facts = house.tokens.read(asked.token or "", house.clock.now())
        except BadSignature as problem:
            raise Invalid({"token": [problem.message]}) from None
        if facts.address.lower() != account.lower():
            raise Invalid({"token": ["Token is invalid."]})
        await house.revoked.revoke(facts.id, facts.expires)
        return json_answer({"success": True})

    return router


async def _asked(house: Cove, request: Request) -> wire.NodeTokenRequest:
    return read(wire.NodeTokenRequest, parse_json(await body_of(request, house.options.max_body)))


async def _prove(house: Cove, request: Request, asked: wire.NodeTokenRequest, command: str) -> str:
    """Prove who asks; ``@oceanprotocol/lib`` leaves the command out of what it signs to take a token back."""
    nonce = messages.parse_nonce(asked.nonce)
    text = messages.token(asked.address or "", nonce)
    proof = auth.proof_of(house, request, asked.signature, token=False)
    if command == messages.INVALIDATE_TOKEN:
        return await auth.prove(house, asked.address or "", text, nonce, proof, command=command)
    return await auth.prove(house, asked.address or "", f"{text}{command}", nonce, proof)
