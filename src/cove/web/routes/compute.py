"""Start, restart, status, stop and delete of jobs, and what a job would cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.core import messages
from cove.core.errors import BadSignature, Invalid
from cove.crypto.keys import verify_text
from cove.jobs.requests import Quote, QuoteRequest, StartRequest
from cove.ports import JobQuery
from cove.web import auth, documentation, refusals, status
from cove.web.answers import fee_answer
from cove.web.callers import client_of
from cove.web.errors import json_answer
from cove.web.handles import job_id_of
from cove.web.outputs import output_of
from cove.web.parsing import body_of, json_text, parameters, parse_json, passed_on, read, required, whole_number
from cove.web.plain import PlainRoute
from cove.web.routes import oceannode
from cove.web.starting import asset_of, datasets_of, login_of, queue_wait_of, raw_of, webhook_of
from cove.wiring.house import Cove

_PATH = f"{wire.API_PREFIX}/compute"
_ONE_OF = "documentId, jobId, consumerAddress or agreementId"


def routes(house: Cove) -> APIRouter:  # noqa: C901, PLR0915 - one function per route
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.post(
        _PATH,
        response_model=list[wire.StatusObject],
        summary="Start or restart a job",
        responses=documentation.responses(403, 404, 409, 413, signed=True, refusals=refusals.START),
        openapi_extra=documentation.body(wire.StartCompute, wire.StartJob),
    )
    async def start(request: Request) -> Response:
        """Start a job, or run a finished one again when jobId is given.

        A body with `datasets` or `payment` is one of Ocean Node's API (StartJob): a paid start.
        """
        sent = parse_json(await body_of(request, house.options.max_body))
        if oceannode.is_start(sent):
            return await oceannode.start(house, request, sent, free=False)
        body = read(wire.StartCompute, sent)
        proof = auth.proof_of(house, request, body.signature)
        required(body, *proof.needed(), *(() if body.jobId else ("dataset", "algorithm")))
        nonce = messages.parse_nonce(body.nonce)
        document = auth.signed_did(body.dataset.documentId if body.dataset else None)
        text = messages.start_compute(body.consumerAddress or "", body.jobId or "", document, nonce)
        account = auth.address(body.consumerAddress)
        # What is asked is read before the nonce is taken: a request of bad form costs its sender nothing.
        asked = messages.parse_job_id(body.jobId) if body.jobId else _start_request(house, body, account)
        wait = queue_wait_of(body.queueMaxWaitTime)
        said = passed_on(body.policyServer)
        owner = await auth.prove(house, body.consumerAddress or "", text, nonce, proof)
        if isinstance(asked, StartRequest):
            view = await house.jobs.start(asked)
        else:
            job_id = await job_id_of(house, asked)
            view = await house.jobs.restart(
                owner,
                job_id,
                refresh_inputs=body.refreshInputs,
                passed_on=said,
                queue_wait=wait,
                mock=body.mock,
            )
        return json_answer([status.full(view, house.clock.now())])

    @router.get(
        _PATH,
        response_model=list[wire.StatusObject],
        summary="Status of jobs",
        responses=documentation.responses(signed=True),
        openapi_extra=documentation.query(wire.JobSelector),
    )
    async def find(request: Request) -> Response:
        """Give the status of the jobs that match; an empty list when there are none.

        A request with signature and nonce is answered with links. Without them, a request by jobId is answered without
        links; one by consumerAddress with handles for ids, and without the names of results and why a job failed; one
        by neither with an empty list. A handle stands for the id in every request that the job's owner proves. A
        signature that comes without the nonce that it covers proves nothing and is not looked at; a token of
        auth/token needs none.
        """
        chosen = await _selector(house, request)
        query = _query(chosen)
        proof = auth.proof_of(house, request, chosen.signature)
        if proof.without_nonce or ((proof.signature or proof.token) and chosen.nonce):
            owner = await _prove(house, request, chosen)
            query = await _of_owner(house, query, owner)
            links = _links(house, request)
            return json_answer([status.full(view, house.clock.now(), links) for view in await house.jobs.find(query)])
        if not house.options.public_status:
            raise BadSignature("This provider answers to signed requests only.", hint="Send nonce and signature.")
        if query.job_id is not None:
            if found := await house.jobs.find(query):
                return json_answer([status.full(view, house.clock.now()) for view in found])
            query = replace(query, job_id=house.handles.job(query.job_id))
        elif query.owner is None:
            return json_answer([])
        found = await house.jobs.find(query)
        return json_answer([status.reduced(view, house.handles.of(view.job.id)) for view in found])

    @router.put(
        _PATH,
        response_model=list[wire.StatusObject],
        summary="Stop jobs",
        responses=documentation.responses(413, signed=True),
        openapi_extra=documentation.query_or_body(wire.JobSelector),
    )
    async def stop(request: Request) -> Response:
        """Stop every job of the caller's that matches; results so far are kept."""
        return await _wish(house, request, delete=False)

    @router.delete(
        _PATH,
        response_model=list[wire.StatusObject],
        summary="Delete jobs",
        responses=documentation.responses(413, signed=True),
        openapi_extra=documentation.query_or_body(wire.JobSelector),
    )
    async def delete(request: Request) -> Response:
        """Stop and remove every job of the caller's that matches, with everything of it."""
        return await _wish(house, request, delete=True)

    @router.post(
        f"{wire.API_PREFIX}/initializeCompute",
        response_model=wire.Initialized | wire.InitializedJob,
        summary="What a job needs to be paid",
        responses=documentation.responses(403, 413, refusals=refusals.QUOTE),
        openapi_extra=documentation.body(wire.InitializeCompute, wire.InitializeJob),
    )
    async def initialize(request: Request) -> Response:
        """Quote a job: one entry per dataset and the algorithm; one of them carries the environment's fee.

        A body with `payment` is one of Ocean Node's API (InitializeJob): no entry carries the environment's fee.
        """
        sent = parse_json(await body_of(request, house.options.max_body))
        if oceannode.is_quote(sent):
            return await oceannode.quote(house, request, sent)
        body = read(wire.InitializeCompute, sent)
        required(body, "datasets", "algorithm", "compute", "consumerAddress")
        asked = _quote_request(body)
        with house.limits.asking(client_of(request)):
            quotes, algorithm = await house.jobs.quote(asked)
        answer: dict[str, Any] = {"datasets": [_quote(quote) for quote in quotes], **_of_mock(asked)}
        if algorithm is not None:
            answer["algorithm"] = _quote(algorithm)
        return json_answer(answer)

    return router


async def _wish(house: Cove, request: Request, *, delete: bool) -> Response:
    chosen = await _selector(house, request)
    query = _query(chosen)
    if (query.job_id, query.document_id, query.agreement_id) == (None, None, None) and delete:
        raise Invalid({"jobId": ["At least one of documentId, jobId is required."]})
    if chosen.nonce is None and chosen.signature and chosen.jobId:
        proof = auth.proof_of(house, request, chosen.signature, token=False)
        owner = await _prove_without_nonce(house, chosen, chosen.jobId, proof.signature)
    else:
        owner = await _prove_wish(house, request, chosen, delete=delete)
    query = await _of_owner(house, query, owner)
    views = await (house.jobs.delete(query) if delete else house.jobs.stop(query))
    return json_answer([status.full(view, house.clock.now()) for view in views])


async def _prove_without_nonce(house: Cove, chosen: wire.JobSelector, job_id: str, signature: str) -> str:
    """Prove a stop or a delete as it was first documented: signature and jobId, the address only where one is sent."""
    account = chosen.consumerAddress or await house.jobs.owner_of(await job_id_of(house, job_id))
    if account is None:
        required(chosen, "consumerAddress")
    document = auth.signed_did(chosen.documentId)
    texts = [f"{given}{job_id}{document}" for given in dict.fromkeys((chosen.consumerAddress or "", account or ""))]
    return await auth.prove_without_nonce(house, account or "", texts, signature)


async def _prove_wish(house: Cove, request: Request, chosen: wire.JobSelector, *, delete: bool) -> str:
    """Prove a stop or a delete; ocean.js from 3.3 on leaves the nonce that it sends out of what it signs for a stop.

    Such a signature covers the job alone. It is accepted for a stop, where the nonce is still taken: whoever saw it and
    sends it again with a greater nonce can stop that one job again, which changes nothing unless its owner restarted
    it. A restarted job is therefore not stopped that way. A job that is not there is found out like any other.
    """
    try:
        return await _prove(house, request, chosen, "" if delete else messages.STOP)
    except BadSignature:
        if delete or not chosen.jobId or not chosen.consumerAddress or not chosen.signature:
            raise
        attempt = await house.jobs.attempt_of(await job_id_of(house, chosen.jobId))
        text = f"{chosen.consumerAddress}{chosen.jobId}"
        if attempt not in {None, 1} or not verify_text(text, chosen.signature, auth.address(chosen.consumerAddress)):
            raise
    account = auth.address(chosen.consumerAddress)
    await auth.take_nonce(house, account, messages.parse_nonce(chosen.nonce))
    return account


async def _selector(house: Cove, request: Request) -> wire.JobSelector:
    chosen = read(wire.JobSelector, await parameters(request, house.options.max_body))
    if not (chosen.documentId or chosen.jobId or chosen.consumerAddress or chosen.agreementId):
        raise Invalid({"jobId": [f"At least one of {_ONE_OF} is required."]})
    return chosen


def _query(chosen: wire.JobSelector) -> JobQuery:
    return JobQuery(
        job_id=messages.parse_job_id(chosen.jobId) if chosen.jobId else None,
        owner=auth.address(chosen.consumerAddress) if chosen.consumerAddress else None,
        document_id=messages.parse_did(chosen.documentId, "documentId") if chosen.documentId else None,
        agreement_id=messages.parse_tx(chosen.agreementId, "agreementId") if chosen.agreementId else None,
    )


async def _of_owner(house: Cove, query: JobQuery, owner: str) -> JobQuery:
    """Give a query as one of an owner's, who may name a job by its handle."""
    job_id = None if query.job_id is None else await job_id_of(house, query.job_id)
    return replace(query, owner=owner, job_id=job_id)


async def _prove(house: Cove, request: Request, chosen: wire.JobSelector, command: str = "") -> str:
    proof = auth.proof_of(house, request, chosen.signature)
    required(chosen, *proof.needed())
    nonce = auth.nonce_of(proof, chosen.nonce)
    document = auth.signed_did(chosen.documentId)
    text = messages.stop_compute(chosen.consumerAddress or "", chosen.jobId or "", document, nonce)
    return await auth.prove(house, chosen.consumerAddress or "", text, nonce, proof, command=command)


def _links(house: Cove, request: Request) -> status.Links:
    base = house.public_url or str(request.base_url).rstrip("/")
    return status.Links(house.vault, base, int(house.clock.now()) + house.options.link_seconds)


def _start_request(house: Cove, body: wire.StartCompute, owner: str) -> StartRequest:
    if body.dataset is None or body.algorithm is None:
        raise Invalid({"dataset": ["The dataset field is required."]})
    others = (*(body.additionalDatasets or ()), *(body.additionalInputs or ()))
    return StartRequest(
        consumer=owner,
        environment=body.environment or "",
        datasets=datasets_of((body.dataset, *others)),
        algorithm=None if body.algorithm.meta else asset_of(body.algorithm, "algorithm"),
        raw=raw_of(body.algorithm),
        custom_data=json_text(body.algorithm.algocustomdata or {}, "algorithm.algocustomdata"),
        environment_variables=tuple((body.envs or {}).items()),
        layout=body.layout,
        passed_on=passed_on(body.policyServer),
        queue_wait=queue_wait_of(body.queueMaxWaitTime),
        login=login_of(house, body.encryptedDockerRegistryAuth),
        webhook=webhook_of(body.webhook),
        mock=bool(body.mock),
        output=output_of(house.vault, body.output),
    )


def _quote_request(body: wire.InitializeCompute) -> QuoteRequest:
    if not body.datasets or body.algorithm is None or body.compute is None:
        raise Invalid({"datasets": ["The datasets field is required."]})
    queue_wait_of(body.queueMaxWaitTime)
    return QuoteRequest(
        consumer=auth.address(body.consumerAddress),
        environment=body.compute.env or "",
        valid_until=whole_number(body.compute.validUntil, "compute.validUntil"),
        datasets=datasets_of(body.datasets),
        algorithm=None if body.algorithm.meta else asset_of(body.algorithm, "algorithm"),
        raw=raw_of(body.algorithm),
        passed_on=passed_on(body.policyServer),
        mock=bool(body.mock),
    )


def _of_mock(asked: QuoteRequest) -> dict[str, bool]:
    return {"mock": True} if asked.mock else {}


def _quote(quote: Quote) -> dict[str, Any]:
    answer: dict[str, Any] = {"datatoken": quote.datatoken}
    if quote.valid_order is not None:
        answer["validOrder"] = quote.valid_order
    if quote.fee is not None:
        answer["providerFee"] = fee_answer(quote.fee)
    return answer
