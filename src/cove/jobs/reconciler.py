"""The loop: read, look, decide, store, act.

``run`` waits for something to happen. ``sweep`` is the safety net that looks at everything; ``advance`` takes one job
as far as it can go now. Each job is advanced by one task at a time; a wish that arrives meanwhile makes it look again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from cove.core.errors import CoveError, StaleWrite, Unavailable
from cove.core.job import Job, JobId, Outcome, Phase, RunId
from cove.core.lifecycle import Observation, Step, decide
from cove.jobs.parts import Parts
from cove.jobs.steps import Steps

log = logging.getLogger("cove.jobs")

_WITH_ENGINE = frozenset({Phase.SUBMITTING, Phase.RUNNING})
_HOLDING_A_SLOT = frozenset({Phase.PROVISIONING, Phase.SUBMITTING, Phase.RUNNING})


class Reconciler:
    """Brings every job from ACCEPTED to DONE."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.steps = Steps(parts)
        #: Called with a job's id after each change of it.
        self.listeners: set[Callable[[JobId], None]] = set()
        self._tasks: dict[JobId, asyncio.Task[None]] = {}
        self._again: set[JobId] = set()
        #: Which jobs hold a slot of which environment.
        self._slots: dict[JobId, str] = {}
        self._wakened = asyncio.Event()

    async def run(self) -> None:
        """Go on until cancelled. What is under way then is taken up at the next start."""
        await self._clean_orphans()
        try:
            while True:
                self._wakened.clear()
                await self._sweep_safely()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.parts.poll_seconds):
                        await self._wakened.wait()
        finally:
            await self._let_go()

    def listen_to_engines(self) -> None:
        """Have the end of a run wake its job."""
        for engine in self.parts.engines.values():
            engine.on_exit(self._run_ended)

    def accepted(self, environment: str) -> None:
        """Say that a job waits in an environment's queue: it is looked at as soon as a slot is free."""
        if self._free(environment) > 0:
            self._wakened.set()

    def wake(self, job_id: JobId) -> None:
        """Look at a job now, or again if it is being looked at."""
        if job_id in self._tasks:
            self._again.add(job_id)
            if job_id in self.steps.provisioning:
                self.steps.interrupt(job_id)
            return
        self._tasks[job_id] = asyncio.create_task(self._advance_safely(job_id), name=f"job {job_id}")

    async def _sweep_safely(self) -> None:
        try:
            await self._sweep()
        except Unavailable as problem:
            log.warning("%s; trying again in %s s", problem.message, self.parts.poll_seconds)
        except CoveError as problem:
            log.error("the loop met %s: %s", problem.code, problem.message)  # noqa: TRY400 - known, no trace needed

    async def _sweep(self) -> None:
        """Look at every job that is under way, then let queued jobs in."""
        active = await self.parts.store.active()
        for job in active:
            if job.phase in _HOLDING_A_SLOT:
                self._slots.setdefault(job.id, job.environment)
        for job in active:
            if job.id not in self._tasks:
                self.wake(job.id)
        for environment in self.parts.environments:
            await self._admit(environment)

    async def _admit(self, environment: str) -> None:
        free = self._free(environment)
        if free <= 0:
            return
        for job in await self.parts.store.queued(environment, free + len(self._tasks)):
            if self._free(environment) <= 0:
                return
            if job.id not in self._tasks:
                self._slots[job.id] = environment
                self.wake(job.id)

    def _free(self, environment: str) -> int:
        held = sum(1 for place in self._slots.values() if place == environment)
        return self.parts.environments[environment].max_jobs - held

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
        except Unavailable as problem:
            log.warning("job %s waits: %s", job_id, problem.message)
        except Exception:  # the reconciler's top: one job must never end the loop
            log.exception("job %s could not be taken further; trying again", job_id)
        finally:
            self._tasks.pop(job_id, None)
            if job_id in self._again:
                self.wake(job_id)

    async def _advance(self, job_id: JobId) -> None:
        """Take a job as far as it can go without waiting for its run."""
        while True:
            job = await self.parts.store.get(job_id)
            if job is None:
                self._free_slot(job_id)
                return
            if job.phase is Phase.DONE:
                self._free_slot(job_id)
                if job.delete_requested_at is not None:
                    await self.steps.forget(job)
                    self._tell(job_id)
                return
            seen = await self._look(job)
            decision = decide(job, seen, self.parts.clock.now())
            if decision.job is not job:
                stored = await self._store(decision.job)
            else:
                stored = job
            if decision.step is Step.WAIT:
                if stored is not job and stored.phase is not job.phase:
                    continue
                return
            if not await self._act(decision.step, stored):
                return

    async def _look(self, job: Job) -> Observation | None:
        if job.phase not in _WITH_ENGINE:
            return None
        engine = self.steps.engine(job)
        return (await engine.observe([job.run_id])).get(job.run_id)

    async def _store(self, job: Job) -> Job:
        stored = await self.parts.store.save(job)
        if stored.phase in _HOLDING_A_SLOT:
            self._slots[stored.id] = stored.environment
        else:
            self._free_slot(stored.id)
        self._tell(stored.id)
        return stored

    async def _act(self, step: Step, job: Job) -> bool:
        """Take one step; True when there may be more to do at once."""
        match step:
            case Step.WAIT:
                return False
            case Step.PROVISION:
                return await self._move_on(await self.steps.provision(job))
            case Step.SUBMIT:
                return await self._move_on(await self.steps.submit(job))
            case Step.CANCEL:
                await self.steps.cancel(job)
                return False
            case Step.FILTER:
                return await self._move_on(await self.steps.filter(job))
            case Step.PUBLISH:
                return await self._move_on(await self.steps.publish(job))
            case Step.CLEAN:
                await self.steps.clean(job)
                done = replace(job, phase=Phase.DONE, finished_at=self.parts.clock.now())
                if done.outcome is None:
                    done = replace(done, outcome=Outcome.SUCCEEDED)
                return await self._move_on(done)

    async def _move_on(self, job: Job | None) -> bool:
        """Store what a step made of a job; None means that the step only looks forward to the next observation."""
        if job is None:
            return True
        await self._store(job)
        return True

    def _run_ended(self, run: RunId) -> None:
        self.wake(JobId(run.rpartition("-")[0]))

    def _free_slot(self, job_id: JobId) -> None:
        if self._slots.pop(job_id, None) is not None:
            self._wakened.set()

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

    async def _let_go(self) -> None:
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
