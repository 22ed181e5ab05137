"""What front ends ask a metadata cache (Aquarius) for, beside single DDOs: searches, names, and how far it is."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.access.catalog import MAX_NAMES
from cove.core import json_form, messages
from cove.core.errors import Invalid, NotFound
from cove.web import documentation
from cove.web.callers import client_of
from cove.web.errors import json_answer
from cove.web.parsing import body_of
from cove.web.plain import PlainRoute
from cove.wiring.house import Cove


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.get(
        f"{wire.CACHE_PREFIX}/metadata/{{did}}",
        response_model=dict[str, Any],
        summary="The metadata section of a published DDO",
        responses=documentation.responses(404),
        openapi_extra={"parameters": [documentation.parameter("did", "The asset's DID", place="path")]},
    )
    async def metadata(request: Request) -> Response:
        """Give what a published DDO says of its asset: name, description, author, license."""
        did = messages.parse_did(request.path_params["did"], "did")
        with house.limits.asking(client_of(request)):
            document = json.loads(await house.access.asset_document(did))
        return json_answer(document.get("metadata") or {})

    @router.post(
        f"{wire.CACHE_PREFIX}/query",
        response_model=dict[str, Any],
        summary="Search published assets",
        responses=documentation.responses(413),
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "A search in the part of Elasticsearch's language that docs/reference/metadata.md lists",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def query(request: Request) -> Response:
        """Search the assets of the chains that this Cove indexes itself; the answer has Elasticsearch's form."""
        body = await _object(request)
        with house.limits.asking(client_of(request)):
            return json_answer(await house.catalog.search(body))

    @router.post(
        f"{wire.CACHE_PREFIX}/names",
        response_model=dict[str, str],
        summary="Names of published assets",
        responses=documentation.responses(413),
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": '{"didList": [..]}',
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def names(request: Request) -> Response:
        """Give the names of those of some assets that are published, by DID."""
        given = json_form.sequence((await _object(request)).get("didList"), "didList", most=MAX_NAMES)
        if not given:
            raise Invalid({"didList": ["The requested didList can not be empty."]})
        dids = [json_form.text(did, f"didList[{place}]") for place, did in enumerate(given)]
        with house.limits.asking(client_of(request)):
            return json_answer(await house.catalog.names(dids))

    @router.get(
        f"{wire.CHAINS_PREFIX}/list",
        response_model=dict[str, bool],
        summary="Chains that are indexed",
        responses=documentation.responses(),
    )
    async def chains(_: Request) -> Response:
        """Give the ids of the chains whose assets can be searched."""
        return json_answer({str(lag.chain_id): True for lag in house.catalog.lags()})

    @router.get(
        f"{wire.CHAINS_PREFIX}/status/{{chain}}",
        response_model=wire.IndexStatus,
        summary="How far a chain is indexed",
        responses=documentation.responses(404),
        openapi_extra={"parameters": [documentation.parameter("chain", "The chain's id", place="path")]},
    )
    async def status(request: Request) -> Response:
        """Say which block of a chain was read last."""
        asked = request.path_params["chain"]
        for lag in house.catalog.lags():
            if str(lag.chain_id) == asked:
                return json_answer({"last_block": max(0, lag.block), "head": lag.head, "behind": lag.behind})
        raise NotFound("This chain is not indexed here.")

    async def _object(request: Request) -> dict[str, object]:
        body = await body_of(request, house.options.max_body)
        return dict(json_form.mapping(json_form.load(body, "body", limit=house.options.max_body), "body"))

    return router
