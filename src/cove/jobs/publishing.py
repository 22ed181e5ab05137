"""Stores what may leave of a job: from where its run left it, or from the airlock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from cove.core.errors import NoSpace, StaleWrite
from cove.core.job import Job, Outcome, Phase, ResultFile, Verdict
from cove.core.policy import CONFIGURATION_LOG, IMAGE_LOG, OUTPUT, RawOutput, release
from cove.jobs import outputs, tarball
from cove.jobs.parts import Parts
from cove.ports import Collected

CONFIGURATION_LOG_NAME: Final = "configuration.log"
IMAGE_LOG_NAME: Final = "image.log"
OUR_LOGS: Final = {IMAGE_LOG: IMAGE_LOG_NAME, CONFIGURATION_LOG: CONFIGURATION_LOG_NAME}
"""By type: the logs that the service itself writes, each in the job's workspace."""


def publish(parts: Parts, job: Job, collected: Collected | None) -> Job:
    """Store what may leave, and nothing else. Blocking.

    Args:
        parts: The house's.
        job: In PUBLISHING.
        collected: What its run left; None where that is gone, or lies in the airlock.
    """
    results: list[ResultFile] = []
    try:
        for verdict in job.verdicts:
            result = _put(parts, job, verdict, collected)
            if result is not None:
                results.append(result)
        parts.results.settle(job.id)
    except NoSpace:
        message = "The provider has no space left for this job's results."
        job = replace(job, outcome=Outcome.PROVIDER_FAILED, reason="no_space", message=message)
    return replace(job, phase=Phase.CLEANING, results=_with_tar(job, results))


def place_of(parts: Parts, job: Job, verdict: Verdict, collected: Collected | None) -> Path | None:
    """Say where a judged file lies; None where nothing is known of it any more."""
    if job.held_at is not None:
        return parts.airlock.place(job.id, verdict.type, verdict.path)
    if verdict.type in OUR_LOGS:
        return parts.workspace(job.id) / verdict.path
    return None if collected is None else outputs.place_of(collected, verdict.path, verdict.type)


def _put(parts: Parts, job: Job, verdict: Verdict, collected: Collected | None) -> ResultFile | None:
    output = release(RawOutput(verdict.path, verdict.type, verdict.size, verdict.sha256), job.verdicts)
    place = None if output is None else place_of(parts, job, verdict, collected)
    if output is None or place is None:
        return None
    try:
        key = parts.results.put(job.id, job.attempt, output, lambda: place)
    except StaleWrite:
        return None
    return ResultFile(output.path, output.size, output.type, output.sha256, key)


def _with_tar(job: Job, results: list[ResultFile]) -> tuple[ResultFile, ...]:
    """Put the archive of all outputs behind the last of them."""
    last = max((position for position, result in enumerate(results) if result.type == OUTPUT), default=None)
    if last is None:
        return tuple(results)
    size = tarball.total(tarball.plan(results, job.created_at))
    archive = ResultFile(tarball.TAR_NAME, size, OUTPUT, "", "")
    return (*results[: last + 1], archive, *results[last + 1 :])
