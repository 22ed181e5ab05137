"""Several services that read a real chain into one database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from sqlalchemy.engine import URL
from tests.chain import Ocean
from tests.support import postgresql

from cove.client.market import AssetDraft, ServiceDraft, publish
from cove.metadata.onchain import OnChainMetadata
from cove.stores import SqlIndexStore, SqlJobStore

SERVICES = 3


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    with postgresql.server() as on:
        yield on


@pytest.fixture
async def stores(server: URL, ocean: Ocean) -> AsyncIterator[list[OnChainMetadata]]:
    """Give the metadata stores of services that share a PostgreSQL, each with connections of its own."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(postgresql.database(server)).render_as_string(hide_password=False)
        made = []
        for _ in range(SERVICES):
            jobs = SqlJobStore(url)
            stack.push_async_callback(jobs.close)
            await jobs.start()
            made.append(ocean.metadata(SqlIndexStore(jobs)))
        yield made


async def test_services_do_not_fight_over_one_index(stores: list[OnChainMetadata], ocean: Ocean) -> None:
    drafts = [
        AssetDraft(f"Table {n}", [ServiceDraft("access", [{"type": "url", "url": "http://x"}], "http://cove")])
        for n in range(6)
    ]
    early = [await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt) for draft in drafts[:3]]
    await asyncio.gather(*(store.indexer.sync() for store in stores))
    loops = [asyncio.create_task(store.indexer.run(0.01)) for store in stores]
    late = [await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt) for draft in drafts[3:]]
    await asyncio.gather(*(store.indexer.sync() for store in stores))
    for store in stores:
        found = [await store.asset(published.did) for published in [*early, *late]]
        assert [asset.name for asset in found] == [draft.name for draft in drafts]
        assert store.indexer.lag().problem == ""
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    head, _ = await ocean.ledger().head()
    assert {store.indexer.lag().block for store in stores} == {head}
