"""Receipts of one chain, with a memory that a reorganisation of the chain cannot mislead.

A mined transaction's receipt never changes as long as its block stays in the chain. So every receipt that was read is
remembered, and what is asked for again is not the receipt but whether its block still stands:

- while the chain's newest block is the one at which that was seen last, nothing is asked;
- when there is a newer one, the hash of the block at the receipt's height is compared, one small call for all receipts
  of that block;
- once it is :data:`FINAL_BLOCKS` deep (or as deep as the owner's ``confirmations``, where these are more), it stands
  for good and nothing is asked ever again.

The newest block itself is asked for at most once in :data:`HEAD_SECONDS`, by all requests together, unless a
receipt would be too young with the one that is known.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from cove.core.order import OrderReused, OrderStarted, ProviderFeePaid, Receipt, TokenTransfer
from cove.ledgers import abi
from cove.ledgers.events import Recover, event_of

WAIT_SECONDS: Final = 3.0
"""How long a transaction that the chain knows and has not mined is waited for."""
HEAD_SECONDS: Final = 1.0
"""How long the newest block is taken for the newest."""
FINAL_BLOCKS: Final = 64
"""Depth from which a block is taken to stay: two epochs of Ethereum. ``confirmations`` raises it for other chains."""

_POLL_SECONDS: Final = 0.25
_REMEMBERED_LOGS: Final = 50_000
_REMEMBERED_BLOCKS: Final = 10_000
_LARGEST_RECEIPT_LOGS: Final = 10_000
_LATEST_TIME: Final = 2**53

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's newest block, when it was asked for."""

    number: int
    #: Unix time.
    time: int
    #: ``0x`` hex.
    hash: str
    #: In the seconds of the clock.
    asked_at: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """A receipt, and the newest block at which its own block stood."""

    receipt: Receipt
    block_hash: str
    head_hash: str


class Receipts:
    """Reads receipts, and remembers them.

    Args:
        call: Calls a JSON-RPC method with its params.
        recover: Finds who signed a provider fee.
        monotonic: Gives seconds.
        confirmations: How deep an order must be; the newest block is asked for anew where a receipt seems less deep.
    """

    def __init__(
        self,
        call: Callable[..., Awaitable[object]],
        *,
        recover: Recover,
        monotonic: Callable[[], float],
        confirmations: int,
    ) -> None:
        self._call = call
        self._recover = recover
        self._monotonic = monotonic
        self._confirmations = confirmations
        self._final = max(FINAL_BLOCKS, confirmations)
        self._head: Head | None = None
        self._asking_head = asyncio.Lock()
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._logs = 0
        self._block_times: OrderedDict[str, int] = OrderedDict()
        #: Hash of the block at a height, as it was when the second hash was the newest block's.
        self._standing: OrderedDict[int, tuple[str, str]] = OrderedDict()

    async def facts(self, tx_id: str) -> Receipt | None:
        """Give the facts of a mined transaction; None when the chain does not know it, or does not mine it in time."""
        known = self._seen.get(tx_id)
        if known is not None:
            self._seen.move_to_end(tx_id)
            if known.receipt.confirmations >= self._final:
                return known.receipt
            head = await self._head_above(known.receipt.block_number)
            if await self._stands(known, head):
                return self._remember(known, head)
            self._forget(tx_id)
        body = await self.mined(tx_id)
        if body is None:
            return None
        number = abi.quantity(body.get("blockNumber"))
        block_hash = "0x" + abi.raw(body.get("blockHash"), 32).hex()
        # The head after the receipt: a block that is newer than both is seen as such at the next look.
        told = _time_in(body)
        if told is None:
            head, block_time = await asyncio.gather(self._head_above(number), self._block_time(block_hash))
        else:
            head, block_time = await self._head_above(number), told
        receipt = self._receipt_of(tx_id, body, number, block_time)
        return self._remember(_Seen(receipt, block_hash, ""), head)

    async def mined(self, tx_id: str) -> Mapping[str, Any] | None:
        """Give a transaction's receipt; wait for a short time only where the chain knows the transaction."""
        deadline = self._monotonic() + WAIT_SECONDS
        while True:
            body = await self._call("eth_getTransactionReceipt", tx_id)
            if body is not None:
                found = abi.record(body)
                if str(found.get("transactionHash")).lower() != tx_id:
                    raise abi.BadAnswer("a receipt of another transaction")
                return found
            if await self._call("eth_getTransactionByHash", tx_id) is None or self._monotonic() >= deadline:
                return None
            await asyncio.sleep(_POLL_SECONDS)

    async def head(self, not_before: float | None = None) -> Head:
        """Give the newest block; those who ask at the same time share one call.

        Args:
            not_before: The clock's time after which it must have been asked for; None: now.
        """
        wanted = self._monotonic() if not_before is None else not_before
        async with self._asking_head:
            if self._head is not None and self._head.asked_at > wanted:
                return self._head
            asked_at = self._monotonic()
            block = abi.record(await self._call("eth_getBlockByNumber", "latest", False))  # noqa: FBT003 - JSON-RPC
            name = "0x" + abi.raw(block.get("hash"), 32).hex()
            self._head = Head(abi.quantity(block.get("number")), time_of(block), name, asked_at)
            return self._head

    async def _head_above(self, number: int) -> Head:
        """Give the newest block of the last second, if a block of this number is deep enough below it."""
        head = await self.head(self._monotonic() - HEAD_SECONDS)
        if _depth(number, head) >= self._confirmations:
            return head
        return await self.head()

    async def _stands(self, known: _Seen, head: Head) -> bool:
        """Say whether a receipt's block is still part of the chain."""
        if head.hash == known.head_hash:
            return True
        number = known.receipt.block_number
        block_hash, at = self._standing.get(number, ("", ""))
        if at != head.hash:
            block = await self._call("eth_getBlockByNumber", hex(number), False)  # noqa: FBT003 - JSON-RPC
            block_hash = "" if block is None else "0x" + abi.raw(abi.record(block).get("hash"), 32).hex()
            keep(self._standing, number, (block_hash, head.hash), _REMEMBERED_BLOCKS)
        return block_hash == known.block_hash

    async def _block_time(self, name: str) -> int:
        """Give the time of a block; it is asked for by hash, which cannot change its meaning."""
        known = self._block_times.get(name)
        if known is not None:
            return known
        found = time_of(abi.record(await self._call("eth_getBlockByHash", name, False)))  # noqa: FBT003 - JSON-RPC
        keep(self._block_times, name, found, _REMEMBERED_BLOCKS)
        return found

    def _receipt_of(self, tx_id: str, body: Mapping[str, Any], number: int, block_time: int) -> Receipt:
        entries = abi.logs(body.get("logs"))
        if len(entries) > _LARGEST_RECEIPT_LOGS:
            raise abi.BadAnswer("a receipt with too many logs")
        events = [event_of(entry, self._recover) for entry in entries]
        return Receipt(
            tx_id=tx_id,
            succeeded=body.get("status") == "0x1",
            block_number=number,
            block_time=block_time,
            confirmations=0,
            sender=abi.checksum(str(body.get("from"))),
            orders=tuple(event for event in events if isinstance(event, OrderStarted)),
            reuses=tuple(event for event in events if isinstance(event, OrderReused)),
            fees=tuple(event for event in events if isinstance(event, ProviderFeePaid)),
            transfers=tuple(event for event in events if isinstance(event, TokenTransfer)),
        )

    def _remember(self, seen: _Seen, head: Head) -> Receipt:
        receipt = replace(seen.receipt, confirmations=_depth(seen.receipt.block_number, head))
        self._forget(receipt.tx_id)
        self._seen[receipt.tx_id] = _Seen(receipt, seen.block_hash, head.hash)
        self._logs += _weight(receipt)
        while self._logs > _REMEMBERED_LOGS:
            self._forget(next(iter(self._seen)))
        return receipt

    def _forget(self, tx_id: str) -> None:
        gone = self._seen.pop(tx_id, None)
        if gone is not None:
            self._logs -= _weight(gone.receipt)


def time_of(block: Mapping[str, Any]) -> int:
    """Give a block's Unix time."""
    return _time(block.get("timestamp"))


def _time(quantity: object) -> int:
    found = abi.quantity(quantity)
    if found > _LATEST_TIME:
        raise abi.BadAnswer("a time was expected")
    return found


def _time_in(receipt: Mapping[str, Any]) -> int | None:
    """Give the time of a receipt's block where the node writes it beside the logs; None where it does not.

    The field is ``blockTimestamp`` of a log in Ethereum's execution API. Nodes that are older leave it out.
    """
    logs = receipt.get("logs")
    first = logs[0] if isinstance(logs, list) and logs else None
    found = first.get("blockTimestamp") if isinstance(first, dict) else None
    return None if found is None else _time(found)


def keep(cache: OrderedDict[_K, _V], key: _K, value: _V, limit: int) -> None:
    """Remember a value as the newest; the oldest go where there are more than the limit."""
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > limit:
        cache.popitem(last=False)


def _depth(number: int, head: Head) -> int:
    return max(0, head.number - number + 1)


def _weight(receipt: Receipt) -> int:
    """Count what a receipt holds, so that one with ten thousand logs counts for what it takes."""
    return 10 + len(receipt.orders) + len(receipt.reuses) + len(receipt.fees) + len(receipt.transfers)
