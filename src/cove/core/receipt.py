"""A finished job's receipt: what ran on what and what left, signed by the provider, to be checked without it.

An in-toto Statement v1 in a DSSE envelope. It names nothing that did not leave: the name, the size or the digest of a
file that is held back could carry what the file was held back for, so such files are counted by reason alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cove.core.airlock import Review, reviewers_of
from cove.core.job import Job, ResultFile, Verdict
from cove.core.policy import PUBLISH_LOG
from cove.core.releasepolicy import ReleasePolicy

NAME: Final = "receipt.json"
TYPE: Final = PUBLISH_LOG
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:cove:receipt:1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_BYTES: Final = 8 << 20
"""Largest receipt that is read."""

_STAT: Final = "sha256:"
_ALGORITHM: Final = "/data/transformations"

Sign = Callable[[bytes], bytes]
"""Signs the bytes of :func:`pae`: r, s (32 bytes each) and v."""

Recover = Callable[[bytes, bytes], str | None]
"""Gives the account that signed the bytes of :func:`pae`, from those and the signature; None where nobody did."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a receipt says beside the job itself."""

    #: The provider's account, checksummed.
    provider: str
    #: Of Cove.
    version: str
    #: That the job ran under.
    policy: ReleasePolicy
    #: Source that came with the request; None where the algorithm was published.
    rawcode: str | None
    #: The newest hash of the audit log.
    audit_head: str
    #: Of the present attempt; None where nothing was held.
    review: Review | None


class NoReceipt(ValueError):
    """What was read is no receipt of Cove's; the text says why."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that was read."""

    #: Whose signature is good; checksummed.
    signer: str
    statement: Mapping[str, Any]

    @property
    def outputs(self) -> Mapping[str, str]:
        """Give the sha256 of each released file by its name; a log and an output of one name are told apart."""
        return {str(one["name"]): str(one["digest"]["sha256"]) for one in self.statement["predicate"]["released"]}


def statement(job: Job, around: Circumstances) -> dict[str, Any]:
    """Give what is signed about a job that has ended."""
    stored = [result for result in job.results if result.sha256 and result.type != TYPE]
    would = {(one.path, one.type): one for one in job.verdicts if one.would}
    return {
        "_type": STATEMENT_TYPE,
        "subject": [_subject(result) for result in stored] or [_job_subject(job)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "provider": around.provider,
            "software": {"name": "cove", "version": around.version},
            "job": {
                "id": job_digest(job),
                "attempt": job.attempt,
                "consumer": job.owner,
                "chainId": job.chain_id,
                "order": job.agreement_id,
                "environment": job.environment,
                "datasets": list(job.dataset_dids),
            },
            "mock": job.mock,
            "image": job.image_digest or None,
            "algorithm": algorithm_of(job, around.rawcode),
            "inputs": [_input(*one) for one in job.input_digests if not one[0].startswith(_ALGORITHM) and one[1]],
            "policy": {"builtIn": not around.policy.digests, "digests": dict(around.policy.digests)},
            "resources": {
                "cpus": job.resources.cpus,
                "memoryBytes": job.resources.memory_bytes,
                "diskBytes": job.resources.disk_bytes,
                "timeSeconds": job.resources.time_seconds,
            },
            "times": {"accepted": job.created_at, "started": job.started_at, "finished": job.finished_at},
            "end": {
                "outcome": None if job.outcome is None else str(job.outcome),
                "reason": job.reason,
                "exitCode": job.exit_code,
                "outOfMemory": job.out_of_memory,
            },
            "released": [_released(one, would) for one in stored],
            "withheld": withheld(job),
            "review": _review(around.review),
            "audit": around.audit_head,
        },
    }


def withheld(job: Job) -> list[dict[str, Any]]:
    """Count what does not leave, by type and reason."""
    left = {(result.filename, result.type) for result in job.results}
    out = [one for one in job.verdicts if (one.path, one.type) not in left]
    counted = Counter((one.type, one.reason or "changed") for one in out)
    return [{"type": kind, "reason": reason, "count": count} for (kind, reason), count in sorted(counted.items())]


def envelope(body: Mapping[str, Any], provider: str, sign: Sign) -> bytes:
    """Sign a statement, and give the file that is handed out."""
    payload = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    signature = {"keyid": provider, "sig": _base64(sign(pae(payload)))}
    whole = {"payloadType": PAYLOAD_TYPE, "payload": _base64(payload), "signatures": [signature]}
    return json.dumps(whole).encode() + b"\n"


def pae(payload: bytes) -> bytes:
    """Give the bytes that a signature covers (DSSE's pre-authentication encoding, version 1)."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def opened(content: bytes, recover: Recover) -> Receipt:
    """Read a receipt, and see who signed it.

    Args:
        content: Of the file.
        recover: Gives the account behind a signature.

    Raises:
        NoReceipt: It is none, or its signature is not of the account that it names.
    """
    whole = _object(content)
    if whole.get("payloadType") != PAYLOAD_TYPE:
        raise NoReceipt("This is no DSSE envelope of an in-toto statement.")
    payload = _bytes(whole.get("payload"))
    body = _object(payload)
    if body.get("_type") != STATEMENT_TYPE or body.get("predicateType") != PREDICATE_TYPE:
        raise NoReceipt("The statement in it is not one about a job of Cove's.")
    _check_form(body)
    signatures = whole.get("signatures")
    for one in signatures if isinstance(signatures, list) else ():
        if not isinstance(one, dict):
            continue
        signer = recover(pae(payload), _bytes(one.get("sig")))
        if signer is not None and signer.lower() == str(one.get("keyid")).lower():
            if body["predicate"]["provider"].lower() != signer.lower():
                raise NoReceipt("It is signed by another account than the provider that it names.")
            return Receipt(signer, body)
    raise NoReceipt("No signature of it is good: it was changed, or was not signed by the account that it names.")


def _check_form(body: Mapping[str, Any]) -> None:
    predicate = body.get("predicate")
    good = isinstance(predicate, dict) and isinstance(predicate.get("provider"), str)
    if not isinstance(predicate, dict) or not good or not isinstance(predicate.get("released"), list):
        raise NoReceipt("The statement in it lacks what a receipt says.")
    for one in predicate["released"]:
        digest = one.get("digest") if isinstance(one, dict) else None
        if not isinstance(digest, dict) or not isinstance(digest.get("sha256"), str) or "name" not in one:
            raise NoReceipt("The statement in it lacks what a receipt says.")


def _subject(result: ResultFile) -> dict[str, Any]:
    return {"name": result.filename, "digest": {"sha256": result.sha256}}


def _released(result: ResultFile, would: Mapping[tuple[str, str], Verdict]) -> dict[str, Any]:
    """Write a file that left; of a mock job, also what would have become of it on private data."""
    said = {**_subject(result), "type": result.type, "bytes": result.filesize}
    if verdict := would.get((result.filename, result.type)):
        said |= {"wouldBe": verdict.would, "reason": verdict.reason or None}
    return said


def _job_subject(job: Job) -> dict[str, Any]:
    """Stand in for files where none left: a statement must be about something."""
    return {"name": "job", "digest": {"sha256": job_digest(job).removeprefix(_STAT)}}


def job_digest(job: Job) -> str:
    """Name a job so that who knows its id recognises it, and nobody else learns the id."""
    return _STAT + hashlib.sha256(job.id.encode()).hexdigest()


def algorithm_of(job: Job, rawcode: str | None) -> dict[str, Any]:
    """Say which algorithm ran, by its DID and the digests of its files.

    Args:
        job: Once its inputs were brought.
        rawcode: Source that came with the request; None where the algorithm was published.
    """
    files = [_input(*one) for one in job.input_digests if one[0].startswith(_ALGORITHM) and one[1]]
    if rawcode is not None:
        code = hashlib.sha256(rawcode.encode("utf-8", "surrogatepass")).hexdigest()
        files.append({"place": f"{_ALGORITHM}/algorithm", "sha256": code})
    return {"did": job.algorithm_did or None, "files": files}


def _input(place: str, digest: str) -> dict[str, Any]:
    """Write an input's fingerprint: its digest, or for what was not read through, a name of its present state."""
    if digest.startswith(_STAT):
        return {"place": place, "sha256": digest.removeprefix(_STAT)}
    return {"place": place, "fingerprint": hashlib.sha256(digest.encode()).hexdigest()}


def _review(review: Review | None) -> dict[str, Any] | None:
    if review is None:
        return None
    return {
        "state": str(review.state),
        "needed": review.reviewers,
        "reviewers": list(reviewers_of(review.files)),
        "closedBy": review.closed_by or None,
        "opened": review.opened_at,
        "closed": review.closed_at,
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(given: object) -> bytes:
    try:
        return base64.b64decode(given if isinstance(given, str) else "", validate=True)
    except (binascii.Error, ValueError):
        raise NoReceipt("A part of it is not in base64.") from None


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise NoReceipt("This is no JSON.") from None
    if not isinstance(found, dict):
        raise NoReceipt("This is no JSON object.")
    return found


def checked(receipt: Receipt, files: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Say of each file under which name it was released.

    Args:
        receipt: What was read.
        files: Name and sha256 of each.

    Returns:
        The name of each file, and the name that it was released under, empty where it was not.
    """
    released: dict[str, list[str]] = {}
    for one in receipt.statement["predicate"]["released"]:
        released.setdefault(str(one["digest"]["sha256"]), []).append(str(one["name"]))
    found = []
    for name, digest in files:
        names = released.get(digest, [])
        last = name.rpartition("/")[2]
        exact = next((one for one in names if one.rpartition("/")[2] == last), "")
        found.append((name, exact or (names[0] if names else "")))
    return found
