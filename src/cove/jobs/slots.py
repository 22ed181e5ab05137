"""Who may run now, and whose data may be brought meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cove.core.job import Job, JobId


class Slots:
    """The slots of every environment: at most so many runs at a time, and as many jobs that get ready behind them.

    A job is *brought* from its admission until it may run (its data is provisioned while others run), then it *holds*
    a slot until its run is over. Who is ready first runs first.

    Args:
        runs: How many runs each environment allows at a time.
    """

    def __init__(self, runs: Mapping[str, int]) -> None:
        self._runs = runs
        self._holding: dict[JobId, str] = {}
        self._brought: dict[JobId, str] = {}
        #: Those of the brought that are ready and found no slot, in the order in which they asked.
        self._waiting: dict[JobId, str] = {}

    def knows(self, job_id: JobId) -> bool:
        """Say whether a job holds a slot or is brought."""
        return job_id in self._holding or job_id in self._brought

    def room(self, environment: str) -> int:
        """Give how many more jobs of an environment may be brought now; 0 for an environment that is not there."""
        return self._runs.get(environment, 0) - _count(self._brought, environment)

    def bring(self, job: Job) -> None:
        """Note that a job gets ready; one that holds a slot keeps it."""
        if job.id not in self._holding:
            self._brought[job.id] = job.environment

    def hold(self, job: Job) -> None:
        """Note that a job runs, whether or not there was a slot."""
        self._forget(job.id)
        self._holding[job.id] = job.environment

    def take(self, job: Job) -> bool:
        """Take a slot for a job that is ready; False when it has to wait for one."""
        if job.id in self._holding:
            return True
        if _count(self._holding, job.environment) >= self._runs.get(job.environment, 0):
            self._waiting.setdefault(job.id, job.environment)
            return False
        self.hold(job)
        return True

    def leave(self, job_id: JobId) -> Sequence[JobId]:
        """Forget a job, and give those that wait and may take the slots that are free now."""
        environment = self._holding.pop(job_id, None)
        self._forget(job_id)
        if environment is None:
            return ()
        free = self._runs.get(environment, 0) - _count(self._holding, environment)
        return [waiting for waiting, place in self._waiting.items() if place == environment][: max(0, free)]

    def _forget(self, job_id: JobId) -> None:
        self._brought.pop(job_id, None)
        self._waiting.pop(job_id, None)


def _count(jobs: Mapping[JobId, str], environment: str) -> int:
    return sum(1 for place in jobs.values() if place == environment)
