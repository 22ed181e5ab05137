"""How a chain is read into the index, whatever chain and nodes do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.scripted_chain import (
    CHAIN,
    DATATOKEN,
    NOWHERE,
    OTHER,
    OWNER,
    Clear,
    Scripted,
    described,
    did,
    nft_of,
    published,
)

from cove.core.errors import NotFound, Unavailable
from cove.core.indexed import Entry, Ordered, OwnerChanged, StateChanged, TokenMade
from cove.metadata.applying import Sources
from cove.metadata.indexer import Indexer
from cove.metadata.onchain import OnChainMetadata
from cove.ports import Cursor, IndexStore, NftFacts, Progress
from cove.stores import MemoryIndexStore

pytestmark = pytest.mark.waitless
NEAR = 8


def an_indexer(chain: Scripted, index: IndexStore, reader: str = "reader", **options: object) -> Indexer:
    sources = Sources(chain, Clear(), index, reader)  # type: ignore[arg-type]  # nothing here is encrypted
    return Indexer(sources, near_blocks=NEAR, **options)  # type: ignore[arg-type]  # by their names


@pytest.fixture
def chain() -> Scripted:
    return Scripted()


@pytest.fixture
def index() -> MemoryIndexStore:
    return MemoryIndexStore()


async def names(index: IndexStore, *numbers: int) -> list[str]:
    """Give the names that DDOs have, empty for none."""
    found = []
    for number in numbers:
        entry = await index.entry(did(number))
        found.append("" if entry is None or not entry.document else entry.document.split('"name":"')[1].split('"')[0])
    return found


async def the(index: IndexStore, number: int) -> Entry:
    entry = await index.entry(did(number))
    assert entry is not None
    return entry


async def test_everything_is_read_deep_and_near(chain: Scripted, index: MemoryIndexStore) -> None:
    for number in range(30):
        chain.mine(*published(number, f"Table {number}"))
    indexer = an_indexer(chain, index)
    await indexer.sync()
    assert await names(index, *range(30)) == [f"Table {number}" for number in range(30)]
    assert [what for what in chain.asked if what[0] == "range"] == [("range", 0, 22)]
    assert [what[1] for what in chain.asked if what[0] == "one"] == list(range(23, 31))
    assert ("nft", nft_of(1)) not in chain.asked
    lag = indexer.lag()
    assert (lag.block, lag.head, lag.behind, lag.problem) == (30, 30, 0, "")


async def test_nothing_new_costs_one_question(chain: Scripted, index: MemoryIndexStore) -> None:
    indexer = an_indexer(chain, index)
    await indexer.sync()
    chain.asked.clear()
    version = indexer.version
    await indexer.sync()
    assert chain.asked == [("block", None)]
    chain.mine()
    await indexer.sync()
    assert indexer.version == version  # a block without events changes nothing that was looked up
    chain.mine(*published(1))
    await indexer.sync()
    assert indexer.version == version + 1


async def test_another_start_goes_on_where_it_was(chain: Scripted, index: MemoryIndexStore) -> None:
    for number in range(20):
        chain.mine(*published(number))
    await an_indexer(chain, index).sync()
    chain.asked.clear()
    chain.mine(described(3, "Renamed"))
    await an_indexer(chain, index).sync()
    assert [what for what in chain.asked if what[0] != "block"] == [("one", 21)]
    assert await names(index, 3, 4) == ["Renamed", "A table"]


async def test_states_owners_datatokens_and_orders(chain: Scripted, index: MemoryIndexStore) -> None:
    chain.mine(*published(1), TokenMade(NOWHERE, nft_of(1), DATATOKEN, "Token", "T"))
    chain.mine(Ordered(NOWHERE, DATATOKEN), Ordered(NOWHERE, OTHER), OwnerChanged(NOWHERE, nft_of(1), OTHER))
    chain.mine(StateChanged(NOWHERE, nft_of(1), 5), OwnerChanged(NOWHERE, nft_of(9), OTHER))
    indexer = an_indexer(chain, index)
    await indexer.sync()
    entry = await the(index, 1)
    assert (entry.owner, entry.state, entry.tokens[0].orders, entry.name) == (OTHER, 5, 1, "NFT 1")
    chain.mine(Ordered(NOWHERE, DATATOKEN))
    chain.mine(described(1, "Again", state=0))
    await indexer.sync()
    entry = await the(index, 1)
    assert (entry.state, entry.tokens[0].orders, entry.created) == (0, 2, 1_700_000_001)
    assert await index.entry(did(9)) is None


async def test_a_reorganisation_takes_everything_back(chain: Scripted, index: MemoryIndexStore) -> None:
    for _ in range(20):
        chain.mine()
    chain.mine(*published(1, "Old"), TokenMade(NOWHERE, nft_of(1), DATATOKEN, "", ""))
    chain.mine(Ordered(NOWHERE, DATATOKEN))
    indexer = an_indexer(chain, index)
    await indexer.sync()
    chain.mine(described(1, "New"), *published(2), OwnerChanged(NOWHERE, nft_of(1), OTHER))
    chain.mine(described(1, "Newest"), Ordered(NOWHERE, DATATOKEN))
    await indexer.sync()
    assert await names(index, 1, 2) == ["Newest", "A table"]
    chain.take_back(2)
    chain.mine()
    chain.mine(Ordered(NOWHERE, DATATOKEN))
    chain.mine(*published(3))
    await indexer.sync()
    assert await names(index, 1, 2, 3) == ["Old", "", "A table"]
    entry = await the(index, 1)
    assert (entry.owner, entry.tokens[0].orders) == (OWNER, 2)
    chain.take_back(2)  # to a shorter chain, as a test network is set back
    chain.mine(*published(4))
    await indexer.sync()
    assert (await the(index, 1)).tokens[0].orders == 1
    assert await names(index, 3, 4) == ["", "A table"]


async def test_a_reorganisation_between_two_starts(chain: Scripted, index: MemoryIndexStore) -> None:
    for _ in range(20):
        chain.mine()
    chain.mine(*published(1))
    await an_indexer(chain, index).sync()
    chain.take_back(1)
    chain.mine(*published(2))
    chain.mine()
    await an_indexer(chain, index).sync()
    assert await names(index, 1, 2) == ["", "A table"]


async def test_a_reorganisation_below_what_is_kept_reads_all_anew(chain: Scripted, index: MemoryIndexStore) -> None:
    for number in range(40):
        chain.mine(*published(number))
    indexer = an_indexer(chain, index)
    await indexer.sync()
    chain.take_back(35)
    for number in range(60, 100):
        chain.mine(*published(number))
    await indexer.sync()
    assert await names(index, 4, 5, 39, 60, 99) == ["A table", "", "", "A table", "A table"]


async def test_a_chain_that_began_anew_under_its_id(index: MemoryIndexStore) -> None:
    old, new = Scripted(salt="old"), Scripted(salt="new")
    for number in range(40):
        old.mine(*published(number))
    await an_indexer(old, index).sync()
    new.mine(*published(50))
    await an_indexer(new, index).sync()
    assert await names(index, 1, 50) == ["", "A table"]
    # The same while the service runs.
    indexer = an_indexer(new, index)
    await indexer.sync()
    new.blocks[:] = old.blocks[:2]
    new.events |= old.events
    await indexer.sync()
    assert await names(index, 0, 50) == ["A table", ""]


async def test_a_node_that_is_behind_makes_no_gap(chain: Scripted, index: MemoryIndexStore) -> None:
    for _ in range(20):
        chain.mine()
    indexer = an_indexer(chain, index)
    await indexer.sync()
    chain.mine(*published(1))
    chain.mine(*published(2))
    before = await index.cursor(CHAIN)
    real = chain.block

    async def ahead(number: int | None) -> object:
        """Answer from another node than the one that is asked for logs."""
        return chain.blocks[-1] if number is None else await real(number)

    chain.block = ahead  # type: ignore[method-assign,assignment]
    chain.known = 20
    with pytest.raises(Unavailable):
        await indexer.sync()
    assert await index.cursor(CHAIN) == before
    chain.known = None
    await indexer.sync()
    assert await names(index, 1, 2) == ["A table", "A table"]


async def test_a_head_that_is_behind_takes_nothing_back(chain: Scripted, index: MemoryIndexStore) -> None:
    for number in range(20):
        chain.mine(*published(number))
    indexer = an_indexer(chain, index)
    await indexer.sync()
    chain.known = 18
    await indexer.sync()
    assert await names(index, 19) == ["A table"]
    chain.known = 3
    with pytest.raises(Unavailable, match="behind"):
        await indexer.sync()
    assert await names(index, 19) == ["A table"]


async def test_what_cannot_be_read_is_kept_with_its_reason_and_read_anew(
    chain: Scripted, index: MemoryIndexStore
) -> None:
    chain.mine(*published(1), *published(2))
    chain.mine(described(1, plain=b"[]"), described(2, plain=b'{"version":"9"}'))
    await an_indexer(chain, index).sync()
    entry = await the(index, 1)
    assert (entry.document, entry.reader) == ("", "reader")
    assert "ddo" in entry.reason
    assert "version" in (await the(index, 2)).reason
    # An update that is good again makes it whole.
    chain.mine(described(2, "Good"))
    indexer = an_indexer(chain, index)
    await indexer.sync()
    assert (await the(index, 2)).reason == ""
    asked = len(chain.asked)
    await indexer.sync()
    assert len(chain.asked) == asked + 1  # the same reader does not try again
    # What a later version can read is found without any new event: as if this one had failed for no good reason.
    stored = await index.cursor(CHAIN)
    assert stored is not None
    spoiled = replace(await the(index, 2), document="", type="", reason="older versions could not", reader="older")
    await index.advance(stored, Progress(stored.block, stored.block_hash, [spoiled]))
    await an_indexer(chain, index).sync()
    assert await names(index, 1, 2) == ["", "Good"]
    assert (await the(index, 1)).reason


async def test_an_nft_that_was_made_before_anybody_looked(chain: Scripted, index: MemoryIndexStore) -> None:
    chain.facts[nft_of(1)] = NftFacts(OTHER, 0)
    chain.mine(described(1), described(2), TokenMade(NOWHERE, nft_of(1), DATATOKEN, "T", "T"))
    chain.mine(described(2))
    indexer = an_indexer(chain, index)
    await indexer.sync()
    assert (await the(index, 1)).owner == OTHER
    forged = await the(index, 2)
    assert (forged.made, forged.document) == (False, "")
    assert chain.asked.count(("nft", nft_of(2))) == 1
    store = OnChainMetadata(indexer, index)
    with pytest.raises(NotFound, match="factory"):
        await store.asset(did(2))
    assert (await store.asset(did(1))).publisher == OTHER


async def test_a_lower_start_or_another_factory_reads_all_anew(chain: Scripted, index: MemoryIndexStore) -> None:
    chain.mine(*published(1))
    chain.mine(*published(2))
    await an_indexer(chain, index, start_block=2).sync()
    assert await names(index, 1, 2) == ["", "A table"]
    await an_indexer(chain, index, start_block=1).sync()
    assert await names(index, 1, 2) == ["A table", "A table"]
    await an_indexer(chain, index, start_block=2).sync()
    assert await names(index, 1, 2) == ["A table", "A table"]
    chain.factory = OTHER
    chain.asked.clear()
    await an_indexer(chain, index, start_block=2).sync()
    assert await names(index, 1) == [""]


async def test_a_chain_that_is_down_is_asked_again(chain: Scripted) -> None:
    class Telling(MemoryIndexStore):
        """Tells when something was stored."""

        stored = asyncio.Event()

        async def advance(self, cursor: Cursor, progress: Progress) -> Cursor:
            after = await super().advance(cursor, progress)
            self.stored.set()
            return after

    index = Telling()
    indexer = an_indexer(chain, index)
    chain.down = True
    with pytest.raises(Unavailable):
        await indexer.sync()
    assert (indexer.lag().age, indexer.lag().behind) == (None, None)
    assert indexer.lag().problem
    chain.turned_away.clear()
    loop = asyncio.create_task(indexer.run(0.01))
    async with asyncio.timeout(120):
        await chain.turned_away.wait()
    chain.mine(*published(1))
    chain.down = False
    async with asyncio.timeout(120):
        await index.stored.wait()
    await indexer.sync()
    assert (indexer.lag().problem, indexer.lag().behind) == ("", 0)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop
    assert await names(index, 1) == ["A table"]


async def test_two_services_read_one_chain_into_one_index(chain: Scripted, index: MemoryIndexStore) -> None:
    for number in range(40):
        chain.mine(*published(number), TokenMade(NOWHERE, nft_of(number), nft_of(100 + number), "", ""))
    for number in range(40):
        chain.mine(Ordered(NOWHERE, nft_of(100 + number)))
    both = [an_indexer(chain, index) for _ in range(2)]
    await asyncio.gather(*(one.sync() for one in both))
    for number in range(40):
        entry = await the(index, number)
        assert [token.orders for token in entry.tokens] == [1]
    chain.mine(described(3, "Renamed"))
    stores = [OnChainMetadata(one, index, believed_seconds=0) for one in both]
    assert [(await store.asset(did(3))).name for store in stores] == ["Renamed", "Renamed"]


async def test_a_service_that_was_overtaken_goes_on_from_there(chain: Scripted) -> None:
    class Overtaken(MemoryIndexStore):
        """Another service writes just before the first write of this one."""

        done = False

        async def advance(self, cursor: Cursor, progress: Progress) -> Cursor:
            if not self.done:
                self.done = True
                await super().advance(cursor, progress)
            return await super().advance(cursor, progress)

    index = Overtaken()
    chain.mine(*published(1), TokenMade(NOWHERE, nft_of(1), DATATOKEN, "", ""), Ordered(NOWHERE, DATATOKEN))
    await an_indexer(chain, index).sync()
    assert (await the(index, 1)).tokens[0].orders == 1


async def test_two_services_take_the_same_blocks_back(chain: Scripted, index: MemoryIndexStore) -> None:
    chain.mine(*published(1, "Old"))
    both = [an_indexer(chain, index) for _ in range(2)]
    chain.mine(described(1, "New"))
    await asyncio.gather(*(one.sync() for one in both))
    cursor = await index.cursor(CHAIN)
    assert cursor is not None
    chain.take_back(1)
    chain.mine(*published(2))
    real = index.rewind

    async def overtaken(known: Cursor, block: int, block_hash: str) -> Cursor:
        """Let the other service be quicker."""
        index.rewind = real  # type: ignore[method-assign]
        await both[1].sync()
        return await real(known, block, block_hash)

    index.rewind = overtaken  # type: ignore[method-assign]
    await both[0].sync()
    assert await names(index, 1, 2) == ["Old", "A table"]
    assert [one.lag().behind for one in both] == [0, 0]
