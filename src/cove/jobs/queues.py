"""How long each environment's queue is, looked at seldom and told often.

A queue of thousands is watched by as many clients, each of which asks for its job's status every few seconds. To count
a queue for each would make every status dearer the longer it is; so it is read once for all, and again only when the
last look is so old that looking takes a small share of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from cove.core.environment import Environment
from cove.core.errors import TooMany
from cove.core.job import Job
from cove.core.queueing import expected_wait, expected_wait_of_tier
from cove.ports import JobStore, Line

_SHARE: Final = 20
"""A look is good for so many times as long as it took."""
_MOST_SECONDS: Final = 2.0
"""No look is good for longer."""
_NEARLY_FULL: Final = 4000
"""A queue with less room than this is looked at for each job; one with more cannot fill up before the next look."""
_RETRY_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a job, or one that came now, stands in a queue."""

    #: 1 is next.
    position: int
    #: Estimate of the seconds until it starts; None when nothing is known.
    seconds: float | None


class Queues:
    """The queues of a store.

    Args:
        store: Keeps the jobs.
        monotonic: Gives seconds; None: the event loop's.
    """

    def __init__(self, store: JobStore, monotonic: Callable[[], float] | None = None) -> None:
        self._store = store
        self._monotonic = monotonic
        #: By environment: the last look, and until when it is good.
        self._seen: dict[str, tuple[Line, float]] = {}
        self._looking: dict[str, asyncio.Lock] = {}
        #: How many jobs are being put into the queue of each environment, those of its free tier under True.
        self._coming: Counter[tuple[str, bool]] = Counter()

    async def line(self, environment: Environment) -> Line:
        """Give an environment's queue as it was a moment ago."""
        now = self._monotonic or asyncio.get_running_loop().time
        async with self._looking.setdefault(environment.id, asyncio.Lock()):
            seen = self._seen.get(environment.id)
            if seen is not None and now() < seen[1]:
                return seen[0]
            began = now()
            line = await self._store.line(environment.id, free=_parts_free(environment))
            ended = now()
            self._seen[environment.id] = (line, ended + min(_MOST_SECONDS, _SHARE * (ended - began)))
            return line

    async def stand(self, environment: Environment, job: Job | None = None) -> Waiting:
        """Say how a job in ACCEPTED stands, or how one that came now and took no turn before others would."""
        line = await self.line(environment)
        before = len(line.places) if job is None else bisect_left(line.places, job.place)
        tier = environment.free
        if tier is None or tier.max_jobs is None or tier.max_jobs >= environment.max_jobs:
            wait = expected_wait(before + 1, line.under_way, environment.max_jobs, line.durations)
            return Waiting(before + 1, wait)
        free_before = len(line.free_places) if job is None else bisect_left(line.free_places, job.place)
        wait = expected_wait_of_tier(
            before + line.under_way,
            free_before + line.free_under_way,
            environment.max_jobs,
            tier.max_jobs,
            line.durations,
            free=job is not None and job.is_free,
        )
        return Waiting(before + 1, wait)

    async def check_room(self, environment: Environment, *, free: bool) -> None:
        """Say as far as is known, before anybody else is asked, whether a further job may wait.

        Raises:
            TooMany: The queue is full.
        """
        line = await self.line(environment)
        if len(line.places) >= environment.max_queue:
            raise _full(environment)
        most = _most_free(environment)
        if free and most is not None and len(line.free_places) >= most:
            raise _full(environment, free=True)

    @contextlib.asynccontextmanager
    async def room(self, environment: Environment, *, free: bool) -> AsyncIterator[None]:
        """Around a write that puts a job into the queue: however many come at once, it never holds more than it may.

        Those that are being written count whether or not they are stored yet, so a nearly full queue may refuse one
        that a moment later would fit.

        Args:
            environment: Whose queue.
            free: Whether the job is of its free tier.

        Raises:
            TooMany: The queue is full.
        """
        coming = (environment.id, free)
        self._coming[coming] += 1
        try:
            await self._check(environment, free=free)
            yield
        finally:
            self._coming[coming] -= 1

    async def _check(self, environment: Environment, *, free: bool) -> None:
        free_coming = self._coming[environment.id, True]
        coming = free_coming + self._coming[environment.id, False]
        line = await self.line(environment)
        if len(line.places) + coming > environment.max_queue - _NEARLY_FULL:
            queued, _ = await self._store.counts(environment.id)
            if queued + coming > environment.max_queue:
                raise _full(environment)
        most = _most_free(environment)
        if free and most is not None and len(line.free_places) + free_coming > most - _NEARLY_FULL:
            line = await self._store.line(environment.id, 0, free=True)
            if len(line.free_places) + free_coming > most:
                raise _full(environment, free=True)


def _parts_free(environment: Environment) -> bool:
    """Say whether free jobs get less of an environment than there is."""
    tier = environment.free
    return tier is not None and (tier.max_jobs is not None or _most_free(environment) is not None)


def _most_free(environment: Environment) -> int | None:
    """Give how many free jobs may wait; None: as many as there is room for."""
    most = None if environment.free is None else environment.free.max_queue
    return most if most is not None and most < environment.max_queue else None


def _full(environment: Environment, *, free: bool = False) -> TooMany:
    what = "queue for free jobs" if free else "queue"
    return TooMany(f"The {what} of environment {environment.id} is full.", retry_after=_RETRY_SECONDS)
