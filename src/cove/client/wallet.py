"""A wallet: signs transactions, sends them, waits for them, and says plainly what went wrong."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.grammar import TupleType, parse
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

_RECURSION_LIMIT: Final = 1000
# Python's own default. eth_account's py_ecc raises it to 100,000 for the whole process, and then a server's JSON nested
# deep enough overflows the C stack and ends the process, where it should be a RecursionError.
sys.setrecursionlimit(_RECURSION_LIMIT)

_REVERT_TEXT: Final = bytes.fromhex("08c379a0")
_REVERT_PANIC: Final = bytes.fromhex("4e487b71")
#: How nodes say that an account is too poor: geth and anvil, hardhat, py-evm.
_NO_COIN: Final = ("insufficient", "sender does not have enough", "doesn't have enough", "cannot afford")
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


class Wallet:
    """An account on one chain. It prints its address and nothing else.

    Args:
        private_key: ``0x`` and 64 hex digits.
        rpc: The chain's node.
        patience: Seconds to wait for a transaction to be mined.

    Raises:
        MarketError: The key is none.
    """

    def __init__(self, private_key: str, rpc: Transport, *, patience: float = 120.0) -> None:
        try:
            self._account = Account.from_key(private_key)
        except ValueError:
            raise MarketError("The private key is not 0x and 64 hex digits of the secp256k1 curve.") from None
        #: Checksummed.
        self.address: str = self._account.address
        self._rpc = rpc
        self._patience = patience
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
            draft["to"] = to_checksum_address(to)
        async with self._sending:
            tx_id = str(await self._ask("eth_sendRawTransaction", await self._sign(draft, gas)))
        receipt = await self._mined(tx_id)
        if receipt.get("status") != "0x1":
            await self._ask("eth_call", draft, receipt["blockNumber"])  # says why
            raise MarketError(f"Transaction {tx_id} was reverted.")
        contract = receipt.get("contractAddress")
        return Sent(
            tx_id,
            int(receipt["blockNumber"], 16),
            tuple(receipt["logs"]),
            to_checksum_address(contract) if contract else None,
        )

    def sign_text(self, text: str) -> str:
        """Sign a text as the Provider API's requests are signed: the personal message over its keccak, ``0x`` hex."""
        signed = self._account.sign_message(encode_defunct(keccak(text.encode())))
        return _hex(bytes(signed.signature))

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    async def _sign(self, draft: Mapping[str, Any], gas: int | None) -> str:
        limit = gas if gas is not None else int(int(str(await self._ask("eth_estimateGas", draft)), 16) * 1.2)
        fields: dict[str, Any] = {
            "chainId": await self.chain_id(),
            "nonce": int(str(await self._ask("eth_getTransactionCount", self.address, "pending")), 16),
            "gas": limit,
            "gasPrice": int(str(await self._ask("eth_gasPrice")), 16),
            "value": int(draft["value"], 16),
            "data": draft["data"],
        }
        if "to" in draft:
            fields["to"] = draft["to"]
        return _hex(bytes(self._account.sign_transaction(fields).raw_transaction))

    async def _mined(self, tx_id: str) -> Mapping[str, Any]:
        deadline = time.monotonic() + self._patience
        pause = _FIRST_POLL_SECONDS
        while True:
            receipt = await self._ask("eth_getTransactionReceipt", tx_id)
            if isinstance(receipt, Mapping):
                return receipt
            if time.monotonic() > deadline:
                raise MarketError(f"Transaction {tx_id} was not mined within {self._patience:g} seconds.")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_POLL_SECONDS)

    async def _ask(self, method: str, *params: object) -> object:
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        answer = await self._rpc.exchange(body)
        if isinstance(answer, Mapping) and answer.get("error") is None and "result" in answer:
            return answer["result"]
        error = answer.get("error") if isinstance(answer, Mapping) else None
        if not isinstance(error, Mapping):
            raise MarketError(f"The chain's node did not answer {method} in JSON-RPC.")
        raise MarketError(_explain(method, error))


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


def _explain(method: str, error: Mapping[str, Any]) -> str:
    message = str(error.get("message", ""))[:300]
    data = error.get("data")
    reason = _reason(data) if isinstance(data, str) else ""
    if reason:
        return f"The contract refused: {reason}."
    if any(words in message.lower() for words in _NO_COIN):
        return f"The account has not enough of the chain's coin to pay for gas ({message})."
    if "revert" in message.lower():
        return f"The contract refused without a reason ({message})."
    return f"The chain's node refused {method}: {message}."


def _reason(data: str) -> str:
    try:
        raw = bytes.fromhex(data.removeprefix("0x"))
        if raw[:4] == _REVERT_TEXT:
            return str(decode(["string"], raw[4:])[0])[:300]
        if raw[:4] == _REVERT_PANIC:
            return f"panic {hex(decode(['uint256'], raw[4:])[0])}"
    except (ValueError, DecodingError):
        pass
    return ""


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
