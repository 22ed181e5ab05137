"""What was kept to publish results goes when the asset has ended, and its journal when it is published."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chain import Ocean
from tests.functional.chain.test_results_as_assets import _gone, _query, published, publishing, started
from tests.support.house import House, opened

from cove.access.tidying import JOURNAL_SECONDS, Tidying
from cove.client.market import set_metadata_state
from cove.core.delivery import DeliveryState
from cove.core.errors import Unavailable
from cove.core.job import JobId
from cove.ports import Ledger
from cove.results.published import PublishedAssets
from cove.wiring.publishing import JOURNALS, PUBLISHED


@dataclass
class Hand:
    """A clock that a test moves."""

    time: float

    def now(self) -> float:
        return self.time


def tidying(house: House, folder: Path, hand: Hand, ledgers: Mapping[int, Ledger] | None = None) -> Tidying:
    state, parts = folder / "state", house.cove.parts
    kept, deliveries = PublishedAssets(state / PUBLISHED), house.cove.deliveries.parts.store
    return Tidying(kept, state / JOURNALS, deliveries, parts.ledgers if ledgers is None else ledgers, hand, 100.0)


async def test_results_are_kept_a_while_after_their_asset_has_ended(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **publishing(ocean)) as house:
        did = await published(house, await started(house))
        ddo = (await house.http.get(f"/api/aquarius/assets/ddo/{did}")).json()
        nft = ddo["nftAddress"].lower()
        hand = Hand(house.cove.clock.now())
        tidy = tidying(house, tmp_path, hand)
        kept = PublishedAssets(tmp_path / "state" / PUBLISHED)
        await tidy.tidy()
        assert kept.look(nft).ended_at is None
        assert kept.look(nft).files == 2
        for state in (1, 0, 3):  # ended, offered again, revoked
            await set_metadata_state(ocean.consumer, nft, state)
            hand.time += 99
            await tidy.tidy()
            assert kept.look(nft).ended_at == (hand.time if state else None)
        hand.time += 99
        await tidy.tidy()
        assert kept.nfts() == [nft]
        hand.time += 1
        await tidying(house, tmp_path, hand, {}).tidy()
        await tidying(house, tmp_path, hand, {1: Down()}).tidy()
        assert kept.nfts() == [nft]  # what no chain knows, or says, is kept
        await tidy.tidy()
        assert kept.nfts() == []
        assert list((tmp_path / "state" / PUBLISHED).iterdir()) == []


class Down:
    """A chain that does not answer."""

    async def nft(self, _: str) -> None:
        raise Unavailable("chain 1")

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


async def test_a_journal_goes_once_nobody_goes_on_with_it(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **publishing(ocean)) as house:
        job_id = await started(house)
        await published(house, job_id)
        store, hand = house.cove.deliveries.parts.store, Hand(house.cove.clock.now())
        (journal,) = (tmp_path / "state" / JOURNALS).iterdir()
        tidy = tidying(house, tmp_path, hand)
        await tidy.tidy()
        assert journal.exists()  # a day's limits count it
        hand.time += JOURNAL_SECONDS + 10
        (delivery,) = await store.of(JobId(job_id))
        failed = await store.save(replace(delivery, state=DeliveryState.FAILED))
        await tidy.tidy()
        assert journal.exists()  # the owner may have it tried again
        await store.save(replace(failed, state=DeliveryState.DONE))
        await tidy.tidy()
        assert not journal.exists()
        journal.write_text("{}")
        os.utime(journal, (1.0, 1.0))
        job = await house.cove.parts.store.get(JobId(job_id))
        assert job is not None
        await house.cove.jobs.delete(replace(_query(job_id), owner=job.owner))
        await _gone(house, job_id)
        await tidy.tidy()
        assert not journal.exists()
