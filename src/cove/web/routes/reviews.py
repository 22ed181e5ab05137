"""Reviews over HTTP: what the reviewers' page is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cove import wire
from cove.core import messages
from cove.core.airlock import HeldFile, Review, decided
from cove.core.errors import Invalid, NotFound
from cove.core.inspection import FileReport
from cove.core.masking import Preview
from cove.web import auth, documentation, refusals
from cove.web.errors import json_answer
from cove.web.parsing import body_of, parameters, parse_json, read, required
from cove.web.plain import PlainRoute
from cove.web.serving import Content, send
from cove.wiring.house import Cove

_PREVIEWS: Final = 50
"""Files of a review that are shown with their beginnings, unless one is named."""


def routes(house: Cove) -> APIRouter:
    """Give the routes."""
    router = APIRouter(route_class=PlainRoute)

    @router.get(
        f"{wire.API_PREFIX}/reviews",
        response_model=list[wire.ReviewEntry],
        summary="Results that wait for a review",
        responses=documentation.responses(403, 404, signed=True),
        openapi_extra=documentation.query(wire.ReviewSelector),
    )
    async def find(request: Request) -> Response:
        """List reviews, for reviewers; with jobId that job's newest one, with a preview of each file.

        Where a file is named too, it is the only one with a preview, and the difference from what was released last
        under its name stands beside.
        """
        chosen = read(wire.ReviewSelector, await parameters(request, house.options.max_body))
        if chosen.state not in {None, "", "open", "all"}:
            raise Invalid({"state": ["The state must be open or all."]})
        account = await _prove(house, request, chosen)
        if not chosen.jobId:
            found = await house.reviews.waiting(open_only=chosen.state != "all")
            return json_answer([_entry(one, own=one.owner.lower() == account.lower()) for one in found])
        review = await house.reviews.review(messages.parse_job_id(chosen.jobId), account)
        only = review.file(chosen.file) if chosen.file else None
        shown = (only,) if only else review.files[:_PREVIEWS]
        previews = {file.key: await house.reviews.preview(review, file) for file in shown}
        differences = {only.key: await _difference(house, review, only)} if only else {}
        return json_answer([_entry(review, previews, differences)])

    @router.get(
        f"{wire.API_PREFIX}/reviewFile",
        response_class=Response,
        summary="A held file",
        responses={**documentation.responses(403, 404, signed=True), **documentation.file_answers()},
        openapi_extra=documentation.query(wire.ReviewSelector, required=("jobId", "file"), without=("state",)),
    )
    async def file(request: Request) -> Response:
        """Stream a held file to a reviewer, in a way that no browser runs it."""
        chosen = read(wire.ReviewSelector, await parameters(request, house.options.max_body))
        required(chosen, "jobId", "file")
        account = await _prove(house, request, chosen)
        review = await house.reviews.review(messages.parse_job_id(chosen.jobId), account)
        held = review.file(chosen.file or "")
        return await send(request, Content(held.path, held.size, held.sha256, _reader(house, review, held)))

    @router.post(
        f"{wire.API_PREFIX}/reviewVote",
        response_model=wire.ReviewEntry,
        summary="Decide about held results",
        responses=documentation.responses(403, 404, 409, 413, signed=True, refusals=refusals.REVIEW),
        openapi_extra=documentation.body(wire.ReviewVote),
    )
    async def vote(request: Request) -> Response:
        """Approve or reject a held file, or return a whole job; the answer is the review as it is then."""
        body = read(wire.ReviewVote, parse_json(await body_of(request, house.options.max_body)))
        proof = auth.proof_of(house, request, body.signature)
        returns = body.decision == "return"
        required(body, *proof.needed(), "jobId", "decision", "reason", *(() if returns else ("file", "sha256")))
        job_id = messages.parse_job_id(body.jobId)
        nonce = messages.parse_nonce(body.nonce)
        said = (body.consumerAddress, body.jobId, body.file, body.sha256, body.decision, body.reason)
        text = messages.review_vote(*(part or "" for part in said), nonce=nonce)
        account = await auth.prove(house, body.consumerAddress or "", text, nonce, proof)
        house.reviews.check(account)
        reason = body.reason or ""
        if returns:
            review = await house.reviews.give_back(job_id, reviewer=account, reason=reason)
        else:
            review = await house.reviews.vote(
                job_id,
                body.file or "",
                reviewer=account,
                approve=body.decision == "approve",
                reason=reason,
                sha256=body.sha256,
            )
        return json_answer(_entry(review))

    return router


async def _prove(house: Cove, request: Request, chosen: wire.ReviewSelector) -> str:
    proof = auth.proof_of(house, request, chosen.signature)
    required(chosen, *proof.needed())
    nonce = messages.parse_nonce(chosen.nonce)
    text = messages.reviews(chosen.consumerAddress or "", chosen.jobId or "", chosen.file or "", nonce)
    account = await auth.prove(house, chosen.consumerAddress or "", text, nonce, proof)
    house.reviews.check(account)
    return account


def _reader(house: Cove, review: Review, held: HeldFile) -> Callable[[int, int | None], AsyncIterator[bytes]]:
    def stretch(offset: int, length: int | None) -> AsyncIterator[bytes]:
        return house.reviews.read(review, held, offset, held.size - offset if length is None else length)

    return stretch


async def _difference(house: Cove, review: Review, held: HeldFile) -> str | None:
    try:
        _, found = await house.reviews.difference(review, held)
    except NotFound:
        return None
    return found


def _entry(
    review: Review,
    previews: dict[str, Preview | None] | None = None,
    differences: dict[str, str | None] | None = None,
    *,
    own: bool = False,
) -> dict[str, Any]:
    reports = {(one.path, one.type): one for one in review.inspection.files}
    return {
        "jobId": review.job_id,
        "attempt": review.attempt,
        "owner": review.owner,
        "datasets": list(review.dataset_dids),
        "state": review.state,
        "needed": review.reviewers,
        "openedAt": review.opened_at,
        "expiresAt": review.expires_at,
        "closedBy": review.closed_by or None,
        "closedAt": review.closed_at,
        "note": review.note or None,
        "inspection": review.inspection.failure,
        "files": []
        if own
        else [
            _file(review, file, reports.get((file.path, file.type)))
            | {"preview": _preview((previews or {}).get(file.key)), "difference": (differences or {}).get(file.key)}
            for file in review.files
        ],
    }


def _file(review: Review, file: HeldFile, report: FileReport | None) -> dict[str, Any]:
    decision = decided(file, review.reviewers)
    return {
        "key": file.key,
        "path": file.path,
        "type": file.type,
        "size": file.size,
        "sha256": file.sha256,
        "contentType": None if report is None else report.content_type,
        "rows": None if report is None else report.rows,
        "reason": file.reason,
        "rule": file.rule,
        "opaque": "" if report is None else report.opaque,
        "canaries": 0 if report is None else report.canaries,
        "smallestGroup": None if report is None else report.smallest_group,
        "matches": []
        if report is None
        else [
            {"dataset": one.dataset, "rows": one.rows, "where": one.where, "examples": list(one.examples)}
            for one in report.matches
        ],
        "votes": [
            {"reviewer": one.reviewer, "approve": one.approve, "reason": one.reason, "at": one.at}
            for one in file.votes
            if one.sha256 == file.sha256
        ],
        "decision": None if decision is None else "approved" if decision else "rejected",
    }


def _preview(shown: Preview | None) -> dict[str, Any] | None:
    return None if shown is None else {"kind": shown.kind, "text": shown.text, "whole": shown.whole}
