"""Writes down who was given what, and brings the proofs of it to where the site wants them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cove.core.errors import CoveError, Refused, StaleWrite, Unavailable
from cove.core.proof import MAX_ATTEMPTS, Access, Proof, ProofState, postponed
from cove.ports import Clock, Finding, ProofCount, ProofSink, ProofStore

log = logging.getLogger("cove.proofs")

_LONGEST_SLEEP: Final = 60.0


class ProofService:
    """Keeps and delivers proofs of access.

    Args:
        store: Keeps them.
        sinks: Where they go; empty where the site wants none.
        clock: The time.
    """

    def __init__(self, store: ProofStore, sinks: Sequence[ProofSink], clock: Clock) -> None:
        self._store = store
        self._sinks: Mapping[str, ProofSink] = {sink.lane: sink for sink in sinks}
        self._clock = clock
        #: Called with each proof that was delivered or given up.
        self.listeners: set[Callable[[Proof], None]] = set()
        self._news = {lane: asyncio.Event() for lane in self._sinks}

    @property
    def wanted(self) -> bool:
        """Say whether the site wants proofs."""
        return bool(self._sinks)

    async def record(self, access: Access) -> None:
        """Write an access down; from the return on its proof cannot be lost.

        The consumer is served all the same where the database does not take it: they paid.
        """
        lanes = [lane for lane, sink in self._sinks.items() if sink.takes(access)]
        if not lanes:
            return
        try:
            await self._store.add(access, lanes)
        except CoveError as problem:
            log.error("the proof of order %s could not be kept: %s", access.order_tx, problem.message)  # noqa: TRY400 - known
            return
        for lane in lanes:
            self._news[lane].set()

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is taken up at the next start."""
        async with asyncio.TaskGroup() as group:
            for sink in self._sinks.values():
                group.create_task(self._serve(sink), name=f"proofs {sink.lane}")

    async def examine(self) -> Sequence[Finding]:
        """Look at what could not be delivered."""
        return findings_of(await self._store.counts(), self._sinks)

    async def _serve(self, sink: ProofSink) -> None:
        news = self._news[sink.lane]
        while True:
            news.clear()
            pause = await self._safely(sink)
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(pause, _LONGEST_SLEEP)):
                        await news.wait()

    async def _safely(self, sink: ProofSink) -> float:
        """Take one proof further; give the seconds until there may be something to do again."""
        try:
            return await self._step(sink)
        except StaleWrite:
            return 1.0
        except CoveError as problem:
            log.warning("proofs for %s wait: %s", sink.lane, problem.message)
        except Exception:  # a loop's top, as the reconciler's: one proof must never end it
            log.exception("a proof for %s could not be taken further; trying again", sink.lane)
        return 5.0

    async def _step(self, sink: ProofSink) -> float:
        proof = await self._store.next(sink.lane, in_order=sink.in_order)
        if proof is None:
            return _LONGEST_SLEEP
        now = self._clock.now()
        if proof.due_at > now:
            return proof.due_at - now
        current = proof

        async def save(changed: Proof) -> Proof:
            nonlocal current
            current = await self._store.save(changed)
            if current.state is not ProofState.OPEN:
                for listener in tuple(self.listeners):
                    listener(current)
            return current

        try:
            pause = await sink.deliver(proof, save)
        except Refused as problem:
            log.error("a proof for %s failed for good: %s", sink.lane, problem.reason)  # noqa: TRY400 - known
            await save(replace(current, state=ProofState.FAILED, note=problem.reason))
            return 0.0
        except Unavailable as problem:
            later = await save(postponed(current, self._clock.now(), problem.message))
            what = "given up" if later.state is ProofState.FAILED else f"attempt {later.attempts} of {MAX_ATTEMPTS}"
            log.warning("a proof for %s is not delivered (%s): %s", sink.lane, what, problem.message)
            return 0.0
        if pause is None:
            await save(replace(current, state=ProofState.DELIVERED, note=""))
            log.info("proof %s is delivered to %s", proof.number, sink.lane)
            return 0.0
        return pause


def findings_of(counts: Sequence[ProofCount], lanes: Collection[str]) -> Sequence[Finding]:
    """Say how the proofs stand that are not delivered.

    Args:
        counts: How many there are.
        lanes: Where the site wants proofs to go now.
    """
    return [_finding(found, known=found.lane in lanes) for found in counts]


def _finding(found: ProofCount, *, known: bool) -> Finding:
    last = f"; last: {found.note}" if found.note else ""
    if found.state is ProofState.FAILED:
        seen = f"{found.count} proofs of access for {found.lane} were given up{last}"
        return Finding("proofs", ok=False, seen=seen, advice="docs/hooks.md says how to send them again.")
    if not known:
        seen = f"{found.count} proofs of access wait for {found.lane}, which the settings do not name any more"
        return Finding("proofs", ok=False, seen=seen, advice="Set hooks.http_proof_url or hooks.chain_proof again.")
    return Finding("proofs", ok=True, seen=f"{found.count} proofs of access are on their way to {found.lane}{last}")
