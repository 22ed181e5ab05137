"""How long each environment's queue is, looked at seldom and told often.

A queue of thousands is watched by as many clients, each of which asks for its job's status every few seconds. To count
a queue for each would make every status dearer the longer it is; so it is read once for all, and again only when the
last look is so old that looking takes a small share of the time.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cove.core.environment import Environment
from cove.core.job import Job
from cove.core.queueing import expected_wait
from cove.ports import JobStore, Line

_SHARE: Final = 20
"""A look is good for so many times as long as it took."""
_MOST_SECONDS: Final = 2.0
"""No look is good for longer."""


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

    async def line(self, environment: str) -> Line:
        """Give an environment's queue as it was a moment ago."""
        now = self._monotonic or asyncio.get_running_loop().time
        async with self._looking.setdefault(environment, asyncio.Lock()):
            seen = self._seen.get(environment)
            if seen is not None and now() < seen[1]:
                return seen[0]
            began = now()
            line = await self._store.line(environment)
            ended = now()
            self._seen[environment] = (line, ended + min(_MOST_SECONDS, _SHARE * (ended - began)))
            return line

    async def stand(self, environment: Environment, job: Job | None = None) -> Waiting:
        """Say how a job in ACCEPTED stands, or how one that came now and took no turn before others would."""
        line = await self.line(environment.id)
        before = len(line.places) if job is None else bisect_left(line.places, job.place)
        wait = expected_wait(before + 1, line.under_way, environment.max_jobs, line.durations)
        return Waiting(before + 1, wait)
