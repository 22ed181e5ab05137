"""Publishes, changes and withdraws assets so that a command that is killed anywhere can be run again.

An asset takes two transactions: one makes its NFT, its datatoken and what sells it, the other puts its DDO on chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from cove.client.journal import Call, Journal, done, once
from cove.client.market import (
    SET_METADATA,
    AssetDraft,
    Encrypt,
    Published,
    build_document,
    created,
    metadata_arguments,
)
from cove.client.ordering import NO_ADDRESS, ONE_DATATOKEN
from cove.client.wallet import MarketError, Wallet

REVOKED: Final = 3

_NFT: Final = "(string,string,uint256,string,bool,address)"
_DATATOKEN: Final = "(uint256,string[],address[],uint256[],bytes[])"
_PLAIN: Final = f"createNftWithErc20({_NFT},{_DATATOKEN})"
_FREE: Final = f"createNftWithErc20WithDispenser({_NFT},{_DATATOKEN},(address,uint256,uint256,bool,address))"
_FIXED: Final = f"createNftWithErc20WithFixedRate({_NFT},{_DATATOKEN},(address,address[],uint256[]))"
_SET_STATE: Final = "setMetaDataState(uint8)"
_SYMBOL: Final = "COVE"
_ASSET_GAS: Final = 1_375_000
_METADATA_GAS: Final = 160_000
_STATE_GAS: Final = 47_000
_TRANSFER: Final = "transferFrom(address,address,uint256)"
_TRANSFER_GAS: Final = 276_000
_RATE_DECIMALS: Final = 18
_CREATE: Final = "asset"
_LATER: Final = frozenset({"information", "further"})


@dataclass(frozen=True, slots=True)
class Price:
    """What sells an asset's datatoken."""

    #: ``none``: its owner hands datatokens out; ``free``: a dispenser; ``fixed``: a fixed rate exchange.
    kind: Literal["none", "free", "fixed"] = "none"
    #: Whole tokens for one order.
    amount: Decimal = Decimal(0)
    #: ERC-20 that is paid in; empty without a price.
    token: str = ""


async def creation(wallet: Wallet, factory: str, name: str, price: Price) -> Call:
    """Give the call that makes an asset's contracts.

    Raises:
        MarketError: There is no factory there, or the chain has no contract of Ocean's that sells like this.
    """
    owner = wallet.address
    nft = (name, _SYMBOL, 1, "", True, owner)
    token: tuple[Any, ...] = (1, [name, _SYMBOL], [owner, owner, NO_ADDRESS, NO_ADDRESS], [2**255, 0], [])
    if price.kind == "none":
        return Call("make the NFT and its datatoken", factory, _PLAIN, [nft, token], _ASSET_GAS)
    if price.kind == "free":
        dispenser = await _listed(wallet, factory, "getDispensersContracts()")
        sells: tuple[Any, ...] = (dispenser, ONE_DATATOKEN, ONE_DATATOKEN, True, NO_ADDRESS)
        title = "make the NFT, its datatoken and the dispenser that gives it away"
        return Call(title, factory, _FREE, [nft, token, sells], _ASSET_GAS + 275_000)
    exchange = await _listed(wallet, factory, "getFixedRatesContracts()")
    (decimals,) = await wallet.call(price.token, "decimals()", [], "(uint8)")
    rate = int(price.amount.scaleb(_RATE_DECIMALS))
    sells = (exchange, [price.token, owner, owner, NO_ADDRESS], [decimals, 18, rate, 0, 1])
    title = f"make the NFT, its datatoken and the exchange that sells it for {price.amount} of {price.token}"
    return Call(title, factory, _FIXED, [nft, token, sells], _ASSET_GAS + 475_000)


async def publish_once(  # noqa: PLR0917 - each once
    wallet: Wallet, journal: Journal, factory: str, draft: AssetDraft, price: Price, encrypt: Encrypt
) -> Published:
    """Publish an asset, or go on where an earlier run of this was ended; what was done gives the same again.

    Args:
        wallet: Who will own it.
        journal: Knows what was done before.
        factory: Address of the ERC721Factory.
        draft: What to publish. One that changed since becomes a new document of the same asset.
        price: What sells it; it is settled when the asset is made.
        encrypt: Has the provider encrypt bytes to itself and gives ``0x`` hex.

    Raises:
        MarketError: The chain or the provider refused, or a transaction was not mined in time.
    """
    nft, datatoken = await make_once(wallet, journal, factory, draft.name, price)
    mark = fingerprint(draft)
    kept = journal.fact("document")
    if not isinstance(kept, Mapping) or kept.get("mark") != mark:
        ddo = await build_document(await wallet.chain_id(), nft, datatoken, draft, encrypt)
        if isinstance(kept, Mapping):
            ddo["metadata"]["created"] = kept["ddo"]["metadata"]["created"]
        kept = {"mark": mark, "ddo": ddo}
        journal.note("document", kept)
    tx_id = await put_document(wallet, journal, kept["ddo"], encrypt)
    return Published(kept["ddo"]["id"], nft, datatoken, kept["ddo"], _bytes(kept["ddo"]), tx_id)


async def make_once(wallet: Wallet, journal: Journal, factory: str, name: str, price: Price) -> tuple[str, str]:
    """Make an asset's contracts once, and give the addresses of its NFT and its datatoken, checksummed.

    Raises:
        MarketError: The chain refused, it was not mined in time, or it was made for another price.
    """
    sold = f"{price.kind} {price.amount} {price.token}".lower()
    if journal.fact("price") not in {None, sold}:
        raise MarketError("The price cannot be changed by publishing again: it was settled when the asset was made.")
    made = await done(wallet, journal, _CREATE)
    if made is None:
        call = await creation(wallet, factory, name, price)
        journal.note("price", sold)
        made = await once(wallet, journal, _CREATE, call)
    return created(made, factory)


async def put_document(wallet: Wallet, journal: Journal, ddo: Mapping[str, Any], encrypt: Encrypt) -> str:
    """Put an asset's document on chain once, and give the transaction.

    Raises:
        MarketError: The chain or the provider refused, or a transaction was not mined in time.
    """
    document = _bytes(ddo)
    step = f"metadata {hashlib.sha256(document).hexdigest()}"
    sent = await done(wallet, journal, step)
    if sent is None:
        url = str(ddo["services"][0]["serviceEndpoint"])
        arguments = await metadata_arguments(wallet.address, document, encrypt, url=url)
        sent = await once(wallet, journal, step, metadata_call(str(ddo["nftAddress"]), arguments))
    return sent.tx_id


def metadata_call(nft: str, arguments: list[Any]) -> Call:
    """Give the call that puts a document on chain."""
    return Call("put the DDO on chain", nft, SET_METADATA, arguments, _METADATA_GAS)


def handover_call(nft: str, owner: str, to: str) -> Call:
    """Give the call that hands an asset over: its new owner has every right to it, and all others lose theirs."""
    return Call("hand the asset over", nft, _TRANSFER, [owner, to, 1], _TRANSFER_GAS)


def state_call(nft: str, state: int) -> Call:
    """Give the call that sets an NFT's state: 0 active, 1 end of life, 2 deprecated, 3 revoked, 5 unlisted."""
    return Call(f"set the asset's state to {state}", nft, _SET_STATE, [state], _STATE_GAS)


async def cost(wallet: Wallet, calls: list[Call]) -> list[tuple[Call, int, bool]]:
    """Give each call with the gas that it takes, and whether that is what the node says; else it is the usual."""
    found = []
    for call in calls:
        try:
            found.append((call, await wallet.estimate(call.to, call.function, call.arguments), True))
        except MarketError:  # what it stands upon is not there yet
            found.append((call, call.usual_gas, False))
    return found


def fingerprint(draft: AssetDraft) -> str:
    """Give a digest of all that a draft says, its file lists included."""
    # What is empty in most drafts is left out, so that journals of earlier versions stay good.
    said = {name: value for name, value in asdict(draft).items() if value or name not in _LATER}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


async def _listed(wallet: Wallet, factory: str, function: str) -> str:
    (router,) = await wallet.call(factory, "router()", [], "(address)")
    (contracts,) = await wallet.call(router, function, [], "(address[])")
    if not contracts:
        raise MarketError(f"This chain's router of Ocean lists no contract under {function}.")
    return str(contracts[0])


def _bytes(ddo: Mapping[str, Any]) -> bytes:
    return json.dumps(ddo, separators=(",", ":")).encode()
