"""Writes status objects. By hand, without models: this is the answer that is asked for most."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from cove.core import receipt
from cove.core.airlock import release_state
from cove.core.delivery import Delivery, DeliveryKind, DeliveryState
from cove.core.job import Attempt, Job, ResultFile, Tier
from cove.core.payment import Payment, PaymentState
from cove.core.policy import ALGORITHM_LOG, CAPTURED_LOG, OUTPUT
from cove.core.tiers import amounts_of
from cove.jobs import tarball
from cove.jobs.publishing import CONFIGURATION_LOG_NAME, IMAGE_LOG_NAME
from cove.jobs.requests import JobView
from cove.ports import Vault
from cove.wire import API_PREFIX, status_of

_OUR_NAMES: Final = frozenset({tarball.TAR_NAME, CAPTURED_LOG, CONFIGURATION_LOG_NAME, IMAGE_LOG_NAME, receipt.NAME})


class Links:
    """Makes the links of a signed status: each opens one file for a short time, as it is.

    Args:
        vault: Whose keyed digest proves a link.
        base_url: How the consumer reaches this service.
        expires: Unix time.
    """

    def __init__(self, vault: Vault, base_url: str, expires: int) -> None:
        self._vault = vault
        self._base_url = base_url
        self._expires = expires

    def to(self, job: Job, index: int) -> str:
        """Give the link of one result."""
        query = urlencode(
            {
                "jobId": job.id,
                "index": index,
                "expires": self._expires,
                "link": link_proof(self._vault, job.id, job.attempt, index, self._expires),
            }
        )
        return f"{self._base_url}{API_PREFIX}/computeResult?{query}"


def link_proof(vault: Vault, job_id: str, attempt: int, index: int, expires: int) -> str:
    """Give the proof in a link; it ends with the job, its attempt, or its time."""
    return vault.mac(f"result:{job_id}:{attempt}:{index}:{expires}".encode())


def full(view: JobView, now: float, links: Links | None = None) -> dict[str, Any]:
    """Say everything of a job that its owner may know.

    Args:
        view: The job.
        now: Unix time.
        links: Makes the URLs; None leaves them out (an unsigned answer).
    """
    job = view.job
    body = _common(view)
    body |= {
        "algorithmLogUrl": None,
        "resultsUrls": [],
        "results": _results(job, _result),
        "outcome": job.outcome,
        "reason": job.reason or None,
        "message": job.message or None,
        "releaseState": release_state(job),
        "exitCode": job.exit_code,
        "outOfMemory": job.out_of_memory,
        "attempt": job.attempt,
        "attempts": [_attempt(attempt) for attempt in job.history],
        "startedAt": _time(job.started_at),
        "queuePosition": view.queue_position,
        "queueWaitSeconds": view.queue_wait_seconds,
        "queueWaitUntil": _time(job.wait_until),
        "progress": _progress(view, now),
    }
    if job.onward:
        body["deliveries"] = [_delivery(one) for one in view.deliveries]
    if job.tier is not None:
        body |= _tier(job, job.tier) | {"payment": None if view.payment is None else _payment(view.payment)}
    if links is not None and job.finished_at is not None:
        log = next((index for index, result in enumerate(job.results) if result.type == ALGORITHM_LOG), None)
        body["algorithmLogUrl"] = None if log is None else links.to(job, log)
        body["resultsUrls"] = [
            links.to(job, index) for index, result in enumerate(job.results) if result.type == OUTPUT
        ]
    return body


def moved(job: Job) -> dict[str, Any]:
    """Say where a job is, and how its run ended where it has; nothing of this quotes an algorithm."""
    number, text = status_of(job)
    body: dict[str, Any] = {"attempt": job.attempt, "phase": job.phase, "status": number, "statusText": text}
    if job.outcome is not None:
        body |= {"exitCode": job.exit_code, "outOfMemory": job.out_of_memory, "reason": job.reason or None}
    return body


def reduced(view: JobView, handle: str) -> dict[str, Any]:
    """Say what anybody who knows the owner's address may know.

    That is no id, no reason, no URL, and of the results only that they are there: a front end that lists jobs this way
    can offer them to their owner, whose signed requests open them by the handle.

    Args:
        view: The job.
        handle: Stands for its id.
    """
    body = _common(view)
    number, _ = status_of(view.job)
    body |= {
        "jobId": _shown_id(view.job, handle),
        "statusText": "Job completed" if number == 70 else body["statusText"],  # noqa: PLR2004 - the final number
        "algorithmLogUrl": None,
        "resultsUrls": [],
        "results": _results(view.job, _veiled),
    }
    return body


def _common(view: JobView) -> dict[str, Any]:
    job = view.job
    number, text = status_of(job)
    return {
        "owner": job.owner,
        "documentId": job.dataset_dids[0],
        "jobId": _shown_id(job, job.id),
        "dateCreated": _time(job.created_at),
        "dateFinished": _time(job.finished_at),
        "status": number,
        "statusText": text,
        "resultsDid": next((one.progress for one in view.deliveries if _is_published(one)), ""),
        "agreementId": job.agreement_id,
        "stopreq": int(job.stop_requested_at is not None),
        "removed": int(job.delete_requested_at is not None),
        "algoDID": job.algorithm_did or "raw",
        "inputDID": list(job.dataset_dids),
        "did": job.dataset_dids[0],
        "environment": job.environment,
        "mock": job.mock,
        "expireTimestamp": job.expires_at,
    }


def _shown_id(job: Job, job_id: str) -> str:
    """Give a job's id, or its handle, as those who started it know ids: in Ocean Node's API with a prefix."""
    return job_id if job.tier is None else f"{job.environment}-{job_id}"


def _results(job: Job, said: Callable[[int, ResultFile], dict[str, Any]]) -> list[dict[str, Any]] | str:
    """List a job's results; in Ocean Node's API all its outputs are one archive."""
    listed = list(enumerate(job.results))
    if job.tier is not None:
        return [said(index, one) for index, one in listed if one.type != OUTPUT or one.filename == tarball.TAR_NAME]
    found = [said(index, result) for index, result in listed]
    if job.mock:
        fates = {(one.path, one.type): one for one in job.verdicts}
        for entry in found:
            fate = fates.get((entry["filename"], entry["type"]))
            entry["wouldBe"] = fate.would or None if fate else None
            entry["wouldBeReason"] = fate.reason or None if fate else None
    return found or ""


def _tier(job: Job, tier: Tier) -> dict[str, Any]:
    return {
        "isFree": tier.free,
        "metadata": json.loads(tier.metadata),
        "additionalViewers": list(tier.viewers),
        "maxJobDuration": job.resources.time_seconds,
        "resources": [{"id": name, "amount": amount} for name, amount in amounts_of(job.resources)],
        "stopRequested": job.stop_requested_at is not None,
        "terminationDetails": {"exitCode": job.exit_code, "OOMKilled": job.out_of_memory},
    }


def _payment(payment: Payment) -> dict[str, Any]:
    claimed, released = (payment.claim_tx, None) if payment.claim else (None, payment.claim_tx)
    return {
        "chainId": payment.chain_id,
        "token": payment.token,
        "state": payment.state,
        "lockTx": payment.lock_tx or None,
        "claimTx": claimed or None,
        "cancelTx": released or None,
        "locked": str(payment.amount),
        "claimed": str(payment.claim),
        # What went wrong is the owner's to read, and may be in a node's own words.
        "note": payment.note or None if payment.state is PaymentState.LOCKING and not payment.attempts else None,
    }


def _result(index: int, result: ResultFile) -> dict[str, Any]:
    return {
        "filename": result.filename,
        "filesize": result.filesize,
        "type": result.type,
        "index": index,
        "sha256": result.sha256 or None,
    }


def _veiled(index: int, result: ResultFile) -> dict[str, Any]:
    """Tell that a result is there; its name only where it is one that we gave."""
    name = result.filename if result.filename in _OUR_NAMES else f"{result.type}-{index}"
    return {"filename": name, "filesize": None, "type": result.type, "index": index, "sha256": None}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "startedAt": _time(attempt.started_at),
        "finishedAt": _time(attempt.finished_at),
    }


def _is_published(delivery: Delivery) -> bool:
    return delivery.kind is DeliveryKind.ASSET and delivery.state is DeliveryState.DONE


def _delivery(delivery: Delivery) -> dict[str, Any]:
    """Say how far results are that go further than to this host, in words that name no place."""
    return {
        "kind": delivery.kind,
        "state": delivery.state,
        "sent": int(delivery.progress or "0") if delivery.kind is DeliveryKind.STORAGE else 0,
        "failedTries": delivery.tries,
        "note": delivery.note or None,
        "nextTryAt": _time(delivery.due_at) if delivery.state == "open" and delivery.due_at else None,
    }


def _progress(view: JobView, now: float) -> dict[str, Any]:
    job = view.job
    since = job.created_at if job.started_at is None else job.started_at
    progress: dict[str, Any] = {
        "phase": job.phase,
        "elapsedSeconds": round(max(0.0, (job.finished_at or now) - since), 3),
    }
    if view.bytes_done is not None:
        progress |= {"bytesDone": view.bytes_done, "bytesTotal": view.bytes_total}
    if view.doing:
        progress["doing"] = view.doing
    return progress


def _time(value: float | None) -> str | None:
    return None if value is None else f"{value:.6f}"
