"""Turns a few blocks' events into changed entries: looks up what they concern, opens documents, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from cove.core import indexed
from cove.core.asset import Asset
from cove.core.ddo import did_of
from cove.core.indexed import (
    ChainEvent,
    Described,
    Entry,
    NftMade,
    Ordered,
    OwnerChanged,
    RateSet,
    SoldAt,
    StateChanged,
    TokenMade,
)
from cove.metadata.opening import open_document
from cove.ports import ChainReader, IndexStore, Vault

_AT_ONCE: Final = 20
"""Documents that are opened in one go, so that other work has its turn in between."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What entries are made from."""

    chain: ChainReader
    vault: Vault
    index: IndexStore
    #: Names who reads documents: another key, or a later way to read, may open what this one cannot.
    reader: str


@dataclass(slots=True)
class Changes:
    """Entries that events changed."""

    #: By DID, as they are afterwards.
    entries: dict[str, Entry] = field(default_factory=dict)
    #: By DID, as they were; None: there was none.
    before: dict[str, Entry | None] = field(default_factory=dict)
    #: DIDs by datatoken or exchange.
    tokens: dict[str, str] = field(default_factory=dict)


async def changes_of(sources: Sources, events: Sequence[ChainEvent], earlier: Changes | None = None) -> Changes:
    """Give what events change.

    Args:
        sources: Where the rest is looked up.
        events: In chain order.
        earlier: Changes by events before these that are not stored yet.

    Raises:
        Unavailable: The chain was to be asked about an NFT, and does not answer.
    """
    chain_id = sources.chain.chain_id
    known = earlier or Changes()
    tokens = await _tokens(sources, events, known)
    dids = [_did(event, chain_id, tokens) for event in events]
    wanted = dict.fromkeys(did for did in dids if did)
    stored = await sources.index.entries([did for did in wanted if did not in known.entries])
    before: dict[str, Entry | None] = {did: known.entries.get(did) or stored.get(did) for did in wanted}
    now = {did: entry for did, entry in before.items() if entry is not None}
    last = {did: event for did, event in zip(dids, events, strict=True) if isinstance(event, Described)}
    for did, event in zip(dids, events, strict=True):
        if did not in now and did:
            entry = await _new(sources, did, event)
            if entry is None:
                continue
            now[did] = entry
        if did:
            now[did] = indexed.changed(now[did], event)
    to_read = [(did, last[did]) for did in last if did and now[did].made]
    async for did, found in _opened(sources, to_read):
        now[did] = indexed.read(now[did], found, sources.reader)
    changed = {did: entry for did, entry in now.items() if entry != before[did]}
    return Changes(changed, {did: before[did] for did in changed}, tokens)


async def read_anew(sources: Sources, entry: Entry) -> Entry:
    """Give an entry whose document is tried once more; as it is where its event cannot be found.

    Raises:
        Unavailable: The chain does not answer.
    """
    at = entry.described
    if at is None:
        return entry
    events = await sources.chain.asset_events(at.block, at.block)
    event = next((one for one in events if isinstance(one, Described) and (one.at, one.nft) == (at, entry.nft)), None)
    if event is None:
        return replace(entry, reader=sources.reader)
    found = await asyncio.to_thread(open_document, event, entry.chain_id, sources.vault)
    return indexed.read(entry, found, sources.reader)


async def _tokens(sources: Sources, events: Sequence[ChainEvent], known: Changes) -> dict[str, str]:
    """Give the DID of each datatoken and exchange that events are about, those that belong to one."""
    chain_id = sources.chain.chain_id
    made = {event.token: did_of(event.nft, chain_id) for event in events if isinstance(event, TokenMade)}
    asked = {event.token for event in events if isinstance(event, Ordered | SoldAt | RateSet) and event.token}
    asked |= {
        indexed.exchange_key(event.contract, event.exchange)
        for event in events
        if isinstance(event, RateSet) and not event.token
    }
    found = {**await sources.index.tokens(chain_id, asked), **known.tokens, **made}
    for event in events:
        if isinstance(event, SoldAt) and event.exchange and event.token in found:
            found[indexed.exchange_key(event.contract, event.exchange)] = found[event.token]
    return found


def _did(event: ChainEvent, chain_id: int, tokens: dict[str, str]) -> str:
    """Give the DID that an event is about; empty where that is nobody's that is known."""
    match event:
        case NftMade() | TokenMade() | OwnerChanged() | StateChanged() | Described():
            return did_of(event.nft, chain_id)
        case Ordered() | SoldAt():
            return tokens.get(event.token, "")
        case RateSet():
            return tokens.get(event.token or indexed.exchange_key(event.contract, event.exchange), "")


async def _new(sources: Sources, did: str, event: ChainEvent) -> Entry | None:
    """Give the entry of an NFT that was not seen before; None where the event alone makes it none.

    Its making is not seen where reading began later: then the chain is asked whether the factory made it.
    """
    chain_id = sources.chain.chain_id
    match event:
        case NftMade():
            return Entry(did, chain_id, event.nft)
        case Described():
            facts = await sources.chain.nft(event.nft)
            if facts is None:
                return Entry(did, chain_id, event.nft, made=False, reason=indexed.NOT_MADE)
            return Entry(did, chain_id, event.nft, owner=facts.owner, state=facts.state)
        case _:
            return None


async def _opened(sources: Sources, asked: Sequence[tuple[str, Described]]) -> AsyncIterator[tuple[str, Asset | str]]:
    remaining = iter(asked)
    while part := list(islice(remaining, _AT_ONCE)):
        for did, found in await asyncio.to_thread(_open, sources, part):
            yield did, found


def _open(sources: Sources, part: Sequence[tuple[str, Described]]) -> list[tuple[str, Asset | str]]:
    return [(did, open_document(event, sources.chain.chain_id, sources.vault)) for did, event in part]
