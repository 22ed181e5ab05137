"""Searches over published assets, in the form in which libraries and markets ask a metadata cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.chain import FILES
from tests.support.house import House

from cove.access import catalog
from cove.client.market import (
    AssetDraft,
    Published,
    ServiceDraft,
    Wallet,
    mint,
    order,
    publish,
    set_metadata,
    set_metadata_state,
)

CACHE = "/api/aquarius/assets"


async def published(house: House, name: str, *, wallet: Wallet | None = None, tags: Sequence[str] = ()) -> Published:
    draft = AssetDraft(name, [ServiceDraft("access", FILES, "http://cove")])
    ocean = house.ocean
    made = await publish(wallet or ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt)
    if tags:
        tagged = json.dumps({**made.ddo, "metadata": {**made.ddo["metadata"], "tags": list(tags)}}).encode()
        await set_metadata(ocean.publisher, made.nft, tagged, ocean.encrypt, url="http://cove")
    return made


async def read(house: House) -> None:
    """Have the index read what was published."""
    for store in house.cove.parts.metadata.values():
        await store.indexer.sync()  # type: ignore[attr-defined]  # these chains are indexed here


async def search(house: House, query: Any, **more: Any) -> dict[str, Any]:
    await read(house)
    answer = await house.http.post(f"{CACHE}/query", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def dids(found: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in found["hits"]["hits"]]


async def test_a_market_finds_what_was_published(house: House) -> None:
    marked = "Zebra" + house.dataset.did[-6:]
    ours = await published(house, f"{marked} stripes", tags=("animals", marked))
    theirs = await published(house, f"{marked} herds", wallet=house.ocean.stranger)
    # As Ocean's market asks (its base query), with what it leaves in the place of filters that it does not need.
    base = {
        "filter": [
            [],
            {"terms": {"chainId": [8996]}},
            {"term": {"_index": "aquarius"}},
            {"term": {"purgatory.state": False}},
            {"bool": {"must_not": [{"term": {"nft.state": 5}}]}},
        ]
    }
    text = {"query_string": {"query": f"*{marked.lower()}*", "fields": ["metadata.name^10", "metadata.tags"],
                             "default_operator": "AND"}}  # fmt: skip
    found = await search(house, {"bool": {**base, "must": [{"bool": {"should": [text]}}]}}, sort={"nft.created": "asc"})
    assert sorted(dids(found)) == sorted([ours.did, theirs.did])
    assert found["hits"]["total"] == {"value": 2, "relation": "eq"}
    hit = found["hits"]["hits"][0]
    assert hit["_source"] == (await house.http.get(f"{CACHE}/ddo/{hit['_id']}")).json()
    mine = [*base["filter"], {"term": {"nft.owner": house.ocean.stranger.address.lower()}}]
    assert theirs.did in dids(await search(house, {"bool": {"filter": mine}}, size=1000))
    assert ours.did not in dids(await search(house, {"bool": {"filter": mine}}, size=1000))
    tokens = {"terms": {"services.datatokenAddress": [ours.datatoken.lower()]}}
    assert dids(await search(house, {"bool": {"filter": [tokens]}})) == [ours.did]
    assert dids(await search(house, {"ids": {"values": [theirs.did, "did:op:1"]}})) == [theirs.did]
    tags = {"tags": {"terms": {"field": "metadata.tags.keyword", "size": 1000}}}
    counted = await search(house, {"match": {"metadata.name": marked}}, size=0, aggs=tags)
    assert counted["aggregations"]["tags"]["buckets"] == [
        {"key": marked, "doc_count": 1},
        {"key": "animals", "doc_count": 1},
    ]


async def test_orders_are_counted_and_summed(house: House) -> None:
    fee = await house.quote()
    asset, consumer = house.dataset, house.ocean.consumer
    await mint(house.ocean.publisher, asset.datatoken, consumer.address)
    await order(consumer, asset.datatoken, fee)
    sums = {"totalOrders": {"sum": {"field": "stats.orders"}}}
    found = await search(house, {"term": {"_id": asset.did}}, aggs=sums)
    assert found["hits"]["hits"][0]["_source"]["stats"]["orders"] == 1
    assert found["aggregations"] == {"totalOrders": {"value": 1.0}}
    token = found["hits"]["hits"][0]["_source"]["datatokens"][0]
    assert (token["address"], token["name"], token["symbol"]) == (asset.datatoken, "A table", "COVE")


async def test_what_was_taken_out_of_use_is_found_nowhere(house: House) -> None:
    asset = await published(house, "Was there once")
    query = {"term": {"_id": asset.did}}
    for state, shown in ((0, True), (1, False), (5, True), (2, False), (4, True), (3, False), (0, True)):
        await set_metadata_state(house.ocean.publisher, asset.nft, state)
        found = await search(house, query)
        assert dids(found) == ([asset.did] if shown else []), state
        names = (await house.http.post(f"{CACHE}/names", json={"didList": [asset.did]})).json()
        assert names == ({asset.did: "Was there once"} if shown else {})
        for path in ("ddo", "metadata"):
            answer = await house.http.get(f"{CACHE}/{path}/{asset.did}")
            assert answer.status_code == (200 if shown else 404)
        if shown:
            assert found["hits"]["hits"][0]["_source"]["nft"]["state"] == state


async def test_an_nft_that_was_given_away_has_its_new_owner(house: House) -> None:
    asset = await published(house, "Given away")
    owner, heir = house.ocean.publisher, house.ocean.stranger.address
    await owner.transact(asset.nft, "transferFrom(address,address,uint256)", [owner.address, heir, 1])
    found = await search(house, {"term": {"_id": asset.did}})
    assert found["hits"]["hits"][0]["_source"]["nft"]["owner"] == house.ocean.stranger.address
    answer = await house.http.get(f"{CACHE}/ddo/{asset.did}")
    assert answer.json()["nft"]["owner"] == house.ocean.stranger.address


async def test_the_metadata_section_and_names(house: House) -> None:
    asset = house.dataset
    answer = await house.http.get(f"{CACHE}/metadata/{asset.did}")
    assert answer.json() == asset.ddo["metadata"]
    unknown = "did:op:" + "0" * 64
    assert (await house.http.get(f"{CACHE}/metadata/{unknown}")).status_code == 404
    await read(house)
    given = {"didList": [asset.did, unknown, "nonsense"]}
    assert (await house.http.post(f"{CACHE}/names", json=given)).json() == {asset.did: "A table"}
    for wrong in ({}, {"didList": []}, {"didList": "x"}, {"didList": [1]}, {"didList": [""] * 1001}):
        refused = await house.http.post(f"{CACHE}/names", json=wrong)
        assert (refused.status_code, refused.json()["message"]) == (400, "Validation error")


async def test_how_far_the_index_is(house: House) -> None:
    await read(house)
    head, _ = await house.ocean.ledger().head()
    expected = {"last_block": head, "head": head, "behind": 0}
    assert (await house.http.get("/api/aquarius/chains/list")).json() == {"8996": True}
    assert (await house.http.get("/api/aquarius/chains/status/8996")).json() == expected
    assert (await house.http.get("/api/aquarius/chains/status/1")).status_code == 404
    assert (await house.http.get("/health")).json() == {"status": "ok", "index": {"8996": expected}}
    findings = {finding.part: finding for finding in await house.cove.examine()}
    assert findings["index of chain 8996"].ok


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"[" * 100_000, "body"),
        ({"query": []}, "query"),
        ({"query": {"script": {}}}, "query.script"),
        ({"query": {"bool": {"must": [{"nested": {}}]}}}, "query.bool.must[0].nested"),
        ({"query": {"bool": {"may": []}}}, "query.bool.may"),
        ({"query": {"term": {"a": {"value": "b", "rewrite": "x"}}}}, "query.term.a.rewrite"),
        ({"query": {"query_string": {"query": "a~2"}}}, "query.query_string.query"),
        ({"script_fields": {}}, "script_fields"),
        ({"size": 1001}, "size"),
        ({"from": 9_999, "size": 2}, "from"),
        ({"sort": {"a": "up"}}, "sort.a"),
        ({"aggs": {"a": {"cardinality": {"field": "id"}}}}, "aggs.a.cardinality"),
    ],
)
async def test_what_is_not_supported_is_named(house: House, body: Any, field: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await house.http.post(f"{CACHE}/query", content=content)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


@pytest.mark.parametrize(("bound", "most"), [("MAX_ASSETS", 0), ("MAX_CHARACTERS", 10)])
async def test_no_search_looks_at_more_than_it_may(
    house: House, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    await read(house)
    monkeypatch.setattr(catalog, bound, most)
    answer = await house.http.post(f"{CACHE}/query", json={})
    assert "narrow it down" in answer.json()["errors"]["query"][0]
    nothing = {"query": {"term": {"metadata.type": "nothing"}}}
    assert (await house.http.post(f"{CACHE}/query", json=nothing)).status_code == 200
