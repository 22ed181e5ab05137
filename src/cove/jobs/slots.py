"""Who may run now, and whose data may be brought meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cove.core.job import Job, JobId

_AHEAD: Final = 2
"""How many times as many jobs as may run get ready at most: so many, and as many newcomers whose turn is before."""

_BEHIND: Final = 8
"""How many times as many jobs as may run may be over, with what they left not judged yet, before no more get ready: it
lies on the owner's disk meanwhile."""


class Slots:
    """The slots of every environment: at most so many runs at a time, and as many jobs that get ready behind them.

    A job is *brought* from its admission until it may run (its data is provisioned while others run), then it *holds*
    a slot until its run is over, and is *behind* until what it left is released or refused. Of those that are ready,
    the one with the lowest ``Job.place`` runs first. One that is not ready yet holds up nobody: a slot is never kept
    free for it.

    Free jobs may be allowed fewer of the slots. Those of them that find none are passed over.

    Args:
        runs: How many runs each environment allows at a time.
        free_runs: How many of these may be of free jobs, where that is not all.
    """

    def __init__(self, runs: Mapping[str, int], free_runs: Mapping[str, int] | None = None) -> None:
        self._runs = runs
        self._free_runs = free_runs or {}
        self._holding: dict[JobId, Job] = {}
        self._brought: dict[JobId, Job] = {}
        #: Those of the brought that are ready and found no slot.
        self._waiting: dict[JobId, Job] = {}
        self._behind: dict[JobId, str] = {}

    def knows(self, job_id: JobId) -> bool:
        """Say whether a job holds a slot, is brought, or is behind."""
        return job_id in self._holding or job_id in self._brought or job_id in self._behind

    def runs(self, environment: str) -> int:
        """Give how many runs an environment allows at a time; 0 for an environment that is not there."""
        return self._runs.get(environment, 0)

    def parts_free(self, environment: str) -> bool:
        """Say whether free jobs are allowed fewer slots than there are."""
        return self._free_runs.get(environment, self.runs(environment)) < self.runs(environment)

    def has_room(self, environment: str) -> bool:
        """Say whether any further job of an environment may be brought now."""
        behind = sum(1 for place in self._behind.values() if place == environment)
        brought = len(_places(self._brought, environment))
        return brought < _AHEAD * self.runs(environment) and behind < _BEHIND * self.runs(environment)

    def may_bring(self, job: Job) -> bool:
        """Say whether a job may be brought now: it is among the next that run, as many as there are slots."""
        brought = [one for one in self._brought.values() if one.environment == job.environment]
        ahead = [one for one in brought if one.place < job.place]
        before = len(ahead)
        if self.parts_free(job.environment):
            most = self._free_runs[job.environment]
            free_ahead = sum(1 for one in ahead if one.is_free)
            if job.is_free and (free_ahead >= most or sum(1 for one in brought if one.is_free) >= _AHEAD * most):
                return False
            before -= max(0, free_ahead - most)
        return before < self.runs(job.environment) and self.has_room(job.environment)

    def bring(self, job: Job) -> None:
        """Note that a job gets ready; one that holds a slot keeps it."""
        if job.id not in self._holding:
            self._behind.pop(job.id, None)
            self._brought[job.id] = job

    def hold(self, job: Job) -> None:
        """Note that a job runs, whether or not there was a slot."""
        self._forget(job.id)
        self._holding[job.id] = job

    def take(self, job: Job) -> bool:
        """Take a slot for a job that is ready; False when it has to wait for one, or for those before it."""
        if job.id in self._holding:
            return True
        self._waiting[job.id] = job
        if job.id not in self._next(job.environment):
            return False
        self.hold(job)
        return True

    def leave(self, job_id: JobId) -> Sequence[JobId]:
        """Forget a job, and give those that wait and may take the slots that are free now."""
        held_in = self._holding.pop(job_id, None)
        waited = self._waiting.get(job_id)
        self._forget(job_id)
        left = held_in or waited
        return () if left is None else self._next(left.environment)

    def is_behind(self, job_id: JobId) -> bool:
        """Say whether a job's run is over, and what it left is not released or refused yet."""
        return job_id in self._behind

    def end(self, job: Job) -> Sequence[JobId]:
        """Note that a job's run is over, and give those that wait and may take the slots that are free now."""
        following = self.leave(job.id)
        self._behind[job.id] = job.environment
        return following

    def step_back(self, job_id: JobId) -> Sequence[JobId]:
        """Have a job that could not go on wait no more, until it asks for a slot again; give who may go before it."""
        waited = self._waiting.pop(job_id, None)
        return () if waited is None else self._next(waited.environment)

    def _next(self, environment: str) -> Sequence[JobId]:
        """Give those that wait and may take the slots that are free now, in their order."""
        holding = [job for job in self._holding.values() if job.environment == environment]
        left = self.runs(environment) - len(holding)
        most = self._free_runs.get(environment, self.runs(environment))
        left_for_free = most - sum(1 for job in holding if job.is_free)
        found: list[JobId] = []
        waiting = (job for job in self._waiting.values() if job.environment == environment)
        for job in sorted(waiting, key=lambda job: job.place):
            if len(found) >= left:
                break
            if job.is_free:
                if left_for_free <= 0:
                    continue
                left_for_free -= 1
            found.append(job.id)
        return found

    def _forget(self, job_id: JobId) -> None:
        self._brought.pop(job_id, None)
        self._waiting.pop(job_id, None)
        self._behind.pop(job_id, None)


def _places(jobs: Mapping[JobId, Job], environment: str) -> Sequence[int]:
    return [job.place for job in jobs.values() if job.environment == environment]
