"""Signs what a finished job did, and puts it behind the job's results."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import cove
from cove.core import receipt
from cove.core.audit import Entry
from cove.core.errors import NoSpace
from cove.core.job import Job, Package, ResultFile, Verdict
from cove.core.policy import RawOutput, release
from cove.jobs.holding import PROVIDER, of_mock, subject_of
from cove.jobs.parts import Parts

log = logging.getLogger("cove.jobs")


async def add_receipt(parts: Parts, job: Job, package: Package) -> Job:
    """Give a job that has ended with its receipt as the last of its results.

    May be repeated: the later receipt takes the earlier one's place. Where its disk is full, a job ends without one.

    Args:
        parts: The house's.
        job: With its end, in DONE; its results without a receipt.
        package: The job's.
    """
    review = None if job.held_at is None else await parts.reviews.get(job.id, job.attempt)
    around = receipt.Circumstances(
        provider=parts.vault.address,
        version=cove.__version__,
        policy=package.policy,
        rawcode=package.rawcode,
        audit_head=(await parts.audit.head()).hash,
        review=review,
    )
    body = receipt.statement(job, around)
    content = receipt.envelope(body, parts.vault.address, lambda signed: _signature(parts, signed))
    digest = hashlib.sha256(content).hexdigest()
    try:
        found = await asyncio.to_thread(_put, parts, job, content, digest)
    except (NoSpace, OSError):
        log.error("job %s ends without a receipt: there is no space left", job.id)  # noqa: TRY400 - known
        return job
    withheld = receipt.withheld(job)
    released = len(body["predicate"]["released"])
    details = {"sha256": digest, "released": released, "withheld": withheld, **of_mock(job)}
    at = parts.clock.now() if job.finished_at is None else job.finished_at
    await parts.audit.append(Entry(at, PROVIDER, "released", subject_of(job), details))
    return replace(job, results=(*job.results, found))


def _put(parts: Parts, job: Job, content: bytes, digest: str) -> ResultFile:
    raw = RawOutput(receipt.NAME, receipt.TYPE, len(content), digest)
    output = release(raw, [Verdict(raw.path, raw.type, raw.size, raw.sha256, released=True)])
    if output is None:
        raise ValueError("a receipt may always leave")

    def place() -> Path:
        folder = parts.workspace(job.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / receipt.NAME
        file.write_bytes(content)
        return file

    key = parts.results.put(job.id, job.attempt, output, place)
    parts.results.settle(job.id)
    return ResultFile(output.path, output.size, output.type, output.sha256, key)


def _signature(parts: Parts, signed: bytes) -> bytes:
    v, r, s = parts.vault.sign_hash(parts.keccak(signed))
    return b"".join((r, s, bytes((v,))))
