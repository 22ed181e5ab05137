"""The loop: read, look, decide, store, act.

``run`` waits for something to happen. ``sweep`` is the safety net that looks at everything; ``advance`` takes one job
as far as it can go now. Each job is advanced by one task at a time; a wish that arrives meanwhile makes it look again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from cove.core.errors import CoveError, NoSpace, StaleWrite, Unavailable
from cove.core.job import Job, JobId, Phase, RunId
from cove.core.lifecycle import (
    PASSING,
    Exited,
    Missing,
    Observation,
    Step,
    decide,
    is_overdue,
    unpaid,
    waited_too_long,
)
from cove.jobs.announcing import Announcement
from cove.jobs.parts import Parts
from cove.jobs.slots import Slots
from cove.jobs.steps import Steps

log = logging.getLogger("cove.jobs")

_WITH_ENGINE = frozenset({Phase.SUBMITTING, Phase.RUNNING})
_BEHIND = frozenset({Phase.FILTERING, Phase.PUBLISHING, Phase.CLEANING})

_ENDED_AT_ONCE: Final = 16
"""How many jobs whose run is over are taken to their end at a time, in the order in which they came there: where many
wait, each step of one would otherwise wait for that step of all others, and none would be done before a crash."""


class Reconciler:
    """Brings every job from ACCEPTED to DONE."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.steps = Steps(parts)
        #: Called with a job's id after each change of it.
        self.listeners: set[Callable[[JobId], None]] = set()
        self._tasks: dict[JobId, asyncio.Task[None]] = {}
        self._again: set[JobId] = set()
        offered = parts.environments.items()
        free = {name: entry.free.max_jobs for name, entry in offered if entry.free and entry.free.max_jobs}
        self._slots = Slots({name: entry.max_jobs for name, entry in offered}, free)
        #: False until what an earlier service left running is known.
        self._adopted = False
        self._closed = False
        self._wakened = asyncio.Event()
        self._turns = asyncio.Semaphore(_ENDED_AT_ONCE)

    async def run(self) -> None:
        """Go on until cancelled. What is under way then is taken up at the next start."""
        await self._clean_orphans()
        next_sweep = 0.0
        clock = asyncio.get_running_loop().time
        try:
            while True:
                self._wakened.clear()
                if clock() >= next_sweep:
                    next_sweep = clock() + self.parts.poll_seconds
                    await self._safely(self._sweep)
                await self._safely(self._admit)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(next_sweep):
                        await self._wakened.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go of what is under way, for good: what has news from now on is looked at when a service starts again."""
        self._closed = True
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def listen_to_engines(self) -> None:
        """Have the end of a run wake its job."""
        for engine in self.parts.engines.values():
            engine.on_exit(self._run_ended)

    def accepted(self, environment: str) -> None:
        """Say that a job waits in an environment's queue: it is looked at as soon as a slot is free."""
        if self._slots.has_room(environment):
            self._wakened.set()

    def paid(self, job_id: JobId) -> None:
        """Say that there is news of what pays for a job: it is let in, or ended."""
        self._wakened.set()
        if self.parts.payments is not None and self.parts.payments.is_lost(job_id):
            self.wake(job_id)

    def wake(self, job_id: JobId) -> None:
        """Look at a job now, or again if it is being looked at."""
        if self._closed:
            return
        if job_id in self._tasks:
            self._again.add(job_id)
            if job_id in self.steps.provisioning:
                self.steps.interrupt(job_id)
            return
        self._tasks[job_id] = asyncio.create_task(self._advance_safely(job_id), name=f"job {job_id}")

    async def _safely(self, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except Unavailable as problem:
            log.warning("%s; trying again in %s s", problem.message, self.parts.poll_seconds)
        except CoveError as problem:
            log.error("the loop met %s: %s", problem.code, problem.message)  # noqa: TRY400 - known, no trace needed

    async def _sweep(self) -> None:
        """Look at every job that is under way, at those that have waited too long for that, and at what was decided."""
        active = await self.parts.store.active()
        if not self._adopted:
            await self._adopt(active)
        for job in active:
            if job.id not in self._tasks:
                self.wake(job.id)
        now = self.parts.clock.now()
        for job_id in (*await self.parts.store.overdue(now), *await self.parts.reviews.due(now)):
            if job_id not in self._tasks:
                self.wake(job_id)

    async def _adopt(self, active: Sequence[Job]) -> None:
        """Give what an earlier service started its slot, before anything new may take it."""
        for job in active:
            if job.phase is Phase.PROVISIONING:
                self._slots.bring(job)
            elif job.phase in _WITH_ENGINE:
                is_there = job.phase is Phase.RUNNING or not isinstance(await self._look(job), Missing)
                (self._slots.hold if is_there else self._slots.bring)(job)
            elif job.phase in _BEHIND:
                self._slots.end(job)
        self._adopted = True

    async def _admit(self) -> None:
        """Let queued jobs in, whose turn is next first, where an environment has room."""
        for environment in self.parts.environments if self._adopted else ():
            if not self._slots.has_room(environment):
                continue
            for job in await self._queued(environment):
                if self._is_unpaid(job):
                    continue
                if job.id not in self._tasks and not self._slots.knows(job.id) and self._slots.may_bring(job):
                    self._slots.bring(job)
                    self.wake(job.id)

    async def _queued(self, environment: str) -> Sequence[Job]:
        """Give as many queued jobs of an environment as may be let in, whose turn is next first."""
        # Those that are brought may still be stored in the queue, before the others.
        limit = self._slots.runs(environment) + len(self._tasks) + self._unpaid_jobs()
        store = self.parts.store
        if not self._slots.parts_free(environment):
            return await store.queued(environment, limit)
        # However many free jobs wait, the first of the others are seen.
        both = [await store.queued(environment, limit, free=free) for free in (True, False)]
        return sorted((job for queue in both for job in queue), key=lambda job: job.place)

    async def _advance_safely(self, job_id: JobId) -> None:
        """The top of one job's task: whatever goes wrong here is logged, and the job is looked at again later."""
        try:
            while True:
                self._again.discard(job_id)
                await self._advance(job_id)
                if job_id not in self._again:
                    return
        except StaleWrite:
            self._again.add(job_id)
        except (Unavailable, NoSpace) as problem:
            log.warning("job %s waits: %s", job_id, problem.message)
            self._step_back(job_id)
        except Exception:  # the reconciler's top: one job must never end the loop
            log.exception("job %s could not be taken further; trying again", job_id)
            self._step_back(job_id)
        finally:
            self._tasks.pop(job_id, None)
            if job_id in self._again:
                self.wake(job_id)

    async def _advance(self, job_id: JobId) -> None:
        """Take a job as far as it can go without waiting for its run."""
        job = await self.parts.store.get(job_id)
        async with contextlib.AsyncExitStack() as turn:
            has_turn = False
            while job is not None and job.phase is not Phase.DONE:
                if job.phase in _BEHIND and not has_turn:
                    await turn.enter_async_context(self._turns)
                    has_turn = True
                if job_id in self._again:
                    self._again.discard(job_id)
                    job = await self.parts.store.get(job_id)
                    continue
                following = await self._next(job)
                if following is None:
                    return
                job = following
        self._leave(job_id)
        if job is not None and job.delete_requested_at is not None:
            await self.steps.forget(job)
            self._tell(job_id)

    async def _next(self, job: Job) -> Job | None:
        """Decide, store, act once; None when the job has to wait."""
        if job.phase is Phase.ACCEPTED and self.parts.payments is not None and self.parts.payments.is_lost(job.id):
            return await self._keep(unpaid(job))
        seen = await self._look(job)
        if isinstance(seen, Exited):
            self._leave(job.id)  # before anything is written: the next run need not wait for the disk
        decision = decide(job, seen, self.parts.clock.now())
        if decision.step is Step.PROVISION and self._is_unpaid(job):
            return None
        stored = job if decision.job is job else await self._keep(decision.job)
        if decision.step is Step.WAIT:
            return stored if stored.phase is not job.phase else None
        if decision.step is Step.SUBMIT:
            if not self._slots.take(stored):
                late = is_overdue(stored, self.parts.clock.now())
                return await self._keep(waited_too_long(stored, Phase.FILTERING)) if late else None
            self._wakened.set()  # the next one's data can be brought
        return await self._act(decision.step, stored)

    def _unpaid_jobs(self) -> int:
        return 0 if self.parts.payments is None else self.parts.payments.waited_for

    def _is_unpaid(self, job: Job) -> bool:
        """Say whether what pays for a queued job does not count yet."""
        payments = self.parts.payments
        return job.phase is Phase.ACCEPTED and payments is not None and payments.is_waited_for(job.id)

    async def _look(self, job: Job) -> Observation | None:
        if job.phase not in _WITH_ENGINE:
            return None
        engine = self.steps.engine(job)
        return (await engine.observe([job.run_id])).get(job.run_id)

    async def _keep(self, job: Job) -> Job:
        """Store a job, unless it passes through its phase: then it is stored when that takes long."""
        return self._place(job) if job.phase in PASSING else await self._store(job)

    async def _store(self, job: Job) -> Job:
        stored = self._place(await self.parts.store.save(job))
        self._tell(stored.id)
        return stored

    def _place(self, job: Job) -> Job:
        """Give or take a job's slot, as its phase demands."""
        match job.phase:
            case Phase.PROVISIONING:
                self._slots.bring(job)
            case Phase.RUNNING:
                self._slots.hold(job)
            case Phase.SUBMITTING:
                pass
            case phase if phase in _BEHIND:
                self._end(job)
            case _:
                self._leave(job.id)
        return job

    async def _act(self, step: Step, job: Job) -> Job | None:
        """Take one step; give the job as it is now, or None when there is nothing more to do at once."""
        match step:
            case Step.WAIT:
                return None
            case Step.PROVISION:
                return await self._pass(job, self.steps.provision)
            case Step.SUBMIT:
                made = await self.steps.submit(job)
                return job if made is None else await self._keep(made)
            case Step.CANCEL:
                await self.steps.cancel(job)
                return None
            case Step.FILTER:
                return await self._pass(job, self.steps.filter)
            case Step.HOLD:
                return await self._store(await self.steps.hold(job))
            case Step.REVIEW:
                decided = await self.steps.review(job)
                return None if decided is None else await self._store(decided)
            case Step.PUBLISH:
                return await self._store(await self.steps.publish(job))
            case Step.CLEAN:
                return await self._store(await self.steps.finish(job))

    async def _pass(self, job: Job, step: Callable[[Job], Awaitable[Job | None]]) -> Job:
        """Take the step of a passing phase; None from it means that it was interrupted by a wish."""
        try:
            async with Announcement(job, self._store) as announced:
                made = await step(job)
            return announced.job if made is None else await self._keep(replace(made, version=announced.job.version))
        except BaseException:
            if job.phase is Phase.PROVISIONING:
                self._slots.leave(job.id)  # it may still be stored in the queue, and is let in from there again
            raise

    def _run_ended(self, run: RunId) -> None:
        self.wake(JobId(run.rpartition("-")[0]))

    def _leave(self, job_id: JobId) -> None:
        """Give a job's slot to the job whose turn is next, and let the next one in from the queue."""
        if self._slots.knows(job_id):
            for follower in self._slots.leave(job_id):
                self.wake(follower)
            self._wakened.set()

    def _end(self, job: Job) -> None:
        """Give a job's slot to the job whose turn is next; the next one is let in unless too many are behind."""
        if not self._slots.is_behind(job.id):
            for follower in self._slots.end(job):
                self.wake(follower)
            self._wakened.set()

    def _step_back(self, job_id: JobId) -> None:
        """Let others go before a job that cannot go on now."""
        for follower in self._slots.step_back(job_id):
            self.wake(follower)

    def _tell(self, job_id: JobId) -> None:
        for listener in tuple(self.listeners):
            listener(job_id)

    async def _clean_orphans(self) -> None:
        """Remove what no stored job owns: runs, workspaces, results of jobs that were forgotten half-way."""
        with contextlib.suppress(Unavailable):
            for engine in self.parts.engines.values():
                runs = await engine.runs()
                owners = await self.parts.store.known([JobId(run.rpartition("-")[0]) for run in runs])
                for run in runs:
                    if JobId(run.rpartition("-")[0]) not in owners or await self._left_over(run):
                        await engine.remove(run)
            await self.steps.remove_orphans()

    async def _left_over(self, run: RunId) -> bool:
        job = await self.parts.store.get(JobId(run.rpartition("-")[0]))
        return job is None or job.phase in {Phase.DONE, Phase.ACCEPTED} or job.run_id != run
