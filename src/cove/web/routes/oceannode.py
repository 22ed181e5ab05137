"""What Ocean Node's API has of its own: free starts, environments as a list, and logs as plain text.

Starts and quotes that share their path with the Provider API are handed over by ``compute``.
"""

from __future__ import annotations

import platform
from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.core import messages
from cove.core.environment import Environment
from cove.core.errors import Invalid
from cove.core.job import JobId, Resources
from cove.core.tiers import CPU, GPU, offers
from cove.jobs.livelogs import LogPart
from cove.jobs.requests import (
    AssetRequest,
    EnvironmentView,
    Quote,
    StartRequest,
    TierQuoteRequest,
    TierRequest,
)
from cove.web import auth, documentation, refusals, status
from cove.web.answers import access_answer, fee_answer
from cove.web.callers import client_of
from cove.web.errors import json_answer
from cove.web.parsing import body_of, json_text, parameters, parse_json, passed_on, read, required, whole_number
from cove.web.plain import PlainRoute
from cove.web.routes.livelogs import EventStream
from cove.web.starting import asset_of, datasets_of, login_of, queue_wait_of, raw_of
from cove.wiring.house import Cove

_MAX_METADATA: Final = 4096
_LONGEST_AMOUNT: Final = 20


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.get(
        f"{wire.API_PREFIX}/computeEnvironmentList",
        response_model=list[wire.NodeEnvironment],
        response_model_exclude_none=True,
        summary="Compute environments, as Ocean Node lists them",
        responses=documentation.responses(),
    )
    async def environments(_: Request) -> Response:
        """Give the environments with what a job can choose of them, and what is free.

        The root document names this path as computeEnvironments to clients of Ocean Node's API.
        """
        views = {view.id: view for view in await house.jobs.environments()}
        return json_answer([_environment(house, entry, views[entry.id]) for entry in house.environments])

    @router.post(
        f"{wire.API_PREFIX}/freeCompute",
        response_model=list[wire.StatusObject],
        summary="Start a job in an environment's free tier",
        responses=documentation.responses(403, 404, 409, 413, signed=True, refusals=refusals.START),
        openapi_extra=documentation.body(wire.StartJob),
    )
    async def free(request: Request) -> Response:
        """Start a job that pays nothing for its environment; its datasets and algorithm are ordered like any other."""
        sent = parse_json(await body_of(request, house.options.max_body))
        return await start(house, request, sent, free=True)

    @router.get(
        f"{wire.API_PREFIX}/computeStreamableLogs",
        summary="A job's log as it grows",
        response_class=Response,
        responses={**documentation.responses(404, signed=True), 200: documentation.text("The log's bytes")},
        openapi_extra=documentation.query(wire.StreamSelector, required=("jobId", "consumerAddress")),
    )
    async def logs(request: Request) -> Response:
        """Give the log of a job of the caller's until it ends.

        While the job runs, where its environment and the owner of every dataset show logs live; else at the end, as
        much of the log as was released.
        """
        asked = read(wire.StreamSelector, await parameters(request, house.options.max_body))
        proof = auth.proof_of(house, request, asked.signature)
        required(asked, "jobId", *proof.needed())
        job_id = messages.parse_job_id(asked.jobId)
        owner = await _prove(house, asked.consumerAddress, asked.nonce, proof, messages.LOGS)
        await house.live_logs.check(owner, job_id)
        chunks = _log(house, owner, job_id)
        # The place is taken before the answer begins, so that a refusal still has its own status.
        return EventStream(await anext(chunks), chunks, "text/plain; charset=utf-8")

    return router


def is_start(sent: dict[str, Any]) -> bool:
    """Say whether a body of ``POST compute`` is one of Ocean Node's API."""
    return "datasets" in sent or "payment" in sent


def is_quote(sent: dict[str, Any]) -> bool:
    """Say whether a body of ``POST initializeCompute`` is one of Ocean Node's API."""
    return "payment" in sent


async def start(house: Cove, request: Request, sent: dict[str, Any], *, free: bool) -> Response:
    """Answer a start."""
    body = read(wire.StartJob, sent)
    proof = auth.proof_of(house, request, body.signature)
    required(body, *proof.needed(), "datasets", "algorithm")
    _refuse_output(body)
    # What is asked is read before the nonce is taken: a request of bad form costs its sender nothing.
    asked = _start_request(house, body, free=free)
    await _prove(house, body.consumerAddress, body.nonce, proof, messages.FREE_START if free else messages.START)
    view = await house.jobs.start(asked)
    return json_answer([status.full(view, house.clock.now())])


async def quote(house: Cove, request: Request, sent: dict[str, Any]) -> Response:
    """Answer the question which orders a job needs."""
    body = read(wire.InitializeJob, sent)
    required(body, "datasets", "algorithm", "payment", "consumerAddress")
    _refuse_output(body)
    if not body.datasets or body.algorithm is None or body.payment is None:
        raise Invalid({"datasets": ["The datasets field is required."]})
    asked = TierQuoteRequest(
        consumer=auth.address(body.consumerAddress),
        environment=body.environment or "",
        tier=TierRequest(
            False,  # noqa: FBT003 - the first of several
            *_token(body.payment),
            resources=_resources(body.payment.resources),
            max_seconds=_seconds(body.maxJobDuration),
        ),
        datasets=datasets_of(body.datasets),
        **_algorithm(body.algorithm),
        passed_on=passed_on(body.policyServer),
        queue_wait=queue_wait_of(body.queueMaxWaitTime),
    )
    with house.limits.asking(client_of(request)):
        found = await house.jobs.tier_quote(asked)
    answer: dict[str, Any] = {
        "datasets": [_item(house, given, one) for given, one in zip(asked.datasets, found.datasets, strict=True)],
        "algorithm": {},
    }
    if asked.algorithm is not None and found.algorithm is not None:
        answer["algorithm"] = _item(house, asked.algorithm, found.algorithm)
    if found.payment is not None:
        answer["payment"] = {
            "escrowAddress": found.payment.escrow,
            "payee": found.payment.payee,
            "chainId": found.payment.chain_id,
            "token": found.payment.token,
            "amount": str(found.payment.amount),
            "minLockSeconds": found.payment.lock_seconds,
        }
    return json_answer(answer)


async def _prove(house: Cove, consumer: str | None, given: str | None, proof: auth.Proof, command: str) -> str:
    nonce = auth.nonce_of(proof, given)
    text = messages.command(consumer or "", nonce, command)
    return await auth.prove(house, consumer or "", text, nonce, proof)


def _start_request(house: Cove, body: wire.StartJob, *, free: bool) -> StartRequest:
    if not body.datasets or body.algorithm is None:
        raise Invalid({"datasets": ["The datasets field is required."]})
    payment = body.payment or wire.Payment()
    seconds = body.maxJobDuration if free else body.maxJobDuration or payment.maxJobDuration
    resources = body.resources if free else payment.resources or body.resources
    tier = TierRequest(
        free,
        *((0, "") if free else _token(payment)),
        resources=_resources(resources),
        max_seconds=_seconds(seconds),
        metadata=_metadata(body),
        viewers=_viewers(body),
    )
    return StartRequest(
        consumer=auth.address(body.consumerAddress),
        environment=body.environment or "",
        datasets=datasets_of(body.datasets),
        **_algorithm(body.algorithm),
        custom_data=json_text(body.algorithm.algocustomdata or {}, "algorithm.algocustomdata"),
        environment_variables=tuple((body.algorithm.envs or {}).items()),
        passed_on=passed_on(body.policyServer),
        queue_wait=queue_wait_of(body.queueMaxWaitTime),
        login=login_of(house, body.encryptedDockerRegistryAuth),
        tier=tier,
    )


def _algorithm(given: wire.NodeAlgorithm) -> dict[str, Any]:
    """Give the algorithm of a request; front ends send what a published one's DDO says of it along with its DID."""
    meta = given.meta
    if given.documentId and not (meta and (meta.rawcode or meta.url)):
        return {"algorithm": asset_of(given, "algorithm"), "raw": None}
    raw = raw_of(given)
    return {"algorithm": None if raw else asset_of(given, "algorithm"), "raw": raw}


def _refuse_output(body: wire.StartJob | wire.InitializeJob) -> None:
    if body.output or getattr(body, "outputBucketId", None):
        raise Invalid({"output": ["Results are kept here for their owner and sent nowhere: leave the output out."]})


def _token(payment: wire.Payment) -> tuple[int, str]:
    """Give what a job is to be paid in."""
    missing = [f"payment.{name}" for name in ("chainId", "token") if not getattr(payment, name)]
    if missing:
        raise Invalid({name: [f"The {name} field is required."] for name in missing})
    return whole_number(payment.chainId, "payment.chainId"), auth.address(payment.token, "payment.token")


def _resources(given: Sequence[wire.ResourceAmount] | None) -> tuple[tuple[str, Decimal], ...]:
    return tuple((one.id or "", _amount(one.amount, f"resources[{place}]")) for place, one in enumerate(given or ()))


def _amount(text: str | None, field: str) -> Decimal:
    digits = (text or "").replace(".", "", 1)
    if text is None or not (digits.isascii() and digits.isdecimal()) or len(text) > _LONGEST_AMOUNT:
        raise Invalid({f"{field}.amount": [f"The {field}.amount must be a number, 0 or more."]})
    return Decimal(text)


def _seconds(given: str | None) -> int | None:
    if given is None:
        return None
    seconds = whole_number(given, "maxJobDuration")
    if seconds == 0:
        raise Invalid({"maxJobDuration": ["The maxJobDuration must be 1 second or more."]})
    return seconds


def _metadata(body: wire.StartJob) -> str:
    given = body.metadata or {}
    if not all(isinstance(value, str | int | float | Decimal) for value in given.values()):
        raise Invalid({"metadata": ["The metadata may hold texts, numbers, true and false alone."]})
    text = json_text(given, "metadata")
    if len(text) > _MAX_METADATA:
        raise Invalid({"metadata": [f"The metadata may have {_MAX_METADATA} characters of JSON at the most."]})
    return text


def _viewers(body: wire.StartJob) -> tuple[str, ...]:
    given = body.additionalViewers or ()
    return tuple(auth.address(one, f"additionalViewers[{place}]") for place, one in enumerate(given))


def _item(house: Cove, given: AssetRequest, one: Quote) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "did": given.document_id,
        "serviceId": given.service_id,
        "datatoken": one.datatoken,
        "chainId": one.chain_id,
        "consumerAddress": house.vault.address,
        "validOrder": one.valid_order or False,
    }
    if one.fee is not None:
        answer["providerFee"] = fee_answer(one.fee)
    return answer


async def _log(house: Cove, owner: str, job_id: JobId) -> AsyncGenerator[bytes]:
    with house.limits.streams.one(owner.lower()):
        yield b""
        async for part in house.live_logs.follow(owner, job_id):
            if isinstance(part, LogPart):
                yield part.content


def _environment(house: Cove, entry: Environment, view: EnvironmentView) -> dict[str, Any]:
    expiry = house.options.storage_expiry
    answer: dict[str, Any] = {
        "id": entry.id,
        "description": entry.description or f"Engine {entry.engine}",
        "consumerAddress": house.vault.address,
        "storageExpiry": expiry,
        "minJobDuration": 0,
        "maxJobDuration": entry.resources.time_seconds,
        "maxJobs": entry.max_jobs,
        "runningJobs": view.running,
        "queuedJobs": view.queued,
        "queMaxWaitTime": entry.max_queue_wait,
        "fees": _fees(entry),
        "resources": _offers(entry.resources, view, entry.max_jobs),
        "platform": {"architecture": platform.machine(), "os": platform.system().lower()},
    }
    if not entry.access.is_open():
        answer["access"] = access_answer(entry.access)
    if entry.free is not None:
        most = entry.free.max_jobs or entry.max_jobs
        answer["free"] = {
            "storageExpiry": expiry,
            "maxJobDuration": entry.free.resources.time_seconds,
            "maxJobs": most,
            "resources": _offers(entry.free.resources, view, most),
        }
        if not entry.free.access.is_open():
            answer["free"]["access"] = access_answer(entry.free.access)
    return answer


def _fees(entry: Environment) -> dict[str, list[dict[str, Any]]]:
    fees: dict[str, list[dict[str, Any]]] = {}
    for one in entry.prices:
        prices = [{"id": name, "price": float(price)} for name, price in one.per_minute]
        fees.setdefault(str(one.chain_id), []).append({"feeToken": one.token, "prices": prices})
    return fees


def _offers(limits: Resources, view: EnvironmentView, max_jobs: int) -> list[dict[str, Any]]:
    kinds = {CPU: platform.machine(), GPU: limits.gpu_type}
    return [
        {
            "id": offer.id,
            "type": offer.id,
            "kind": kinds.get(offer.id, ""),
            "total": offer.most * max_jobs,
            "min": offer.least,
            "max": offer.most,
            "inUse": min(offer.most * view.running, offer.most * max_jobs),
        }
        for offer in offers(limits)
    ]
