"""How events change what is known of an asset."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.support.scripted_chain import CHAIN, DATATOKEN, NOWHERE, OTHER, OWNER, ddo, described, did, nft_of

from cove.core.ddo import parse
from cove.core.indexed import (
    MAX_TOKENS,
    ChainEvent,
    Entry,
    NftMade,
    Ordered,
    OwnerChanged,
    RateSet,
    SoldAt,
    StateChanged,
    TokenMade,
    changed,
    decode,
    encode,
    is_shown,
    read,
    served,
)

MARKET, EXCHANGE = "0x4444444444444444444444444444444444444444", "0x" + "ab" * 32
TOKEN = TokenMade(NOWHERE, nft_of(1), DATATOKEN, "Token", "TKN")


def after(*events: ChainEvent, entry: Entry | None = None) -> Entry:
    found = entry or Entry(did(1), CHAIN, nft_of(1))
    for event in events:
        found = changed(found, event)
    return found


def with_document(entry: Entry) -> Entry:
    return read(entry, parse(ddo(1), publisher="", state=0), "reader")


def price(*events: ChainEvent) -> object:
    return served(with_document(after(TOKEN, *events)))["stats"]["price"]


def test_what_is_served_is_published_and_known() -> None:
    entry = with_document(
        after(
            NftMade(NOWHERE, nft_of(1), "N", "S", "u"),
            TOKEN,
            described(1),
            OwnerChanged(NOWHERE, nft_of(1), OTHER),
            Ordered(NOWHERE, DATATOKEN),
        )
    )
    body = served(entry)
    assert {name: body[name] for name in ddo(1)} == ddo(1)
    assert body["nft"]["owner"] == OTHER
    assert (body["nft"]["created"], body["event"]["datetime"]) == ("2023-11-14T22:13:21Z", "2023-11-14T22:13:21Z")
    assert body["stats"]["orders"] == 1
    assert decode(encode(entry), entry.document) == entry


@pytest.mark.parametrize(
    ("state", "shown"), [(0, True), (1, False), (2, False), (3, False), (4, True), (5, True), (9, False)]
)
def test_a_state_hides_or_shows(state: int, shown: bool) -> None:  # noqa: FBT001 - an example
    assert is_shown(after(StateChanged(NOWHERE, nft_of(1), state), entry=with_document(after(described(1))))) is shown


def test_without_a_document_or_a_factory_nothing_is_shown() -> None:
    entry = with_document(after(described(1)))
    assert not is_shown(after())
    assert not is_shown(replace(entry, made=False))
    assert not is_shown(read(entry, "no", "reader"))


def test_a_datatoken_says_itself_where_it_is_sold() -> None:
    made = RateSet(NOWHERE, MARKET, EXCHANGE, rate=2 * 10**18, token=DATATOKEN)
    named = SoldAt(NOWHERE, DATATOKEN, MARKET, EXCHANGE, OWNER)
    assert price(made) == {}
    assert price(made, named) == {"value": 2.0, "tokenAddress": OWNER}
    assert price(named) == {}  # its rate was not said yet
    forged = RateSet(NOWHERE, OTHER, EXCHANGE, rate=1, token=DATATOKEN)
    assert price(forged, made, named) == {"value": 2.0, "tokenAddress": OWNER}
    assert price(made, named, forged) == {"value": 2.0, "tokenAddress": OWNER}
    assert price(made, named, RateSet(NOWHERE, OTHER, EXCHANGE, rate=1)) == {"value": 2.0, "tokenAddress": OWNER}
    assert price(made, named, RateSet(NOWHERE, MARKET, EXCHANGE, active=False)) == {}
    assert price(made, named, SoldAt(NOWHERE, DATATOKEN, OTHER)) == {"value": 0.0}


def test_what_others_say_of_a_datatoken_is_bounded() -> None:
    events = [RateSet(NOWHERE, MARKET, f"0x{n}", rate=n, token=DATATOKEN) for n in range(1000)]
    assert len(after(TOKEN, *events).tokens[0].sales) == 1
    named = [SoldAt(NOWHERE, DATATOKEN, MARKET, f"0x{n}", OWNER) for n in range(1000)]
    assert len(after(TOKEN, *named).tokens[0].sales) == MAX_TOKENS
    tokens = [TokenMade(NOWHERE, nft_of(1), nft_of(n), "", "") for n in range(1000)]
    assert len(after(*tokens).tokens) == MAX_TOKENS
    assert after(NftMade(NOWHERE, nft_of(1), "n" * 10**6, "", "u" * 10**6)).name == ""


def test_a_time_that_is_none_is_left_out() -> None:
    entry = with_document(after(replace(described(1), timestamp=2**63 - 1)))
    assert served(entry)["event"]["datetime"] == ""
    assert json.loads(json.dumps(served(entry)))
