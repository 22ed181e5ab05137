"""What the index keeps of an NFT and what was published under it, and how the chain's events change it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from cove.core.asset import NFT_READABLE_STATES, Asset

MAX_TOKENS: Final = 100
"""Datatokens of one NFT, and ways to buy one datatoken, that are remembered."""

NOTHING_YET: Final = "Nothing was published under this DID yet."
NOT_MADE: Final = "The asset's NFT was not made by Ocean's factory."

_MAX_NAME: Final = 1_000
_MAX_URI: Final = 8_000
_WEI: Final = 10**18
_CLAIMED: Final = ("datatokens", "event", "nft", "stats", "purgatory")
"""Parts of a DDO that whoever indexes the chain adds; a publisher can only claim them."""


@dataclass(frozen=True, slots=True)
class At:
    """Where on the chain an event stands."""

    block: int
    #: ``0x`` hex.
    block_hash: str
    log: int
    tx_id: str


@dataclass(frozen=True, slots=True)
class NftMade:
    """Ocean's factory made an NFT."""

    at: At
    #: Checksummed, as all addresses here.
    nft: str
    name: str
    symbol: str
    token_uri: str


@dataclass(frozen=True, slots=True)
class TokenMade:
    """Ocean's factory made a datatoken for an NFT."""

    at: At
    nft: str
    token: str
    name: str
    symbol: str


@dataclass(frozen=True, slots=True)
class OwnerChanged:
    """A contract says that its first token has a new owner; it may be any contract."""

    at: At
    nft: str
    owner: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A contract says that it has another state."""

    at: At
    nft: str
    state: int


@dataclass(frozen=True, slots=True)
class Described:
    """A contract says what its DDO is: ``MetadataCreated`` or ``MetadataUpdated``."""

    at: At
    nft: str
    sender: str
    state: int
    flags: int
    data: bytes
    #: sha256 of the plain document.
    metadata_hash: bytes
    #: Unix time.
    timestamp: int


@dataclass(frozen=True, slots=True)
class Ordered:
    """A contract says that it was ordered with."""

    at: At
    token: str


@dataclass(frozen=True, slots=True)
class SoldAt:
    """A datatoken says where it is sold: ``NewFixedRate``, or ``NewDispenser`` without exchange and base token."""

    at: At
    token: str
    contract: str
    exchange: str = ""
    base_token: str = ""


@dataclass(frozen=True, slots=True)
class RateSet:
    """A contract says what an exchange of its own asks, or that it opens or closes; it may be any contract."""

    at: At
    contract: str
    #: Empty: its dispenser of the datatoken.
    exchange: str
    #: Base tokens for one datatoken, times 1e18; None leaves it.
    rate: int | None = None
    #: None leaves it.
    active: bool | None = None
    #: Empty where the event names none: it is an exchange that was made before.
    token: str = ""


ChainEvent = NftMade | TokenMade | OwnerChanged | StateChanged | Described | Ordered | SoldAt | RateSet


@dataclass(frozen=True, slots=True)
class Sale:
    """One way to buy a datatoken."""

    contract: str
    #: Id of the exchange; empty for a dispenser, which gives it for nothing.
    exchange: str = ""
    base_token: str = ""
    #: Base tokens times 1e18; None: it was not said yet.
    rate: int | None = None
    active: bool = True
    #: False until the datatoken itself named this contract: anybody can claim to sell a datatoken.
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A datatoken of an NFT."""

    address: str
    name: str = ""
    symbol: str = ""
    orders: int = 0
    sales: tuple[Sale, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of one NFT."""

    did: str
    chain_id: int
    nft: str
    name: str = ""
    symbol: str = ""
    token_uri: str = ""
    #: False: Ocean's factory did not make it, whatever it says.
    made: bool = True
    #: Empty: not known.
    owner: str = ""
    state: int = 0
    #: The newest DDO in clear, as it was published; empty: there is none that can be read.
    document: str = ""
    #: ``dataset`` or ``algorithm``; empty without a document.
    type: str = ""
    #: Why there is no document.
    reason: str = NOTHING_YET
    #: Who tried to read the document that could not be read; another one may be luckier.
    reader: str = ""
    #: Newest metadata event; None before the first one.
    described: At | None = None
    sender: str = ""
    #: Unix time of the newest metadata event, and of the first one; 0 before.
    updated: int = 0
    created: int = 0
    tokens: tuple[Token, ...] = ()

    def token(self, address: str) -> Token | None:
        """Give a datatoken of this NFT; None when it has none there."""
        return next((token for token in self.tokens if token.address == address), None)


def exchange_key(contract: str, exchange: str) -> str:
    """Give the name that an exchange is looked up by, beside the addresses of datatokens."""
    return f"{contract}/{exchange}"


def is_shown(entry: Entry) -> bool:
    """Say whether a DDO may be given to everybody: an NFT that was taken out of use hides it."""
    return entry.made and bool(entry.document) and entry.state in NFT_READABLE_STATES


def changed(entry: Entry, event: ChainEvent) -> Entry:
    """Give an entry after an event of its NFT or of one of its datatokens; a :class:`Described` is not read here."""
    match event:
        case NftMade():
            return replace(
                entry,
                made=True,
                name=_short(event.name, _MAX_NAME),
                symbol=_short(event.symbol, _MAX_NAME),
                token_uri=_short(event.token_uri, _MAX_URI),
            )
        case TokenMade():
            if entry.token(event.token) is not None or len(entry.tokens) >= MAX_TOKENS:
                return entry
            made = Token(event.token, _short(event.name, _MAX_NAME), _short(event.symbol, _MAX_NAME))
            return replace(entry, tokens=(*entry.tokens, made))
        case OwnerChanged():
            return replace(entry, owner=event.owner)
        case StateChanged():
            return replace(entry, state=event.state)
        case Described():
            return replace(
                entry,
                state=event.state,
                described=event.at,
                sender=event.sender,
                updated=event.timestamp,
                created=entry.created or event.timestamp,
            )
        case Ordered():
            return _with_token(entry, event.token, lambda token: replace(token, orders=token.orders + 1))
        case SoldAt():
            return _with_token(entry, event.token, lambda token: _sold_at(token, event))
        case RateSet():
            return replace(entry, tokens=tuple(_rate_set(token, event) for token in entry.tokens))


def read(entry: Entry, found: Asset | str, reader: str) -> Entry:
    """Give an entry with its newest document, or with the reason why that cannot be read.

    Args:
        entry: Already changed by the metadata event.
        found: What was published, or the reason.
        reader: Who tried.
    """
    if isinstance(found, str):
        return replace(entry, document="", type="", reason=found, reader=reader)
    return replace(entry, document=found.document, type=found.type, reason="", reader="")


def served(entry: Entry) -> dict[str, Any]:
    """Give the DDO of an entry as a metadata cache serves it: as it was published, with what the chain knows of it.

    ``event`` has the transaction under two names: ocean.js looks for ``txid``, ocean.py for ``tx``.
    """
    body: dict[str, Any] = {name: part for name, part in json.loads(entry.document).items() if name not in _CLAIMED}
    at = entry.described or At(0, "", 0, "")
    tokens = _of_services(body, entry)
    return body | {
        "nft": {
            "address": entry.nft,
            "name": entry.name,
            "symbol": entry.symbol,
            "state": entry.state,
            "tokenURI": entry.token_uri,
            "owner": entry.owner,
            "created": _time(entry.created),
        },
        "event": {
            "tx": at.tx_id,
            "txid": at.tx_id,
            "block": at.block,
            "from": entry.sender,
            "contract": entry.nft,
            "datetime": _time(entry.updated),
        },
        "datatokens": [
            {"address": address, "name": token.name, "symbol": token.symbol, "serviceId": service}
            for service, address, token in tokens
        ],
        "stats": {
            "allocated": 0,
            "orders": sum(token.orders for token in dict.fromkeys(token for _, _, token in tokens)),
            "price": _price(tokens[0][2]) if tokens else {},
        },
        "purgatory": {"state": False},
    }


def encode(entry: Entry) -> str:
    """Give everything of an entry but its document as JSON in ASCII."""
    body = dataclasses.asdict(entry)
    del body["document"]
    return json.dumps(body, separators=(",", ":"))


def decode(record: str, document: str) -> Entry:
    """Give the entry that :func:`encode` wrote, with its document."""
    body: dict[str, Any] = json.loads(record)
    at, tokens = body.pop("described"), body.pop("tokens")
    return Entry(
        **body,
        document=document,
        described=None if at is None else At(**at),
        tokens=tuple(
            Token(**{**token, "sales": tuple(Sale(**sale) for sale in token["sales"])}) for token in tokens
        ),
    )  # fmt: skip


def _with_token(entry: Entry, address: str, change: Callable[[Token], Token]) -> Entry:
    return replace(entry, tokens=tuple(change(token) if token.address == address else token for token in entry.tokens))


def _sold_at(token: Token, event: SoldAt) -> Token:
    known = next((s for s in token.sales if (s.contract, s.exchange) == (event.contract, event.exchange)), None)
    if known is None and len(token.sales) >= MAX_TOKENS:
        return token
    named = replace(known or Sale(event.contract, event.exchange), base_token=event.base_token, confirmed=True)
    # The exchange said its rate a moment before; whatever else claimed to sell the datatoken is forgotten.
    return replace(token, sales=(*(s for s in token.sales if s.confirmed and s is not known), named))


def _rate_set(token: Token, event: RateSet) -> Token:
    if event.token not in {"", token.address}:
        return token
    sales = tuple(
        replace(
            sale,
            rate=sale.rate if event.rate is None else event.rate,
            active=sale.active if event.active is None else event.active,
        )
        if (sale.contract, sale.exchange) == (event.contract, event.exchange)
        else sale
        for sale in token.sales
    )
    known = any((sale.contract, sale.exchange) == (event.contract, event.exchange) for sale in token.sales)
    if event.token and event.exchange and not known:
        claimed = Sale(event.contract, event.exchange, rate=event.rate)
        sales = (*(sale for sale in sales if sale.confirmed), claimed)
    return replace(token, sales=sales)


def _price(token: Token) -> dict[str, Any]:
    """Give the lowest price that a datatoken is sold for; empty where it is not sold."""
    prices = [
        (0 if not sale.exchange else sale.rate, sale.base_token)
        for sale in token.sales
        if sale.confirmed and sale.active
    ]
    known = [(rate, base) for rate, base in prices if rate is not None]
    if not known:
        return {}
    rate, base = min(known)
    return {"value": rate / _WEI, **({"tokenAddress": base} if base else {})}


def _of_services(body: Mapping[str, Any], entry: Entry) -> list[tuple[str, str, Token]]:
    """Give id, datatoken's address as published, and what is known of it, for each service of a DDO that was read."""
    known = {token.address.lower(): token for token in entry.tokens}
    found = []
    for service in body["services"]:
        address = str(service["datatokenAddress"])
        found.append((str(service["id"]), address, known.get(address.lower(), Token(address))))
    return found


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else ""


def _time(unix: int) -> str:
    """Give a time as DDOs write it; empty where there is none, or none that can be written."""
    try:
        return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if unix else ""
    except (ValueError, OverflowError, OSError):
        return ""
