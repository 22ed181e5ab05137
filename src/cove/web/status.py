"""Writes status objects. By hand, without models: this is the answer that is asked for most."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from cove.core.job import Attempt, Job, ResultFile
from cove.core.policy import ALGORITHM_LOG, OUTPUT
from cove.jobs import tarball
from cove.jobs.outputs import CAPTURED_LOG
from cove.jobs.requests import JobView
from cove.jobs.steps import CONFIGURATION_LOG_NAME, IMAGE_LOG_NAME
from cove.ports import Vault
from cove.wire import API_PREFIX, status_of

_OUR_NAMES: Final = frozenset({tarball.TAR_NAME, CAPTURED_LOG, CONFIGURATION_LOG_NAME, IMAGE_LOG_NAME})


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
    body = _common(job)
    body |= {
        "algorithmLogUrl": None,
        "resultsUrls": [],
        "results": [_result(index, result) for index, result in enumerate(job.results)] or "",
        "outcome": job.outcome,
        "reason": job.reason or None,
        "message": job.message or None,
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
    if links is not None and job.finished_at is not None:
        log = next((index for index, result in enumerate(job.results) if result.type == ALGORITHM_LOG), None)
        body["algorithmLogUrl"] = None if log is None else links.to(job, log)
        body["resultsUrls"] = [
            links.to(job, index) for index, result in enumerate(job.results) if result.type == OUTPUT
        ]
    return body


def reduced(view: JobView, handle: str) -> dict[str, Any]:
    """Say what anybody who knows the owner's address may know.

    That is no id, no reason, no URL, and of the results only that they are there: a front end that lists jobs this way
    can offer them to their owner, whose signed requests open them by the handle.

    Args:
        view: The job.
        handle: Stands for its id.
    """
    body = _common(view.job)
    number, _ = status_of(view.job)
    body |= {
        "jobId": handle,
        "statusText": "Job completed" if number == 70 else body["statusText"],  # noqa: PLR2004 - the final number
        "algorithmLogUrl": None,
        "resultsUrls": [],
        "results": [_veiled(index, result) for index, result in enumerate(view.job.results)] or "",
    }
    return body


def _common(job: Job) -> dict[str, Any]:
    number, text = status_of(job)
    return {
        "owner": job.owner,
        "documentId": job.dataset_dids[0],
        "jobId": job.id,
        "dateCreated": _time(job.created_at),
        "dateFinished": _time(job.finished_at),
        "status": number,
        "statusText": text,
        "resultsDid": "",
        "agreementId": job.agreement_id,
        "stopreq": int(job.stop_requested_at is not None),
        "removed": int(job.delete_requested_at is not None),
        "algoDID": job.algorithm_did or "raw",
        "inputDID": list(job.dataset_dids),
        "did": job.dataset_dids[0],
        "environment": job.environment,
        "expireTimestamp": job.expires_at,
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
