"""The root document, health, nonces and environments."""

from __future__ import annotations

import os
import platform
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

import cove
from cove import wire
from cove.core.environment import Environment
from cove.jobs.requests import EnvironmentView
from cove.web import auth, documentation
from cove.web.answers import access_answer
from cove.web.errors import json_answer
from cove.web.plain import PlainRoute
from cove.wiring.house import Cove

_GIB = 1 << 30
_OF_NODE_CLIENTS = "undefined"
"""What ``@oceanprotocol/lib`` 8 has in ``Authorization`` when it asks for the root document: the text of no value."""


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.get("/", response_model=wire.Root, summary="Root document")
    async def root(request: Request) -> Response:
        """Say what this is, which chains it serves, and where its endpoints are.

        Clients of Ocean Node's API, which are known by their header Authorization, are led to computeEnvironmentList
        for computeEnvironments.
        """
        is_node_client = request.headers.get("authorization") == _OF_NODE_CLIENTS
        return json_answer(
            {
                "software": "Cove",
                "version": cove.__version__,
                "chainIds": list(house.chain_ids),
                "providerAddress": house.vault.address,
                "providerAddresses": {str(chain): house.vault.address for chain in house.chain_ids},
                "nodePublicKey": house.vault.public_key().hex(),
                "serviceEndpoints": wire.NODE_ENDPOINTS if is_node_client else wire.SERVICE_ENDPOINTS,
            },
            headers={"Vary": "Authorization"},
        )

    @router.get("/health", response_model=wire.Health, summary="Health")
    async def health(_: Request) -> Response:
        """Answer as soon as the service is up, and say how far the index of published assets is."""
        index = {
            str(lag.chain_id): {"last_block": max(0, lag.block), "head": lag.head, "behind": lag.behind}
            for lag in house.catalog.lags()
        }
        return json_answer({"status": "ok", "index": index})

    @router.get("/api/docs", include_in_schema=False)
    async def docs(_: Request) -> Response:
        return HTMLResponse(documentation.PAGE)

    @router.get(
        f"{wire.API_PREFIX}/nonce",
        response_model=wire.NonceAnswer,
        summary="Last nonce",
        responses=documentation.responses(),
        openapi_extra={"parameters": [documentation.parameter("userAddress", "The account")]},
    )
    async def nonce(request: Request) -> Response:
        """Give the last nonce that an account used; 0 when it used none."""
        account = auth.address(request.query_params.get("userAddress"), "userAddress")
        return json_answer({"nonce": await auth.last_nonce(house, account)})

    @router.get(
        f"{wire.API_PREFIX}/computeEnvironments",
        response_model=dict[str, list[wire.Environment]],
        summary="Compute environments",
        responses=documentation.responses(),
    )
    async def environments(_: Request) -> Response:
        """Give the environments of each chain, with their present load."""
        views = {view.id: view for view in await house.jobs.environments()}
        return json_answer(
            {
                str(chain): [_environment(house, entry, views[entry.id], chain) for entry in house.environments]
                for chain in house.chain_ids
            }
        )

    return router


def _environment(house: Cove, entry: Environment, view: EnvironmentView, chain: int) -> dict[str, Any]:
    limits = entry.resources
    return {
        "id": entry.id,
        "cpuNumber": limits.cpus,
        "cpuType": platform.machine(),
        "gpuNumber": limits.gpus,
        "gpuType": limits.gpu_type,
        "nCPU": limits.cpus,
        "nGPU": limits.gpus,
        "ramGB": round(limits.memory_bytes / _GIB, 3),
        "diskGB": round(limits.disk_bytes / _GIB, 3),
        "priceMin": float(entry.price_per_minute) if house.parts.ledgers[chain].charges_fees else 0.0,
        "feeToken": entry.fee_token(chain),
        "desc": entry.description or f"{os.cpu_count()} processors, engine {entry.engine}",
        "currentJobs": view.running,
        "maxJobs": entry.max_jobs,
        "queuedJobs": view.queued,
        "queueWaitSeconds": view.queue_wait_seconds,
        "queueMaxWaitTime": entry.max_queue_wait,
        "maxQueuedJobs": entry.max_queue,
        "consumerAddress": house.vault.address,
        "storageExpiry": house.options.storage_expiry,
        "maxJobDuration": limits.time_seconds,
        "lastSeen": f"{house.clock.now():.6f}",
        "allowedChainId": [chain],
        "engine": entry.engine,
        "images": list(entry.offered_images),
        "allowedImages": list(entry.image_patterns),
        "digestsOnly": entry.digests_only,
        "access": None if entry.access.is_open() else access_answer(entry.access),
        "network": "allowed" if entry.network else "none",
        "liveLogs": entry.live_logs,
        "enforcement": dict(view.enforcement),
    }
