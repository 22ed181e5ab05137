"""Transactions of the provider's account that are sent until one is mined, and never paid for twice.

A transaction is written down by its caller before it is sent, so that the same one is sent again after an interruption.
One that waits too long is replaced, under the same nonce, by one that pays more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_hash.auto import keccak

from cove.core.errors import Refused
from cove.core.proof import Sent
from cove.core.transaction import Transaction
from cove.ledgers import abi
from cove.ledgers.rpc import Rpc, RpcError
from cove.ports import Vault

_GAS_MARGIN: Final = 1.2
#: Nodes replace a transaction that waits for one that pays an eighth more.
_RAISE: Final = 1.125
_MOST_RAISES: Final = 5
_REVERTED: Final = 3
_LONGEST_WORDS: Final = 200
#: How nodes say that they have this very transaction, or that its nonce was used; the next look finds out which.
_HAS_IT: Final = ("already known", "known transaction", "already imported", "nonce too low", "nonce is too low")

Finished = Callable[[], Awaitable[bool]]
"""Says whether what the transactions are for is done."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a transaction is waited for, in seconds."""

    #: Between two looks.
    poll: float = 5.0
    #: Until one that is not mined is replaced by one that pays more.
    replace_after: float = 90.0
    #: Until each further look counts as an attempt that failed.
    quiet: float = 900.0


USUAL: Final = Patience()
"""For chains as they are."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a transaction is to call."""

    #: Address of the contract.
    to: str
    data: bytes


class Outbox:
    """Signs and sends transactions of one account on one chain.

    Args:
        rpc: The chain's node.
        chain_id: Of the chain.
        vault: Whose account sends and pays.
        now: Gives the Unix time.
        patience: How long to wait for what.
    """

    def __init__(
        self, rpc: Rpc, chain_id: int, vault: Vault, now: Callable[[], float], patience: Patience = USUAL
    ) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._vault = vault
        self._now = now
        self.patience = patience

    async def ready(self, sent: tuple[Sent, ...], order: Order, is_done: Finished) -> tuple[Sent, ...]:
        """Give the transactions with the one that is to be sent now at the end; the very same tuple where it is there.

        Args:
            sent: What was signed for this order before, the newest last.
            order: What they call.
            is_done: Asked when another program has taken their nonce.

        Raises:
            Refused: The contract would refuse it.
            RpcError: The node refuses to say something.
            Unavailable: The node does not answer.
        """
        if not sent:
            return await self._begun(order)
        newest = sent[-1]
        if await self._count("latest") > newest.nonce:
            # Mined, but none of ours: another program used the account, and took the nonce.
            return sent if await is_done() else await self._begun(order)
        if self._now() - newest.at < self.patience.replace_after or len(sent) > _MOST_RAISES:
            return sent
        price = await self._gas_price()
        if await self._is_waiting(sent):
            price = max(price, int(max(one.gas_price for one in sent) * _RAISE) + 1)
        if price == newest.gas_price:  # the node never took it, or lost it: it goes out again as it is
            return sent
        return (*sent, await self._signed(order, newest.nonce, price))

    async def send(self, sent: Sent) -> None:
        """Send a transaction; a node that has it already is content.

        Raises:
            RpcError: The node does not take it.
            Unavailable: The node does not answer.
        """
        try:
            await self._rpc.call("eth_sendRawTransaction", [sent.raw])
        except RpcError as problem:
            if not any(words in problem.message.lower() for words in _HAS_IT):
                raise

    async def mined(self, sent: Sequence[Sent]) -> tuple[Sent, Mapping[str, Any]] | None:
        """Give the one of some transactions that is mined, with its receipt; None as long as none is."""
        for one in sent:
            receipt = await self._rpc.call("eth_getTransactionReceipt", [one.tx_id])
            if receipt is not None:
                return one, abi.record(receipt)
        return None

    async def _begun(self, order: Order) -> tuple[Sent, ...]:
        return (await self._signed(order, await self._count("pending"), await self._gas_price()),)

    async def _signed(self, order: Order, nonce: int, gas_price: int) -> Sent:
        gas = await self._gas(order)
        draft = Transaction(self._chain_id, nonce, gas_price, gas, order.to, order.data)
        raw = draft.signed(*self._vault.sign_transaction(draft.unsigned()))
        return Sent("0x" + keccak(raw).hex(), "0x" + raw.hex(), nonce, gas_price, self._now())

    async def _gas(self, order: Order) -> int:
        request = {"from": self._vault.address, "to": order.to, "data": "0x" + order.data.hex()}
        try:
            return int(abi.quantity(await self._rpc.call("eth_estimateGas", [request])) * _GAS_MARGIN)
        except RpcError as problem:
            if problem.code == _REVERTED or problem.revert or "revert" in problem.message.lower():
                raise Refused("transaction", f"the contract refuses it: {words(problem)}") from None
            raise

    async def _is_waiting(self, sent: Sequence[Sent]) -> bool:
        """Say whether the node holds one of some transactions."""
        for one in sent:
            if await self._rpc.call("eth_getTransactionByHash", [one.tx_id]) is not None:
                return True
        return False

    async def _count(self, at: str) -> int:
        return abi.quantity(await self._rpc.call("eth_getTransactionCount", [self._vault.address, at]))

    async def _gas_price(self) -> int:
        return abi.quantity(await self._rpc.call("eth_gasPrice", []))


def words(problem: RpcError) -> str:
    """Give what a node said, as far as it can be shown."""
    text = problem.message[:_LONGEST_WORDS]
    return text if text.isprintable() else f"code {problem.code}"
