"""Reads what the index of assets needs out of the logs of blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from cove.core.indexed import (
    At,
    ChainEvent,
    Described,
    NftMade,
    Ordered,
    OwnerChanged,
    RateSet,
    SoldAt,
    StateChanged,
    TokenMade,
)
from cove.ledgers import abi
from cove.ledgers.receipts import time_of
from cove.ledgers.rpc import RpcError
from cove.ports import Block

_BLOCKS_PER_QUERY: Final = 10_000
_FIRST_TOKEN: Final = "0x" + f"{1:064x}"
_MAX_BLOCK: Final = 2**63 - 1

# Two questions: of all transfers on a chain, only those of first tokens can be of a data NFT.
_FILTERS: Final = (
    [
        [
            event.topic
            for event in (
                abi.NFT_CREATED,
                abi.TOKEN_CREATED,
                abi.METADATA_CREATED,
                abi.METADATA_UPDATED,
                abi.METADATA_STATE,
                abi.ORDER_STARTED,
                abi.NEW_FIXED_RATE,
                abi.NEW_DISPENSER,
                abi.EXCHANGE_CREATED,
                abi.EXCHANGE_RATE_CHANGED,
                abi.EXCHANGE_ACTIVATED,
                abi.EXCHANGE_DEACTIVATED,
                abi.DISPENSER_ACTIVATED,
                abi.DISPENSER_DEACTIVATED,
            )
        ]
    ],
    [[abi.NFT_TRANSFER.topic], None, None, [_FIRST_TOKEN]],
)

Call = Callable[..., Awaitable[object]]
"""Calls a JSON-RPC method with its params."""


async def read_block(call: Call, number: int | None) -> Block | None:
    """Give a block's header; None when the chain has no such block."""
    found = await call("eth_getBlockByNumber", "latest" if number is None else hex(number), False)  # noqa: FBT003 - JSON-RPC
    if found is None:
        return None
    header = abi.record(found)
    given = abi.quantity(header.get("number"))
    if given > _MAX_BLOCK or number not in {None, given}:
        raise abi.BadAnswer("another block than was asked for")
    names = ["0x" + abi.raw(header.get(name), 32).hex() for name in ("hash", "parentHash")]
    return Block(given, names[0], names[1], time_of(header))


async def read_range(call: Call, factory: str, first: int, last: int) -> Sequence[ChainEvent]:
    """Give the events of a range of blocks, asked for in smaller parts where a node finds one too large."""
    found: list[ChainEvent] = []
    step, start = _BLOCKS_PER_QUERY, first
    while start <= last:
        end = min(start + step - 1, last)
        try:
            logs = await _logs(call, {"fromBlock": hex(start), "toBlock": hex(end)})
        except RpcError:
            if step == 1:
                raise
            step = max(1, step // 10)
            continue
        found.extend(_events(logs, factory))
        start = end + 1
    return sorted(found, key=lambda event: (event.at.block, event.at.log))


async def read_one(call: Call, factory: str, block: Block) -> Sequence[ChainEvent]:
    """Give the events of one very block.

    Raises:
        RpcError: The node does not know it.
        BadAnswer: It gave logs of another one.
    """
    events = _events(await _logs(call, {"blockHash": block.hash}), factory)
    if any(event.at.block_hash != block.hash or event.at.block != block.number for event in events):
        raise abi.BadAnswer("logs of another block than was asked for")
    return sorted(events, key=lambda event: event.at.log)


async def _logs(call: Call, where: Mapping[str, str]) -> list[Mapping[str, Any]]:
    asked = [call("eth_getLogs", {**where, "topics": topics}) for topics in _FILTERS]
    return [log for answer in await asyncio.gather(*asked) for log in abi.logs(answer)]


def _events(logs: Sequence[Mapping[str, Any]], factory: str) -> list[ChainEvent]:
    return [event for log in logs if not log.get("removed") and (event := asset_event(log, factory)) is not None]


def asset_event(log: Mapping[str, Any], factory: str) -> ChainEvent | None:
    """Give what a log says of an asset; None when that is nothing, or when another factory says it made something.

    Raises:
        BadAnswer: The node left out where the log stands.
    """
    reader = _READERS.get(log["topics"][0].lower() if log["topics"] else "")
    if reader is None:
        return None
    event, made = reader
    fields = event.read(log)
    if fields is None:
        return None
    contract = abi.checksum(log["address"])
    if event in _OF_THE_FACTORY and contract.lower() != factory.lower():
        return None
    at = At(
        abi.quantity(log.get("blockNumber")),
        "0x" + abi.raw(log.get("blockHash"), 32).hex(),
        abi.quantity(log["logIndex"]),
        "0x" + abi.raw(log.get("transactionHash"), 32).hex(),
    )
    return made(at, contract, fields)


def _described(at: At, contract: str, fields: Mapping[str, Any]) -> ChainEvent:
    return Described(
        at=at,
        nft=contract,
        sender=fields.get("createdBy") or fields["updatedBy"],
        state=fields["state"],
        flags=int.from_bytes(fields["flags"][:1]),
        data=fields["data"],
        metadata_hash=fields["metaDataHash"],
        timestamp=min(fields["timestamp"], _MAX_BLOCK),
    )


def _exchange(fields: Mapping[str, Any]) -> str:
    return "0x" + str(fields["exchangeId"].hex())


_Made = Callable[[At, str, Mapping[str, Any]], ChainEvent]

_OF_THE_FACTORY: Final = (abi.NFT_CREATED, abi.TOKEN_CREATED)
_READERS: Final[Mapping[str, tuple[abi.Event, _Made]]] = {
    event.topic: (event, made)
    for event, made in (
        (
            abi.NFT_CREATED,
            lambda at, _, f: NftMade(at, f["newTokenAddress"], f["tokenName"], f["symbol"], f["tokenURI"]),
        ),
        (
            abi.TOKEN_CREATED,  # its creator is the NFT that asked for it
            lambda at, _, f: TokenMade(at, f["creator"], f["newTokenAddress"], f["name"], f["symbol"]),
        ),
        (abi.METADATA_CREATED, _described),
        (abi.METADATA_UPDATED, _described),
        (abi.METADATA_STATE, lambda at, contract, f: StateChanged(at, contract, f["state"])),
        (abi.NFT_TRANSFER, lambda at, contract, f: OwnerChanged(at, contract, f["to"])),
        (abi.ORDER_STARTED, lambda at, contract, _: Ordered(at, contract)),
        (
            abi.NEW_FIXED_RATE,
            lambda at, contract, f: SoldAt(at, contract, f["exchangeContract"], _exchange(f), f["baseToken"]),
        ),
        (abi.NEW_DISPENSER, lambda at, contract, f: SoldAt(at, contract, f["dispenserContract"])),
        (
            abi.EXCHANGE_CREATED,
            lambda at, contract, f: RateSet(at, contract, _exchange(f), rate=f["fixedRate"], token=f["datatoken"]),
        ),
        (abi.EXCHANGE_RATE_CHANGED, lambda at, contract, f: RateSet(at, contract, _exchange(f), rate=f["newRate"])),
        (abi.EXCHANGE_ACTIVATED, lambda at, contract, f: RateSet(at, contract, _exchange(f), active=True)),
        (abi.EXCHANGE_DEACTIVATED, lambda at, contract, f: RateSet(at, contract, _exchange(f), active=False)),
        (
            abi.DISPENSER_ACTIVATED,
            lambda at, contract, f: RateSet(at, contract, "", active=True, token=f["datatokenAddress"]),
        ),
        (
            abi.DISPENSER_DEACTIVATED,
            lambda at, contract, f: RateSet(at, contract, "", active=False, token=f["datatokenAddress"]),
        ),
    )
}
