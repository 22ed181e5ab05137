"""What happens to a job while it happens, for its owner; with its log where the environment and the policy allow it.

System events (where the job is, how its run ended) quote nothing that an algorithm wrote, and are always shown. Its
log is shown unchecked while it is written only where the environment has ``live_logs`` and the owner of every dataset
says ``live``; else as much of it as was released comes at the end. The log of a mock job, which read nothing private,
is shown in any case.

The log comes from the engine as it grows. Once the job is done the engine has forgotten it: the rest then comes from
the released file, so that who reads to the end has read all that may leave.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from cove.core.errors import NotFound, Unavailable
from cove.core.job import Job, JobId, Phase
from cove.core.policy import ALGORITHM_LOG, CAPTURED_LOG, live_bytes
from cove.core.releasepolicy import LogMode, LogRules, ReleasePolicy
from cove.jobs.parts import Parts
from cove.jobs.requests import JobView
from cove.jobs.service import JobService
from cove.jobs.steps import unpack
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
class Moved:
    """The job came into another phase."""

    view: JobView


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
        """
        if await self._view(owner, job_id) is None:
            raise NotFound("There is no such job.")

    async def follow(self, owner: str, job_id: JobId) -> AsyncIterator[Moved | LogPart | LogEnd | None]:
        """Give where a job is, its log as it grows or at the end, and at last how the job ended.

        Nothing is read ahead: who takes the parts slowly holds one of them. None says that there is nothing new.
        """
        attempt = offset = 0
        phase, policy, live = Phase.DONE, ReleasePolicy(), False
        while (view := await self._view(owner, job_id)) is not None:
            job = view.job
            if job.attempt != attempt:
                attempt, offset, phase = job.attempt, 0, Phase.DONE
                policy, mock = await self._policy(job_id)
                live = mock or self._is_live(job)
            if job.phase not in {phase, Phase.DONE}:
                phase = job.phase
                yield Moved(view)
            content = await self._read(job, offset, policy, live=live)
            if content:
                yield LogPart(attempt, offset, content)
                offset += len(content)
            elif job.phase in {Phase.HELD, Phase.DONE}:
                break  # a person may take weeks, and nothing more is written
            elif self._stopped:
                return
            else:
                yield None
                await self._jobs.wait_change(job_id, LOOK_SECONDS)
        yield LogEnd(view)

    async def _view(self, owner: str, job_id: JobId) -> JobView | None:
        found = await self._jobs.find(JobQuery(job_id=job_id, owner=owner))
        return found[0] if found else None

    async def _policy(self, job_id: JobId) -> tuple[ReleasePolicy, bool]:
        """Give the policy for an attempt's log, and whether it is of a mock job, whose log is shown whole."""
        try:
            sealed = await self._parts.store.package(job_id)
        except NotFound:
            return ReleasePolicy(logs=LogRules(LogMode.OFF)), False  # it was deleted just now
        package = unpack(self._parts.vault.unseal(sealed))
        return (ReleasePolicy(logs=LogRules(LogMode.LIVE)) if package.mock else package.policy), package.mock

    async def _read(self, job: Job, offset: int, policy: ReleasePolicy, *, live: bool) -> bytes:
        """Give what there is from an offset on, a chunk at the most; nothing where it is not known."""
        if job.phase is Phase.DONE:
            return await self._released(job, offset, CHUNK)
        length = min(CHUNK, live_bytes(self._parts.limits, offset, policy, live_logs=live))
        if not length or job.phase in _BEFORE_RUN:
            return b""
        try:
            return await self._parts.engines[self._parts.environments[job.environment].engine].logs(
                job.run_id, offset, length
            )
        except (Unavailable, NotFound):
            return b""

    async def _released(self, job: Job, offset: int, length: int) -> bytes:
        for result in job.results:
            if (result.filename, result.type) == (CAPTURED_LOG, ALGORITHM_LOG) and result.key:
                length = min(length, max(0, result.filesize - offset))
                try:
                    return b"".join([part async for part in self._parts.results.read(result.key, offset, length)])
                except (Unavailable, NotFound):
                    return b""
        return b""

    def _is_live(self, job: Job) -> bool:
        environment = self._parts.environments.get(job.environment)
        return environment is not None and environment.live_logs
