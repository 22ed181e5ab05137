"""Takes results further than to this host, for those who asked for it. It never holds up a job."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cove.core.audit import Entry
from cove.core.delivery import Delivery, DeliveryKind, DeliveryState, advanced, ended, put_off
from cove.core.errors import CoveError, NotFound, Refused, StaleWrite, Unavailable
from cove.core.job import Job, JobId, Phase
from cove.jobs.holding import PROVIDER
from cove.ports import AuditStore, Clock, Finding, JobStore
from cove.ports.deliveries import Carrier, DeliveryCount, DeliveryStore

log = logging.getLogger("cove.deliveries")

PAUSES: Final = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 86_400.0)
"""Seconds to wait after each try that failed in a row; after the last one a delivery is given up."""

TOLD_SECONDS: Final = 30 * 86_400.0
"""So long after the end of its job the owner is told of a delivery that was given up."""

_WHAT: Final[Mapping[DeliveryKind, str]] = {
    DeliveryKind.STORAGE: "that were to be sent to their consumer's storage",
    DeliveryKind.ASSET: "that were to become an asset",
}
_LONGEST_SLEEP: Final = 60.0
_AFTER_FAULT: Final = 5.0


@dataclass(frozen=True, slots=True)
class DeliveryParts:
    """What results are taken further with."""

    store: DeliveryStore
    jobs: JobStore
    audit: AuditStore
    clock: Clock
    carriers: Mapping[DeliveryKind, Carrier]
    #: Deliveries of each kind under way at one time.
    at_once: int


class DeliveryService:
    """Takes each open delivery as far as it goes, and tries again what failed.

    Nobody else may have the same state folder, so what this process is at needs no mark in the database; what it
    writes there is compared with what it read, so that a second process changes nothing twice all the same.

    Args:
        parts: Store and carriers.
    """

    def __init__(self, parts: DeliveryParts) -> None:
        self.parts = parts
        self._news = asyncio.Event()
        #: Called with each delivery that was taken further, or tried in vain.
        self.listeners: set[Callable[[Delivery], None]] = set()
        self._busy: dict[tuple[JobId, int, DeliveryKind], asyncio.Task[None]] = {}

    def hear(self, _: JobId) -> None:
        """Look for deliveries now: a job has changed."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is taken up at the next start."""
        try:
            while True:
                self._news.clear()
                pause = await self._safely()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._news.wait()
        finally:
            tasks = tuple(self._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def examine(self) -> Sequence[Finding]:
        """Look at what deliveries need, and at those that were given up."""
        found = list(given_up(await self.parts.store.failed(self.parts.clock.now() - TOLD_SECONDS)))
        for carrier in self.parts.carriers.values():
            found.extend(await carrier.examine())
        return found

    async def _safely(self) -> float:
        try:
            return await self._begin()
        except CoveError as problem:
            log.warning("deliveries wait: %s", problem.message)
        return _AFTER_FAULT

    async def _begin(self) -> float:
        """Begin what is due; give the seconds until more may be."""
        return min([await self._begin_kind(kind) for kind in DeliveryKind])

    async def _begin_kind(self, kind: DeliveryKind) -> float:
        """Begin what is due of a kind: one kind that waits for others' servers does not hold up another one."""
        now = self.parts.clock.now()
        under_way = sum(1 for _, _, other in self._busy if other is kind)
        for delivery in await self.parts.store.open(kind, self.parts.at_once + 1):
            key = (delivery.job_id, delivery.attempt, delivery.kind)
            if key in self._busy:
                continue
            if delivery.due_at > now:
                return min(delivery.due_at - now, _LONGEST_SLEEP)
            if under_way >= self.parts.at_once:
                break
            under_way += 1
            self._busy[key] = asyncio.create_task(self._deliver(delivery), name=f"delivery of {delivery.job_id}")
            self._busy[key].add_done_callback(lambda _, key=key: self._left(key))  # type: ignore[misc]
        return _LONGEST_SLEEP

    def _left(self, key: tuple[JobId, int, DeliveryKind]) -> None:
        self._busy.pop(key, None)
        self._news.set()

    async def _deliver(self, delivery: Delivery) -> None:
        """Take one delivery as far as it goes; whatever goes wrong is noted, and tried again later."""
        held = _Held(self.parts.store, delivery, self._tell)
        try:
            await self._carry(held)
        except StaleWrite:
            return  # its job was deleted, or somebody else is at it
        except NotFound:  # its job is being deleted, and it with the job
            await self._end(held, replace(held.now, due_at=self.parts.clock.now() + _LONGEST_SLEEP))
        except Refused as problem:
            await self._end(held, ended(held.now, DeliveryState.FAILED, problem.hint or problem.message))
        except Unavailable as problem:
            await self._end(held, put_off(held.now, PAUSES, self.parts.clock.now(), problem.message))
        except Exception:  # a loop's top, as the reconciler's: one delivery must never end it
            log.exception("a delivery of job %s could not be taken further; trying again", delivery.job_id)
            text = "The provider met a fault of its own."
            await self._end(held, put_off(held.now, PAUSES, self.parts.clock.now(), text))
        else:
            await self._end(held, ended(held.now, DeliveryState.DONE))

    def _tell(self, delivery: Delivery) -> None:
        for listener in tuple(self.listeners):
            listener(delivery)

    async def _carry(self, held: _Held) -> None:
        job = await self.parts.jobs.get(held.now.job_id)
        if job is None or job.delete_requested_at is not None:
            raise NotFound("There is no such job.")
        if not _is_of(held.now, job):
            raise Refused("jobId", "restarted", hint="The job was started again before its results were delivered.")
        carrier = self.parts.carriers.get(held.now.kind)
        if carrier is None:
            raise Refused("output", "not_allowed", hint="The provider does this no more.")
        await carrier.carry(held.now, job, held.keep)
        # Before its end is written, so that the log knows of each that is done; a second time changes nothing.
        await self.parts.audit.append(_delivered(held.now, self.parts.clock.now()))

    async def _end(self, held: _Held, after: Delivery) -> None:
        try:
            await held.save(after)
        except StaleWrite:
            return
        except Unavailable as problem:
            log.warning("how a delivery ended cannot be written: %s", problem.message)
            await asyncio.sleep(_AFTER_FAULT)
            return
        if after.state is DeliveryState.FAILED:
            log.warning("a delivery (%s) of job %s is given up: %s", after.kind, after.job_id, after.note)


def given_up(counts: Sequence[DeliveryCount]) -> Sequence[Finding]:
    """Say which deliveries were given up, and what to do."""
    return [
        Finding(
            "deliveries",
            ok=False,
            seen=f"results of {one.count} jobs {_WHAT[one.kind]} were given up; last, of job {one.job_id}: {one.note}",
            advice="Put right what the note says, then have them tried again: cove retry-deliveries.",
        )
        for one in counts
    ]


class _Held:
    """A delivery that this process is at, as it was written last."""

    def __init__(self, store: DeliveryStore, delivery: Delivery, tell: Callable[[Delivery], None]) -> None:
        self._store = store
        self._tell = tell
        self.now = delivery

    async def keep(self, progress: str) -> None:
        await self.save(advanced(self.now, progress))

    async def save(self, after: Delivery) -> None:
        self.now = await self._store.save(after)
        self._tell(self.now)


def _is_of(delivery: Delivery, job: Job) -> bool:
    return job.phase is Phase.DONE and job.attempt == delivery.attempt


def _delivered(delivery: Delivery, now: float) -> Entry:
    subject = f"job:{delivery.job_id}/{delivery.attempt}"
    once = f"{subject}/{delivery.kind}"
    return Entry(now, PROVIDER, "results_delivered", subject, {"kind": str(delivery.kind)}, once)
