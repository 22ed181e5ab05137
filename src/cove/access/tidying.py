"""What was kept to publish results goes once nobody asks for it any more: files of ended assets, and old journals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cove.core.asset import NFT_ENDED_STATES
from cove.core.delivery import DeliveryKind, DeliveryState
from cove.core.errors import CoveError, Unavailable
from cove.core.job import JobId
from cove.ports import Clock, Ledger
from cove.ports.deliveries import DeliveryStore

log = logging.getLogger("cove.deliveries")

JOURNAL_SECONDS: Final = 2 * 86_400.0
"""A journal is kept for so long after it was written last: what was spent in a day is counted from it."""

_LOOK_SECONDS: Final = 3600.0


class KeptResults(Protocol):
    """The files of published results. Every method blocks."""

    def nfts(self) -> Sequence[str]:
        """Name the assets by their NFT, lower case."""
        ...

    def note_end(self, nft: str, now: float) -> float:
        """Note that an asset has ended, and give the Unix time at which that was seen first."""
        ...

    def note_life(self, nft: str) -> None:
        """Take back :meth:`note_end`: the asset is offered again."""
        ...

    def remove(self, nft: str) -> bool:
        """Remove an asset's files; False where there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Tidying:
    """Removes what nobody asks for any more."""

    kept: KeptResults
    #: Folder of journals, one for each attempt of a job.
    journals: Path
    deliveries: DeliveryStore
    ledgers: Mapping[int, Ledger]
    clock: Clock
    #: Seconds that files are kept after their asset was seen to have ended.
    keep_seconds: float

    async def run(self) -> None:
        """Look at once and then every hour, until cancelled."""
        while True:
            try:
                await self.tidy()
            except (CoveError, OSError) as problem:
                log.warning("what was published could not be looked through: %s", problem)
            await asyncio.sleep(_LOOK_SECONDS)

    async def tidy(self) -> None:
        """Look at each asset and each journal once. What cannot be known now is left for another time."""
        for nft in await asyncio.to_thread(self.kept.nfts):
            ended = await self._has_ended(nft)
            if ended is None:
                continue
            if not ended:
                await asyncio.to_thread(self.kept.note_life, nft)
                continue
            now = self.clock.now()
            since = await asyncio.to_thread(self.kept.note_end, nft, now)
            if now - since >= self.keep_seconds:
                await asyncio.to_thread(self.kept.remove, nft)
                log.info("the asset %s has ended: its results are removed", nft)
        for journal in await asyncio.to_thread(self._old_journals):
            if await self._is_over(journal.stem):
                journal.unlink(missing_ok=True)

    async def _has_ended(self, nft: str) -> bool | None:
        """Say whether an asset is offered no more; None where no chain that answers knows it."""
        for ledger in self.ledgers.values():
            try:
                facts = await ledger.nft(nft)
            except Unavailable:
                continue
            if facts is not None:
                return facts.state in NFT_ENDED_STATES
        return None

    def _old_journals(self) -> Sequence[Path]:
        before = self.clock.now() - JOURNAL_SECONDS
        found = self.journals.glob("*.json") if self.journals.is_dir() else ()
        return [path for path in found if path.stat().st_mtime < before]

    async def _is_over(self, run_id: str) -> bool:
        """Say whether nobody goes on with what a journal is about: it is done, or its job is deleted."""
        job_id, _, attempt = run_id.rpartition("-")
        for one in await self.deliveries.of(JobId(job_id)):
            if one.kind is DeliveryKind.ASSET and str(one.attempt) == attempt:
                return one.state is DeliveryState.DONE
        return True
