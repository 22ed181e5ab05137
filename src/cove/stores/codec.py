"""A job as a row: the searched fields as columns, everything else as one JSON text.

Written by hand. Pydantic is quicker (8 us against 17 us for reading a plain job), but its JSON refuses the lone
surrogates that stand for undecodable bytes in a hostile file's name, and a verdict about such a file must be kept like
any other.

Lists of small values are stored by position, in the order of their class's fields; a field that is added there later
needs a default and stands last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cove.core.errors import Unavailable
from cove.core.job import Attempt, Job, JobId, Outcome, Phase, Resources, ResultFile, Tier, Verdict
from cove.stores.rules import duration, is_active

COLUMNS: Final = (
    "id",
    "version",
    "phase",
    "environment",
    "created_at",
    "started_at",
    "finished_at",
    "stop_requested_at",
    "delete_requested_at",
    "place",
    "document",
)
"""What a row must have, in this order, to be read by :func:`decode`."""

CHANGING: Final = (
    "version",
    "phase",
    "environment",
    "created_at",
    "started_at",
    "finished_at",
    "stop_requested_at",
    "delete_requested_at",
    "duration",
    "active",
    "document",
)
"""The columns that a later write of a job may change."""

_PHASES: Final = {str(phase): phase for phase in Phase}

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder().decode


def encode(job: Job) -> dict[str, Any]:
    """Give a job's columns, those that the database counts itself left out."""
    return {
        "id": job.id,
        "version": job.version,
        "phase": str(job.phase),
        "environment": job.environment,
        "owner": job.owner.lower(),
        "agreement": job.agreement_id.lower(),
        "dataset": job.dataset_dids[0] if job.dataset_dids else "",
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "stop_requested_at": job.stop_requested_at,
        "delete_requested_at": job.delete_requested_at,
        "duration": duration(job),
        "active": is_active(job),
        "document": _encode(_document(job)),
    }


def decode(row: Sequence[Any]) -> Job:
    """Give the job that a row holds.

    Args:
        row: The values of ``COLUMNS``.

    Raises:
        Unavailable: The row is damaged.
    """
    try:
        return _job(row, _decode(row[10]))
    except (ValueError, KeyError, TypeError, IndexError):
        raise Unavailable(
            "database",
            f"The stored record of job {row[0]} is damaged.",
            hint="Restore the database from a backup, or remove this job's row from the table jobs.",
        ) from None


def _document(job: Job) -> dict[str, Any]:
    document: dict[str, Any] = {
        "owner": job.owner,
        "chain_id": job.chain_id,
        "agreement_id": job.agreement_id,
        "dataset_dids": job.dataset_dids,
        "algorithm_did": job.algorithm_did,
        "resources": _resources(job.resources),
        "expires_at": job.expires_at,
        "order_keys": job.order_keys,
        "attempt": job.attempt,
        "outcome": job.outcome,
        "reason": job.reason,
        "message": job.message,
        "exit_code": job.exit_code,
        "out_of_memory": job.out_of_memory,
        "losses": job.losses,
    }
    if job.wait_until is not None:
        document["wait_until"] = job.wait_until
    for name in ("image_digest", "held_at", "review", "notify", "mock"):
        value = getattr(job, name)
        if value is not None and value is not False and value != "":  # 0.0 equals False, and is a time
            document[name] = value
    if job.onward:
        document["onward"] = job.onward
    if job.tier is not None:
        document["tier"] = (job.tier.free, job.tier.metadata, job.tier.viewers)
    if job.input_digests:
        document["input_digests"] = job.input_digests
    if job.verdicts:
        document["verdicts"] = [
            (v.path, v.type, v.size, v.sha256, v.released, v.reason, v.held, v.would) for v in job.verdicts
        ]
    if job.results:
        document["results"] = [(r.filename, r.filesize, r.type, r.sha256, r.key) for r in job.results]
    if job.history:
        document["history"] = [(a.number, a.outcome, a.reason, a.started_at, a.finished_at) for a in job.history]
    return document


def _tier(stored: Sequence[Any] | None) -> Tier | None:
    return None if stored is None else Tier(stored[0], stored[1], tuple(stored[2]), *stored[3:])


def _resources(limits: Resources) -> tuple[float | str, ...]:
    needed = (
        limits.cpus,
        limits.memory_bytes,
        limits.disk_bytes,
        limits.inodes,
        limits.processes,
        limits.time_seconds,
        limits.log_bytes,
    )
    return (*needed, limits.gpus, limits.gpu_type) if limits.gpus or limits.gpu_type else needed


def _job(row: Sequence[Any], document: Mapping[str, Any]) -> Job:
    outcome = document["outcome"]
    get = document.get
    return Job(
        id=JobId(row[0]),
        owner=document["owner"],
        chain_id=document["chain_id"],
        environment=row[3],
        agreement_id=document["agreement_id"],
        dataset_dids=tuple(document["dataset_dids"]),
        algorithm_did=document["algorithm_did"],
        resources=Resources(*document["resources"]),
        created_at=row[4],
        expires_at=document["expires_at"],
        order_keys=tuple(document["order_keys"]),
        phase=_PHASES[row[2]],
        attempt=document["attempt"],
        version=row[1],
        outcome=None if outcome is None else Outcome(outcome),
        reason=document["reason"],
        message=document["message"],
        exit_code=document["exit_code"],
        out_of_memory=document["out_of_memory"],
        started_at=row[5],
        finished_at=row[6],
        stop_requested_at=row[7],
        delete_requested_at=row[8],
        input_digests=tuple([(place, digest) for place, digest in get("input_digests", ())]),
        losses=document["losses"],
        verdicts=tuple([Verdict(*item) for item in get("verdicts", ())]),
        results=tuple([ResultFile(*item) for item in get("results", ())]),
        history=tuple([Attempt(item[0], Outcome(item[1]), *item[2:]) for item in get("history", ())]),
        wait_until=get("wait_until"),
        image_digest=get("image_digest", ""),
        held_at=get("held_at"),
        review=get("review", ""),
        notify=get("notify", False),
        mock=get("mock", False),
        onward=tuple(get("onward", ())),
        tier=_tier(get("tier")),
        place=row[9],
    )
