"""A wallet: signs transactions, sends them, waits for them, and says plainly what went wrong."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import rlp  # type: ignore[import-untyped]  # it has no annotations
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.grammar import TupleType, parse
from eth_hash.auto import keccak

from cove.client import nodewords
from cove.client.errors import KeyMissing
from cove.client.signing import Signer, checksum_address

_V_OFFSET: Final = 27
#: Nodes replace a transaction that waits by one that pays an eighth more.
_RAISE_EIGHTHS: Final = 9
_FIRST_POLL_SECONDS: Final = 0.02
_LONGEST_POLL_SECONDS: Final = 2.0


class MarketError(Exception):
    """What was asked of the chain cannot be done; the text is one sentence for people."""


class Transport(Protocol):
    """Sends one JSON-RPC body to a node and gives its answer; ``DevChain`` and ``HttpRpc`` of ``cove.ledgers`` do."""

    async def exchange(self, body: Mapping[str, object]) -> object:
        """Give the node's whole answer, parsed."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that was mined and succeeded."""

    #: ``0x`` and 64 hex digits.
    tx_id: str
    block_number: int
    #: As JSON-RPC gives them.
    logs: tuple[Mapping[str, Any], ...]
    #: The contract that it deployed, checksummed; None for other transactions.
    contract: str | None


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction that is signed, and perhaps sent."""

    tx_id: str
    #: What a node takes, ``0x`` hex.
    raw: str
    nonce: int


Allow = Callable[[int, int], None]
"""Called with the nonce of a transaction that is about to be signed and the most that it can cost, wei; may raise."""


class Wallet:
    """An account on one chain. It prints its address and nothing else.

    Args:
        private_key: ``0x`` and 64 hex digits.
        rpc: The chain's node.
        patience: Seconds to wait for a transaction to be mined.
        allow: Asked before :meth:`prepare` signs; None allows everything.

    Raises:
        MarketError: The key is none.
    """

    def __init__(
        self, private_key: str, rpc: Transport, *, patience: float = 120.0, allow: Allow | None = None
    ) -> None:
        try:
            self._signer = Signer(private_key)
        except KeyMissing:
            raise MarketError("The private key is not 0x and 64 hex digits of the secp256k1 curve.") from None
        #: Checksummed.
        self.address: str = self._signer.address
        self._rpc = rpc
        self._patience = patience
        self._allow = allow
        self._ids = itertools.count(1)
        self._chain_id: int | None = None
        self._sending = asyncio.Lock()

    async def chain_id(self) -> int:
        """Give the chain's id."""
        if self._chain_id is None:
            self._chain_id = int(str(await self._ask("eth_chainId")), 16)
        return self._chain_id

    async def balance(self) -> int:
        """Give what the account owns of the chain's own coin, wei."""
        return int(str(await self._ask("eth_getBalance", self.address, "latest")), 16)

    async def call(self, to: str, function: str, arguments: Sequence[Any], returns: str) -> tuple[Any, ...]:
        """Ask a contract.

        Args:
            to: Its address.
            function: Signature (``balanceOf(address)``).
            arguments: In its order.
            returns: Types of what it gives (``(uint256)``).

        Raises:
            MarketError: It refused, or there is no such contract.
        """
        data = encode_call(function, arguments)
        result = await self._ask("eth_call", {"from": self.address, "to": to, "data": _hex(data)}, "latest")
        try:
            return tuple(decode(_types(returns), bytes.fromhex(str(result).removeprefix("0x"))))
        except (DecodingError, ValueError):
            raise MarketError(f"At {to} is no contract that answers {function}.") from None

    async def transact(self, to: str, function: str, arguments: Sequence[Any], *, gas: int | None = None) -> Sent:
        """Call a function of a contract in a transaction, and wait until it is mined.

        Args:
            to: The contract.
            function: Signature.
            arguments: In its order.
            gas: Limit; None asks the node, which refuses at once what would revert.

        Raises:
            MarketError: It was refused or reverted; the text holds the contract's reason.
        """
        return await self.send(to, encode_call(function, arguments), gas=gas)

    async def deploy(
        self, bytecode: bytes, constructor: str, arguments: Sequence[Any], *, gas: int | None = None
    ) -> str:
        """Deploy a contract and give its checksummed address.

        Args:
            bytecode: Its creation code.
            constructor: Types of its arguments (``(address,uint256)``).
            arguments: In that order.
            gas: Limit; None asks the node.

        Raises:
            MarketError: It was refused or reverted.
        """
        sent = await self.send(None, bytecode + encode(_types(constructor), list(arguments)), gas=gas)
        if sent.contract is None:
            raise MarketError("The node named no address for the contract that was deployed.")
        return sent.contract

    async def send(self, to: str | None, data: bytes, *, gas: int | None = None, value: int = 0) -> Sent:
        """Send a transaction and wait until it is mined.

        Args:
            to: Contract or account; None deploys ``data``.
            data: Call data.
            gas: Limit; None asks the node.
            value: Wei to hand over.

        Raises:
            MarketError: It was refused, reverted, or not mined in time.
        """
        draft: dict[str, Any] = {"from": self.address, "data": _hex(data), "value": hex(value)}
        if to is not None:
            draft["to"] = _checked(to)
        async with self._sending:
            signed = await self._signed(draft, gas)
            await self._ask("eth_sendRawTransaction", signed.raw)
        receipt = await self._mined(signed)
        if receipt.get("status") != "0x1":
            await self._ask("eth_call", draft, receipt["blockNumber"])  # says why
        return self._sent(receipt)

    async def prepare(self, to: str, data: bytes) -> Signed:
        """Sign a call of a contract, and send nothing.

        Raises:
            MarketError: The contract would refuse it.
        """
        draft = {"from": self.address, "data": _hex(data), "value": "0x0", "to": _checked(to)}
        return await self._signed(draft, None, self._allow)

    async def deliver(self, signed: Signed) -> Sent:
        """Send what was signed, and wait until it is mined.

        Raises:
            MarketError: It was refused, reverted, or not mined in time.
        """
        await self._ask("eth_sendRawTransaction", signed.raw)
        return self._sent(await self._mined(signed))

    async def settle(self, *signed: Signed, keep: Callable[[Signed], None] | None = None) -> Sent | None:
        """Bring what was signed before to its end; None when it was reverted, or can never be mined.

        Args:
            signed: Transactions of one nonce that do the same, of which one can be mined; the newest last.
            keep: Given one that does the same for more, before it is sent in place of those that wait while gas has
                become dearer; None sends the newest again as it is.

        Raises:
            MarketError: The node refused it, or it was not mined in time.
        """
        newest = signed[-1]
        used = await self._used_nonces() > newest.nonce
        receipt = await self._receipt(signed)
        if receipt is None:
            if not used:
                if keep is not None and (raised := await self._raised(newest)) is not None:
                    keep(raised)
                    signed = (*signed, raised)
                await self._send_again(signed[-1])
            # A node may know a mined transaction before it finds its receipt.
            elif not await self._knows(signed):
                return None  # another one used the nonce: these can never be mined
            receipt = await self._mined(*signed)
        return self._sent(receipt) if receipt.get("status") == "0x1" else None

    async def look(self, *signed: Signed) -> Sent | None:
        """Give the one of some transactions that was mined and succeeded, and send nothing; None for none."""
        receipt = await self._receipt(signed)
        return None if receipt is None or receipt.get("status") != "0x1" else self._sent(receipt)

    async def _raised(self, signed: Signed) -> Signed | None:
        """Give a transaction at a price that a node takes in its place; None where gas costs no more than it pays."""
        _, old, limit, to, value, data = rlp.decode(_raw(signed.raw))[:6]
        price, before = await self.gas_price(), int.from_bytes(old)
        if price <= before:
            return None
        price = max(price, before * _RAISE_EIGHTHS // 8 + 1)
        if self._allow is not None:
            self._allow(signed.nonce, int.from_bytes(limit) * price)
        fields = [signed.nonce, price, int.from_bytes(limit), to, int.from_bytes(value), data]
        return self._with_signature(fields, await self.chain_id(), signed.nonce)

    async def _receipt(self, signed: Sequence[Signed]) -> Mapping[str, Any] | None:
        for one in reversed(signed):
            receipt = await self._ask("eth_getTransactionReceipt", one.tx_id)
            if isinstance(receipt, Mapping):
                return receipt
        return None

    async def _knows(self, signed: Sequence[Signed]) -> bool:
        for one in signed:
            if await self._ask("eth_getTransactionByHash", one.tx_id) is not None:
                return True
        return False

    async def _send_again(self, signed: Signed) -> None:
        try:
            await self._ask("eth_sendRawTransaction", signed.raw)
        except MarketError as problem:
            if not nodewords.is_taken(str(problem)):
                raise

    async def estimate(self, to: str, function: str, arguments: Sequence[Any]) -> int:
        """Give the gas that a call would take now.

        Raises:
            MarketError: It would be refused now.
        """
        draft = {"from": self.address, "to": _checked(to), "data": _hex(encode_call(function, arguments))}
        return int(str(await self._ask("eth_estimateGas", draft)), 16)

    async def gas_price(self) -> int:
        """Give what the node says that gas costs, wei."""
        return int(str(await self._ask("eth_gasPrice")), 16)

    def sign_text(self, text: str) -> str:
        """Sign a text as the Provider API's requests are signed: the personal message over its keccak, ``0x`` hex."""
        return self._signer.sign(text)

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    @staticmethod
    def _sent(receipt: Mapping[str, Any]) -> Sent:
        tx_id = str(receipt["transactionHash"])
        if receipt.get("status") != "0x1":
            raise MarketError(f"Transaction {tx_id} was reverted.")
        contract = receipt.get("contractAddress")
        made = _checked(contract) if contract else None
        return Sent(tx_id, int(receipt["blockNumber"], 16), tuple(receipt["logs"]), made)

    async def _used_nonces(self) -> int:
        return int(str(await self._ask("eth_getTransactionCount", self.address, "latest")), 16)

    async def _signed(self, draft: Mapping[str, Any], gas: int | None, allow: Allow | None = None) -> Signed:
        limit = gas if gas is not None else int(int(str(await self._ask("eth_estimateGas", draft)), 16) * 1.2)
        nonce = int(str(await self._ask("eth_getTransactionCount", self.address, "pending")), 16)
        price = await self.gas_price()
        if allow is not None:
            allow(nonce, limit * price)
        fields: list[int | bytes] = [
            nonce,
            price,
            limit,
            _raw(draft.get("to", "0x")),
            int(draft["value"], 16),
            _raw(draft["data"]),
        ]
        return self._with_signature(fields, await self.chain_id(), nonce)

    def _with_signature(self, fields: list[int | bytes], chain_id: int, nonce: int) -> Signed:
        """Sign the fields of a transaction for one chain (EIP-155)."""
        signature = self._signer.sign_digest(keccak(rlp.encode([*fields, chain_id, 0, 0])))
        r, s = (int.from_bytes(signature[start : start + 32]) for start in (0, 32))
        raw = rlp.encode([*fields, chain_id * 2 + 35 + signature[64] - _V_OFFSET, r, s])
        return Signed(_hex(keccak(raw)), _hex(raw), nonce)

    async def _mined(self, *signed: Signed) -> Mapping[str, Any]:
        deadline = time.monotonic() + self._patience
        pause = _FIRST_POLL_SECONDS
        while (receipt := await self._receipt(signed)) is None:
            if time.monotonic() > deadline:
                waited = f"within {self._patience:g} s: run this again to go on waiting for it."
                raise MarketError(f"Transaction {signed[-1].tx_id} was not mined {waited}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_POLL_SECONDS)
        return receipt

    async def _ask(self, method: str, *params: object) -> object:
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        answer = await self._rpc.exchange(body)
        if isinstance(answer, Mapping) and answer.get("error") is None and "result" in answer:
            return answer["result"]
        error = answer.get("error") if isinstance(answer, Mapping) else None
        if not isinstance(error, Mapping):
            raise MarketError(f"The chain's node did not answer {method} in JSON-RPC.")
        raise MarketError(nodewords.explain(method, error))


@lru_cache(maxsize=256)
def _types(signature: str) -> tuple[str, ...]:
    """Give the types that stand in the outer parentheses of a signature."""
    inner = signature[signature.index("(") :]
    if inner == "()":
        return ()
    kind = parse(inner)
    if not isinstance(kind, TupleType):
        raise TypeError(f"{signature} has no list of types")
    return tuple(part.to_type_str() for part in kind.components)


def encode_call(function: str, arguments: Sequence[Any]) -> bytes:
    """Give the call data of a function.

    Args:
        function: Signature (``approve(address,uint256)``).
        arguments: In its order.

    Raises:
        MarketError: An argument does not fit its type.
    """
    try:
        return bytes(keccak(function.encode()))[:4] + encode(_types(function), list(arguments))
    except (EncodingError, ValueError, TypeError, OverflowError) as problem:
        raise MarketError(f"The arguments do not fit {function}: {problem}") from None


def _checked(address: object) -> str:
    return checksum_address(_raw(str(address)))


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
