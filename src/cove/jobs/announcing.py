"""Stores the phase that a job is in while a step of it takes long, and only then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from cove.core.job import Job

MOMENT_SECONDS: Final = 0.1
"""What is over sooner nobody sees, and a write of it would only hold up the others."""


class Announcement:
    """Around a step of a passing phase: the job is stored as it is once the step has taken a moment.

    Args:
        job: As it is to be stored; nobody else writes it meanwhile.
        store: Stores it and gives it with its new version.
    """

    def __init__(self, job: Job, store: Callable[[Job], Awaitable[Job]]) -> None:
        #: As it is stored, after the step.
        self.job = job
        self._store = store
        self._writing: asyncio.Task[Job] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(MOMENT_SECONDS, self._begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the write that was begun.

        Raises:
            StaleWrite: Somebody else wrote the job; what the step made is to be dropped.
            Unavailable: The store did not answer.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is None:
            return
        if problem is None:
            self.job = await self._writing
            return
        with contextlib.suppress(Exception):  # the step's own problem is the one to tell
            self.job = await self._writing

    def _begin(self) -> None:
        self._writing = asyncio.create_task(self._write())

    async def _write(self) -> Job:
        return await self._store(self.job)
