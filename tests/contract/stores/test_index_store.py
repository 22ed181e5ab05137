"""The IndexStore protocol: in this process, and in each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.contract.stores.conftest import make_job_store
from tests.support.scripted_chain import CHAIN, DATATOKEN, FACTORY, OTHER, OWNER, did, nft_of

from cove.core.assetquery import Narrowing
from cove.core.errors import StaleWrite
from cove.core.indexed import At, Entry, Sale, Token, exchange_key
from cove.ports import Cursor, IndexStore, Progress, Undo
from cove.stores import MemoryIndexStore, SqlIndexStore, SqlJobStore

BEFORE = Cursor(CHAIN, 0, -1, "", 0, FACTORY, "0x00")
ALL = Narrowing()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def index(request: pytest.FixtureRequest) -> AsyncIterator[IndexStore]:
    if request.param == "memory":
        yield MemoryIndexStore()
        return
    jobs = make_job_store(request.param, request)
    assert isinstance(jobs, SqlJobStore)
    await jobs.start()
    yield SqlIndexStore(jobs)
    await jobs.close()


def entry(number: int, **changes: object) -> Entry:
    sale = Sale(OTHER, "0x01", OWNER, rate=2**200, confirmed=True)
    full = Entry(
        did(number), CHAIN, nft_of(number), "Nämé \udfff\0", "S", "data:☃", owner=OWNER, document='{"n":"☃\\u0000"}',
        type="dataset", reason="", described=At(3, "0xaa", 1, "0xbb"), sender=OWNER, updated=5, created=4,
        tokens=(Token(DATATOKEN, "T", "S", 3, (sale,)), Token(OTHER)),
    )  # fmt: skip
    return replace(full, **changes)  # type: ignore[arg-type]  # by their names


async def shown(index: IndexStore, narrowing: Narrowing = ALL, after: str = "", limit: int = 100) -> set[str]:
    return {one.did for one in await index.shown(narrowing, after, limit)}


async def test_a_chain_is_begun_once_and_read_on(index: IndexStore) -> None:
    assert await index.cursor(CHAIN) is None
    begun = await index.begin(BEFORE)
    assert begun == replace(BEFORE, version=1) == await index.cursor(CHAIN)
    with pytest.raises(StaleWrite):
        await index.begin(BEFORE)
    progress = Progress(7, "0x77", [entry(1), entry(2)], {DATATOKEN: did(1), exchange_key(OTHER, "0x01"): did(1)})
    after = await index.advance(begun, progress)
    assert after == replace(begun, version=2, block=7, block_hash="0x77") == await index.cursor(CHAIN)
    assert await index.entry(did(1)) == entry(1)
    assert await index.entry(did(3)) is None
    assert await index.entries([did(1), did(2), did(3)]) == {did(1): entry(1), did(2): entry(2)}
    asked = [DATATOKEN, exchange_key(OTHER, "0x01"), OTHER]
    assert await index.tokens(CHAIN, asked) == progress.tokens
    assert await index.tokens(CHAIN + 1, asked) == {}
    assert await index.blocks(CHAIN) == [(7, "0x77")]


async def test_of_two_that_read_one_is_told(index: IndexStore) -> None:
    begun = await index.begin(BEFORE)
    await index.advance(begun, Progress(7, "0x77", [entry(1)]))
    with pytest.raises(StaleWrite):
        await index.advance(begun, Progress(8, "0x88", [entry(1, name="wrong"), entry(2)]))
    with pytest.raises(StaleWrite):
        await index.rewind(begun, 3, "0x33")
    assert set(await index.entries([did(1), did(2)])) == {did(1)}


async def test_what_the_chain_takes_back_is_as_it_was(index: IndexStore) -> None:
    cursor = await index.begin(BEFORE)
    cursor = await index.advance(cursor, Progress(1, "0x11", [entry(1, name="old"), entry(4)]))
    cursor = await index.advance(
        cursor,
        Progress(
            3,
            "0x33",
            [entry(1, name="newest"), entry(2), entry(3, document="", reason="no")],
            blocks=[(2, "0x22"), (3, "0x33")],
            undo=[
                Undo(2, did(1), entry(1, name="old")),
                Undo(3, did(1), entry(1, name="new")),
                Undo(3, did(2), None),
                Undo(2, did(3), None),
            ],
        ),
    )
    assert await index.blocks(CHAIN) == [(3, "0x33"), (2, "0x22"), (1, "0x11")]
    cursor = await index.rewind(cursor, 2, "0x22")
    assert (cursor.block, cursor.block_hash) == (2, "0x22")
    found = await index.entries([did(number) for number in (1, 2, 3, 4)])
    assert {one: found[one].name for one in found} == {
        did(1): "new",
        did(3): entry(3).name,
        did(4): entry(4).name,
    }
    cursor = await index.rewind(cursor, 1, "0x11")
    assert await index.entries([did(1), did(3), did(4)]) == {did(1): entry(1, name="old"), did(4): entry(4)}
    assert await index.blocks(CHAIN) == [(1, "0x11")]
    # What was taken back once is not taken back again.
    cursor = await index.advance(cursor, Progress(2, "0x2b", [entry(1, name="other")]))
    await index.rewind(cursor, 1, "0x11")
    assert (await index.entries([did(1)]))[did(1)].name == "other"


async def test_hashes_and_undos_are_kept_for_a_while(index: IndexStore) -> None:
    cursor = await index.begin(BEFORE)
    undo = [Undo(number, did(1), entry(1, name=str(number))) for number in (1, 2, 3)]
    blocks = [(number, f"0x{number}") for number in (1, 2, 3)]
    cursor = await index.advance(cursor, Progress(3, "0x3", [entry(1)], blocks=blocks, undo=undo))
    cursor = await index.advance(cursor, Progress(4, "0x4", keep_from=3))
    assert await index.blocks(CHAIN) == [(4, "0x4"), (3, "0x3")]
    await index.rewind(cursor, 0, "0x0")
    assert (await index.entries([did(1)]))[did(1)].name == "3"


async def test_chains_do_not_touch_each_other(index: IndexStore) -> None:
    one = await index.begin(BEFORE)
    two = await index.begin(replace(BEFORE, chain_id=CHAIN + 1))
    one = await index.advance(one, Progress(5, "0x5", [entry(1)], {DATATOKEN: did(1)}))
    await index.advance(two, Progress(9, "0x9", [entry(2, chain_id=CHAIN + 1)], {DATATOKEN: did(2)}))
    await index.begin(replace(BEFORE, version=one.version, start_block=4))
    assert await index.entry(did(1)) is None
    assert await index.tokens(CHAIN, [DATATOKEN]) == {}
    assert await index.tokens(CHAIN + 1, [DATATOKEN]) == {DATATOKEN: did(2)}
    assert await index.blocks(CHAIN) == []
    assert await index.blocks(CHAIN + 1) == [(9, "0x9")]
    assert (await index.entries([did(2)]))[did(2)].chain_id == CHAIN + 1


async def test_what_another_reader_could_not_read_is_found(index: IndexStore) -> None:
    cursor = await index.begin(BEFORE)
    unread = [entry(number, document="", reason="no", reader=reader) for number, reader in ((1, "a"), (2, "b"))]
    await index.advance(cursor, Progress(1, "0x1", [*unread, entry(3)]))
    assert [one.did for one in await index.unread(CHAIN, "a", 10)] == [did(2)]
    assert len(await index.unread(CHAIN, "c", 10)) == 2
    assert len(await index.unread(CHAIN, "c", 1)) == 1
    assert await index.unread(CHAIN + 1, "c", 10) == []


async def test_a_search_is_narrowed_down(index: IndexStore) -> None:
    cursor = await index.begin(BEFORE)
    two = await index.begin(replace(BEFORE, chain_id=CHAIN + 1))
    await index.advance(
        cursor,
        Progress(
            1,
            "0x1",
            [
                entry(1),
                entry(2, owner=OTHER.upper().replace("X", "x"), type="algorithm"),
                entry(3, state=3),
                entry(4, document="", type=""),
                entry(5, made=False),
                entry(6, state=5),
                entry(7, state=4),
            ],
        ),
    )
    await index.advance(two, Progress(1, "0x1", [entry(8, chain_id=CHAIN + 1)]))
    everything = {did(number) for number in (1, 2, 6, 7, 8)}
    assert await shown(index) == everything
    assert await shown(index, Narrowing(dids={did(1), did(3), did(9)})) == {did(1)}
    assert await shown(index, Narrowing(chain_ids=[CHAIN + 1])) == {did(8)}
    assert await shown(index, Narrowing(owners=[OTHER])) == {did(2)}
    assert await shown(index, Narrowing(types=["algorithm"], owners=[OWNER])) == set()
    assert await shown(index, Narrowing(dids=[])) == set()
    ordered = sorted(everything)
    assert [one.did for one in await index.shown(ALL, ordered[0], 2)] == ordered[1:3]
