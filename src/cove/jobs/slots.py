"""Who may run now, and whose data may be brought meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cove.core.job import Job, JobId

_AHEAD: Final = 2
"""How many times as many jobs as may run get ready at most: so many, and as many newcomers whose turn is before."""


class Slots:
    """The slots of every environment: at most so many runs at a time, and as many jobs that get ready behind them.

    A job is *brought* from its admission until it may run (its data is provisioned while others run), then it *holds*
    a slot until its run is over. Of those that are ready, the one with the lowest ``Job.place`` runs first. One that is
    not ready yet holds up nobody: a slot is never kept free for it.

    Args:
        runs: How many runs each environment allows at a time.
    """

    def __init__(self, runs: Mapping[str, int]) -> None:
        self._runs = runs
        self._holding: dict[JobId, str] = {}
        self._brought: dict[JobId, Job] = {}
        #: Those of the brought that are ready and found no slot.
        self._waiting: dict[JobId, Job] = {}

    def knows(self, job_id: JobId) -> bool:
        """Say whether a job holds a slot or is brought."""
        return job_id in self._holding or job_id in self._brought

    def runs(self, environment: str) -> int:
        """Give how many runs an environment allows at a time; 0 for an environment that is not there."""
        return self._runs.get(environment, 0)

    def has_room(self, environment: str) -> bool:
        """Say whether any further job of an environment may be brought now."""
        return len(_places(self._brought, environment)) < _AHEAD * self.runs(environment)

    def may_bring(self, job: Job) -> bool:
        """Say whether a job may be brought now: it is among the next that run, as many as there are slots."""
        before = sum(1 for place in _places(self._brought, job.environment) if place < job.place)
        return before < self.runs(job.environment) and self.has_room(job.environment)

    def bring(self, job: Job) -> None:
        """Note that a job gets ready; one that holds a slot keeps it."""
        if job.id not in self._holding:
            self._brought[job.id] = job

    def hold(self, job: Job) -> None:
        """Note that a job runs, whether or not there was a slot."""
        self._forget(job.id)
        self._holding[job.id] = job.environment

    def take(self, job: Job) -> bool:
        """Take a slot for a job that is ready; False when it has to wait for one, or for those before it."""
        if job.id in self._holding:
            return True
        before = sum(1 for place in _places(self._waiting, job.environment) if place < job.place)
        if before >= self._free(job.environment):
            self._waiting[job.id] = job
            return False
        self.hold(job)
        return True

    def leave(self, job_id: JobId) -> Sequence[JobId]:
        """Forget a job, and give those that wait and may take the slots that are free now."""
        held_in = self._holding.pop(job_id, None)
        waited = self._waiting.get(job_id)
        self._forget(job_id)
        environment = held_in if waited is None else waited.environment
        return () if environment is None else self._next(environment)

    def step_back(self, job_id: JobId) -> Sequence[JobId]:
        """Have a job that could not go on wait no more, until it asks for a slot again; give who may go before it."""
        waited = self._waiting.pop(job_id, None)
        return () if waited is None else self._next(waited.environment)

    def _next(self, environment: str) -> Sequence[JobId]:
        waiting = sorted(
            (job for job in self._waiting.values() if job.environment == environment), key=lambda job: job.place
        )
        return [job.id for job in waiting[: self._free(environment)]]

    def _free(self, environment: str) -> int:
        return max(0, self.runs(environment) - sum(1 for place in self._holding.values() if place == environment))

    def _forget(self, job_id: JobId) -> None:
        self._brought.pop(job_id, None)
        self._waiting.pop(job_id, None)


def _places(jobs: Mapping[JobId, Job], environment: str) -> Sequence[int]:
    return [job.place for job in jobs.values() if job.environment == environment]
