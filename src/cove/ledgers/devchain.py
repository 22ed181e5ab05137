"""A development chain in this process, for the demo and the tests: JSON-RPC as wallets speak it, on py-evm.

It needs the extra ``cove[demo]``. Its accounts' keys are public: nothing on it is worth anything.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey
from eth_utils.address import is_address, to_canonical_address

from cove.ledgers.devevm import DevEvm
from cove.ledgers.devjson import DEV_CHAIN_ID
from cove.ledgers.rpc import RpcError

_MAX_BATCH: Final = 1000
_TIP_WEI: Final = 10**9
_LATEST: Final = frozenset({"latest", "pending", "safe", "finalized"})


@dataclass(frozen=True, slots=True)
class DevAccount:
    """An account that owns ether from the start."""

    #: Checksummed.
    address: str
    #: ``0x`` hex; known to everybody.
    private_key: str = field(repr=False)


def dev_account(number: int) -> DevAccount:
    """Give one of the accounts of every dev chain; its key is keccak of ``cove dev account <number>``."""
    key = bytes(keccak(f"cove dev account {number}".encode()))
    return DevAccount(PrivateKey(key).public_key.to_checksum_address(), "0x" + key.hex())


class DevChain:
    """The chain. One worker thread owns the EVM, so that it can be called from any thread and event loop.

    Args:
        accounts: How many accounts own ether.
        now: Gives the Unix time of new blocks.
        chain_id: Of this chain; two chains in one process take two.
    """

    def __init__(
        self, *, accounts: int = 10, now: Callable[[], float] = time.time, chain_id: int = DEV_CHAIN_ID
    ) -> None:
        self.chain_id = chain_id
        self.accounts = tuple(dev_account(number) for number in range(accounts))
        self._worker = ThreadPoolExecutor(1, "cove-devchain")
        keys = [bytes.fromhex(account.private_key[2:]) for account in self.accounts]
        self._evm = self._worker.submit(DevEvm, keys, now, chain_id).result()
        self._methods = _methods(self._evm, [account.address for account in self.accounts])

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        """Call a JSON-RPC method and give its result.

        Raises:
            RpcError: The chain refused the call.
        """
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._call, method, params)

    async def exchange(self, body: object) -> object:
        """Answer a JSON-RPC body, or a list of them, as it came over HTTP; never raises."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._answer, body)

    async def close(self) -> None:
        """End the worker thread; the chain is gone."""
        self._worker.shutdown(wait=True)

    def _answer(self, body: object) -> object:
        if isinstance(body, list):
            if not 0 < len(body) <= _MAX_BATCH:
                return _failure(None, -32600, "a batch has 1 to 1000 calls")
            return [self._answer(entry) if isinstance(entry, dict) else _no_request() for entry in body]
        if not isinstance(body, Mapping):
            return _no_request()
        name, method, params = body.get("id"), body.get("method"), body.get("params", [])
        if not isinstance(method, str) or not isinstance(params, list):
            return _failure(name, -32600, "a call has a method and a list of params")
        try:
            return {"jsonrpc": "2.0", "id": name, "result": self._call(method, params)}
        except RpcError as problem:
            return _failure(name, problem.code, problem.message, problem.revert)

    def _call(self, method: str, params: Sequence[object]) -> object:
        handler = self._methods.get(method)
        if handler is None:
            raise RpcError(-32601, f"the method {method[:80]} does not exist on this chain")
        try:
            inspect.signature(handler).bind(*params)
        except TypeError:
            raise RpcError(-32602, f"{method}: wrong number of params") from None
        try:
            return handler(*params)
        except ValueError as problem:
            raise RpcError(-32602, f"{method}: invalid params: {problem}") from None
        except RecursionError:
            raise RpcError(-32000, f"{method}: contracts call each other too deep for this chain") from None


def _methods(evm: DevEvm, accounts: list[str]) -> Mapping[str, Callable[..., object]]:
    """Give what the chain answers; each takes the params of its call."""
    return {
        "web3_clientVersion": lambda: "cove-devchain",
        "net_version": lambda: str(evm.chain_id),
        "net_listening": lambda: True,
        "eth_chainId": lambda: hex(evm.chain_id),
        "eth_syncing": lambda: False,
        "eth_accounts": lambda: accounts,
        "eth_blockNumber": lambda: hex(evm.head),
        "eth_gasPrice": lambda: hex(2 * evm.base_fee() + _TIP_WEI),
        "eth_maxPriorityFeePerGas": lambda: hex(_TIP_WEI),
        "eth_feeHistory": lambda count, *_: _fee_history(evm, count),
        "eth_getBalance": lambda address, at="latest": hex(evm.balance(_account(address), _number(evm, at))),
        "eth_getTransactionCount": lambda address, at="latest": _count(evm, address, at),
        "eth_getCode": lambda address, at="latest": _hex(evm.code(_account(address), _number(evm, at))),
        "eth_call": lambda request, at="latest", *_: _hex(evm.call(_request(request), _number(evm, at))),
        "eth_estimateGas": lambda request, *_: hex(evm.estimate(_request(request))),
        "eth_sendRawTransaction": lambda raw: evm.send(bytes.fromhex(str(raw).removeprefix("0x"))),
        "eth_getTransactionReceipt": lambda name: evm.receipt(str(name)),
        "eth_getTransactionByHash": lambda name: evm.transaction(str(name)),
        "eth_getBlockByNumber": lambda at, full=False: evm.block(_number(evm, at), full=full),
        "eth_getBlockByHash": lambda name, full=False: _by_hash(evm, str(name), full=full),
        "eth_getLogs": lambda wanted: _logs(evm, _request(wanted)),
        "txpool_content": lambda: {"pending": evm.waiting(), "queued": {}},
        "evm_mine": lambda *_: evm.mine(),
        "evm_setAutomine": lambda on: _automine(evm, on=on),
        "evm_increaseTime": lambda seconds: _travel(evm, seconds),
    }


def _number(evm: DevEvm, at: object) -> int:
    """Give the number of a block that is named by a tag or a hex number; an unknown one is beyond the head."""
    if isinstance(at, Mapping):  # EIP-1898
        if "blockHash" in at:
            number = evm.block_number(str(at["blockHash"]))
            return evm.head + 1 if number is None else number
        at = at.get("blockNumber")
    if at is None or at in _LATEST:
        return evm.head
    if at == "earliest":
        return 0
    return int(at, 16) if isinstance(at, str) else int(str(at))


def _request(given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise RpcError(-32602, "the first param is an object")
    return given


def _account(address: object) -> bytes:
    if not isinstance(address, str) or not is_address(address):
        raise RpcError(-32602, "an address is 0x and 40 hex digits")
    return bytes(to_canonical_address(address))


def _count(evm: DevEvm, address: object, at: object) -> str:
    return hex(evm.nonce(_account(address), _number(evm, at), pending=at == "pending"))


def _by_hash(evm: DevEvm, name: str, *, full: bool) -> object:
    number = evm.block_number(name)
    return None if number is None else evm.block(number, full=full)


def _fee_history(evm: DevEvm, count: object) -> dict[str, object]:
    asked = int(count, 16) if isinstance(count, str) else int(str(count))
    blocks = max(1, min(asked, 1024, evm.head + 1))
    fee = hex(evm.base_fee())
    return {
        "oldestBlock": hex(evm.head + 1 - blocks),
        "baseFeePerGas": [fee] * (blocks + 1),
        "gasUsedRatio": [0.5] * blocks,
        "reward": [[hex(_TIP_WEI)]] * blocks,
    }


def _logs(evm: DevEvm, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    if wanted.get("blockHash"):
        number = evm.block_number(str(wanted["blockHash"]))
        if number is None:
            raise RpcError(-32000, "unknown block")
        first = last = number
    else:
        first, last = _number(evm, wanted.get("fromBlock")), _number(evm, wanted.get("toBlock"))
    addresses = wanted.get("address")
    listed = addresses if isinstance(addresses, list) else [addresses] if addresses else []
    lower = {str(address).lower() for address in listed}
    topics = [_topic_choice(topic) for topic in list(wanted.get("topics") or ())]
    return [
        log
        for log in evm.logs(first, last)
        if (not lower or log["address"].lower() in lower) and _topics_match(log["topics"], topics)
    ]


def _topic_choice(topic: object) -> frozenset[str] | None:
    if topic is None:
        return None
    return frozenset(str(entry).lower() for entry in (topic if isinstance(topic, list) else [topic]))


def _topics_match(found: Sequence[str], wanted: Sequence[frozenset[str] | None]) -> bool:
    if len(found) < len(wanted):
        return False
    return all(choice is None or topic in choice for topic, choice in zip(found, wanted, strict=False))


def _automine(evm: DevEvm, *, on: object) -> bool:
    evm.mine_automatically = bool(on)
    return True


def _travel(evm: DevEvm, seconds: object) -> str:
    evm.offset += int(seconds, 16) if isinstance(seconds, str) else int(str(seconds))
    return hex(evm.offset)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _no_request() -> dict[str, object]:
    return _failure(None, -32600, "this is no JSON-RPC call")


def _failure(name: object, code: int, message: str, revert: bytes = b"") -> dict[str, object]:
    error: dict[str, object] = {"code": code, "message": message}
    if revert:
        error["data"] = _hex(revert)
    return {"jsonrpc": "2.0", "id": name, "error": error}
