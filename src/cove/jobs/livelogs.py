"""The log of a job while it runs, for its owner, where the environment allows it.

The log comes from the engine as it grows. Once the job is done the engine has forgotten it: the rest then comes from
the released file, so that who reads to the end has read all that may leave.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from cove.core.errors import Forbidden, NotFound, Unavailable
from cove.core.job import Job, JobId, Phase
from cove.core.policy import ALGORITHM_LOG, live_bytes
from cove.jobs.outputs import CAPTURED_LOG
from cove.jobs.parts import Parts
from cove.jobs.requests import JobView
from cove.jobs.service import JobService
from cove.ports import JobQuery

CHUNK: Final = 64 << 10
"""Bytes that are held of a log."""

LOOK_SECONDS: Final = 0.5
"""How long a log may have grown before that is seen."""

_BEFORE_RUN: Final = frozenset({Phase.ACCEPTED, Phase.PROVISIONING, Phase.SUBMITTING})


@dataclass(frozen=True, slots=True)
class LogPart:
    """Further bytes of a log."""

    #: Each attempt has a log of its own, from its beginning.
    attempt: int
    #: Where in the log the bytes begin.
    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Nothing more will come."""

    #: None: the job was deleted.
    view: JobView | None


class LiveLogs:
    """Follows logs."""

    def __init__(self, parts: Parts, jobs: JobService) -> None:
        self._parts = parts
        self._jobs = jobs
        self._stopped = False

    def stop(self) -> None:
        """Have every follower end soon, without the job's end: the service stops, and its runs go on."""
        self._stopped = True

    async def check(self, owner: str, job_id: JobId) -> None:
        """See that an account may follow a job's log.

        Raises:
            NotFound: There is no such job of this owner's.
            Forbidden: The environment shows no logs before the end.
        """
        view = await self._view(owner, job_id)
        if view is None:
            raise NotFound("There is no such job.")
        if not self._is_live(view.job):
            raise Forbidden(
                "The job's environment shows no log while a job runs.",
                hint="Ask for the status: the log is among the results at the end.",
            )

    async def follow(self, owner: str, job_id: JobId) -> AsyncIterator[LogPart | LogEnd | None]:
        """Give a job's log as it grows, and at last how the job ended.

        Nothing is read ahead: who takes the parts slowly holds one of them. None says that there is nothing new.
        """
        attempt = offset = 0
        while (view := await self._view(owner, job_id)) is not None:
            job = view.job
            if job.attempt != attempt:
                attempt, offset = job.attempt, 0
            content = await self._read(job, offset)
            if content:
                yield LogPart(attempt, offset, content)
                offset += len(content)
            elif job.phase is Phase.DONE:
                break
            elif self._stopped:
                return
            else:
                yield None
                await self._jobs.wait_change(job_id, LOOK_SECONDS)
        yield LogEnd(view)

    async def _view(self, owner: str, job_id: JobId) -> JobView | None:
        found = await self._jobs.find(JobQuery(job_id=job_id, owner=owner))
        return found[0] if found else None

    async def _read(self, job: Job, offset: int) -> bytes:
        """Give what there is from an offset on, a chunk at the most; nothing where it is not known."""
        length = min(CHUNK, live_bytes(self._parts.limits, offset, live_logs=self._is_live(job)))
        if not length or job.phase in _BEFORE_RUN:
            return b""
        try:
            if job.phase is Phase.DONE:
                return await self._released(job, offset, length)
            return await self._parts.engines[self._parts.environments[job.environment].engine].logs(
                job.run_id, offset, length
            )
        except (Unavailable, NotFound):
            return b""

    async def _released(self, job: Job, offset: int, length: int) -> bytes:
        for result in job.results:
            if (result.filename, result.type) == (CAPTURED_LOG, ALGORITHM_LOG) and result.key:
                length = min(length, max(0, result.filesize - offset))
                return b"".join([part async for part in self._parts.results.read(result.key, offset, length)])
        return b""

    def _is_live(self, job: Job) -> bool:
        environment = self._parts.environments.get(job.environment)
        return environment is not None and environment.live_logs
