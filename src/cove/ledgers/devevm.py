"""The EVM behind the dev chain (py-evm): blocks, transactions and calls as JSON-RPC shows them. Not thread-safe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from eth import constants
from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI
from eth.chains.base import MiningChain
from eth.db import get_db_backend
from eth.exceptions import PyEVMError, VMError
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_keys.datatypes import PrivateKey
from eth_typing import BlockNumber
from eth_utils.address import to_canonical_address
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException  # type: ignore[import-untyped]

from cove.ledgers.devjson import (
    DEV_CHAIN_ID,
    Transaction,
    block_json,
    logs_json,
    receipt_json,
    shown_hex,
    transaction_json,
)
from cove.ledgers.rpc import RpcError

_RECURSION_LIMIT: Final = 1000
# Python's own default. Importing py-evm raises it to 100,000 for the whole process, and then JSON that is nested deep
# enough overflows the C stack and ends the process, where it should be a RecursionError.
sys.setrecursionlimit(_RECURSION_LIMIT)

_GAS_LIMIT: Final = 60_000_000
_BALANCE: Final = 10**24
_REVERT_TEXT: Final = bytes.fromhex("08c379a0")
_LEGACY_NOT_REPLAYABLE: Final = 35
_WEI_PRIORITY: Final = 10**9


class _DevVM(PragueVM):
    """Blocks may follow each other within one second, which keeps the chain's clock with the real one."""

    @classmethod
    def validate_header(cls, header: BlockHeaderAPI, parent_header: BlockHeaderAPI) -> None:
        """Take what this process itself made."""


class _DevMiningChain(MiningChain):
    chain_id = DEV_CHAIN_ID
    vm_configuration = ((BlockNumber(0), _DevVM),)

    def create_header_from_parent(
        self,
        parent_header: BlockHeaderAPI,
        **header_params: Any,  # noqa: ANN401 - as py-evm declares it
    ) -> BlockHeaderAPI:
        """Keep the gas limit."""
        return super().create_header_from_parent(
            parent_header, **{**header_params, "gas_limit": parent_header.gas_limit}
        )

    def validate_block(self, block: object) -> None:
        """Take what this process itself made."""


@dataclass(slots=True)
class _Block:
    """A mined block, ready to be shown."""

    header: BlockHeaderAPI
    json: dict[str, Any]
    transactions: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)


class DevEvm:
    """A chain in memory that mines each transaction at once.

    Args:
        accounts: Private keys of the accounts that own ether from the start.
        now: Gives the Unix time of a new block.
        chain_id: Of this chain.
    """

    revert_code: ClassVar[int] = 3

    def __init__(self, accounts: Sequence[bytes], now: Callable[[], float], chain_id: int = DEV_CHAIN_ID) -> None:
        self._now = now
        self.chain_id = chain_id
        self.mine_automatically = True
        self.offset = 0
        self._pool: dict[str, Any] = {}
        self._receipts: dict[str, dict[str, Any]] = {}
        self._transactions: dict[str, dict[str, Any]] = {}
        self._numbers: dict[str, int] = {}
        kind: Any = type("_NumberedChain", (_DevMiningChain,), {"chain_id": chain_id})
        self._chain: Any = kind.from_genesis(get_db_backend(), self._genesis(), _funded(accounts))
        genesis = self._chain.get_canonical_head()
        self._blocks = [_Block(genesis, block_json(genesis, []))]
        self._numbers[shown_hex(genesis.hash)] = 0

    # ------------------------------------------------------------------------------------------ writing

    def send(self, raw: bytes) -> str:
        """Take a signed transaction and give its hash; it is mined at once unless that was switched off.

        Raises:
            RpcError: It is none, is for another chain, has the wrong nonce, cannot be paid, or pays less than a tenth
                more than the one that it would replace.
        """
        try:
            transaction = self._chain.get_vm().get_transaction_builder().decode(raw)
            sender = transaction.sender
        except (RLPException, ValidationError, PyEVMError, ValueError, TypeError, IndexError) as problem:
            raise RpcError(-32000, f"invalid transaction: {problem}") from None
        if _chain_id_of(transaction) not in {None, self.chain_id}:
            raise RpcError(-32000, f"invalid chain id for signer: want {self.chain_id}")
        name = shown_hex(transaction.hash)
        if name in self._receipts or name in self._pool:
            raise RpcError(-32000, "already known")
        expected = self.nonce(sender, pending=True)
        rival = next(
            (key for key, one in self._pool.items() if (one.sender, one.nonce) == (sender, transaction.nonce)), None
        )
        if rival is not None:
            if 10 * transaction.max_fee_per_gas < 11 * self._pool[rival].max_fee_per_gas:
                raise RpcError(-32000, "replacement transaction underpriced")
            self._pool = dict(
                (name, transaction) if key == rival else (key, one) for key, one in self._pool.items()
            )  # at the same place: later nonces of the account come after it
            return name
        if transaction.nonce != expected:
            word = "low" if transaction.nonce < expected else "high"
            raise RpcError(-32000, f"nonce too {word}: next nonce {expected}, tx nonce {transaction.nonce}")
        self._pool[name] = transaction
        if self.mine_automatically:
            try:
                self.mine()
            except ValidationError as problem:
                raise RpcError(-32000, f"{problem}") from None
        return name

    def mine(self) -> str:
        """Mine a block of all waiting transactions and give its hash."""
        head = self._blocks[-1].header
        self._chain.set_header_timestamp(max(head.timestamp, int(self._now()) + self.offset))
        pool, self._pool = self._pool, {}
        mined: list[tuple[Any, ReceiptAPI]] = []
        try:
            for transaction in pool.values():
                _, receipt, _ = self._chain.apply_transaction(transaction)
                mined.append((transaction, receipt))
        finally:
            if mined or not pool:
                self._keep(mined)
        return str(self._blocks[-1].json["hash"])

    def _keep(self, mined: Sequence[tuple[Any, ReceiptAPI]]) -> None:
        header = self._chain.mine_block().header
        block = _Block(header, block_json(header, [shown_hex(transaction.hash) for transaction, _ in mined]))
        used = 0
        for index, (transaction, receipt) in enumerate(mined):
            shown = transaction_json(transaction, header, index)
            logs = logs_json(receipt, shown, len(block.logs))
            block.transactions.append(shown)
            block.logs.extend(logs)
            self._transactions[shown["hash"]] = shown
            self._receipts[shown["hash"]] = receipt_json(transaction, receipt, shown, logs, used)
            used = int(receipt.gas_used)
        self._blocks.append(block)
        self._numbers[block.json["hash"]] = header.block_number

    # ------------------------------------------------------------------------------------------ reading

    @property
    def head(self) -> int:
        """Number of the newest block."""
        return len(self._blocks) - 1

    def block(self, number: int, *, full: bool) -> dict[str, Any] | None:
        """Give a block, with whole transactions or their hashes; None when there is none."""
        if not 0 <= number <= self.head:
            return None
        block = self._blocks[number]
        return {**block.json, "transactions": block.transactions} if full else block.json

    def block_number(self, block_hash: str) -> int | None:
        """Give the number of a block; None when there is none of this hash."""
        return self._numbers.get(block_hash.lower())

    def receipt(self, name: str) -> dict[str, Any] | None:
        """Give the receipt of a mined transaction, or None."""
        return self._receipts.get(name.lower())

    def transaction(self, name: str) -> dict[str, Any] | None:
        """Give a transaction, mined or waiting, or None."""
        waiting = self._pool.get(name.lower())
        if waiting is not None:
            return transaction_json(waiting, None, None)
        return self._transactions.get(name.lower())

    def waiting(self) -> dict[str, dict[str, Any]]:
        """Give the transactions that are not mined, by sender and nonce."""
        found: dict[str, dict[str, Any]] = {}
        for transaction in self._pool.values():
            shown = transaction_json(transaction, None, None)
            found.setdefault(shown["from"], {})[str(transaction.nonce)] = shown
        return found

    def logs(self, first: int, last: int) -> list[dict[str, Any]]:
        """Give all logs of some blocks, both ends included."""
        return [log for block in self._blocks[max(first, 0) : last + 1] for log in block.logs]

    def nonce(self, address: bytes, number: int | None = None, *, pending: bool = False) -> int:
        """Give an account's next nonce, after the waiting transactions if ``pending``."""
        waiting = sum(1 for transaction in self._pool.values() if transaction.sender == address) if pending else 0
        return int(self._state(number).get_nonce(address)) + waiting

    def balance(self, address: bytes, number: int | None = None) -> int:
        """Give an account's wei."""
        return int(self._state(number).get_balance(address))

    def code(self, address: bytes, number: int | None = None) -> bytes:
        """Give a contract's code, empty for other accounts."""
        return bytes(self._state(number).get_code(address))

    def base_fee(self) -> int:
        """Give the base fee of the next block, wei."""
        return int(self._chain.header.base_fee_per_gas)

    def call(self, request: Mapping[str, Any], number: int | None = None) -> bytes:
        """Run a call that changes nothing and give what it returns.

        Raises:
            RpcError: It reverted, or the request makes no sense.
        """
        return bytes(self._run(request, number).output)

    def estimate(self, request: Mapping[str, Any]) -> int:
        """Give enough gas for a transaction: what it uses with nothing given back, and a quarter more.

        Raises:
            RpcError: It reverts.
        """
        computation = self._run(request, None)
        return int((_GAS_LIMIT // 2 - computation.get_gas_remaining()) * 1.25) + 5_000

    def _run(self, request: Mapping[str, Any], number: int | None) -> ComputationAPI:
        header = self._header(number)
        sender = to_canonical_address(request.get("from") or "0x" + "0" * 40)
        vm = self._chain.get_vm(header)
        unsigned = vm.get_transaction_builder().create_unsigned_transaction(
            nonce=vm.state.get_nonce(sender),
            gas_price=0,
            gas=_GAS_LIMIT // 2,
            to=to_canonical_address(request["to"]) if request.get("to") else b"",
            value=_quantity(request.get("value")),
            data=_bytes(request.get("input") or request.get("data")),
        )
        computation: ComputationAPI
        try:
            with vm.in_costless_state() as state:
                computation = state.costless_execute_transaction(SpoofTransaction(unsigned, from_=sender))
        except (ValidationError, VMError) as problem:
            raise RpcError(-32000, f"{problem}") from None
        if computation.is_error:
            output = bytes(computation.output)
            raise RpcError(self.revert_code, f"execution reverted{_reason(output)}", output)
        return computation

    def _state(self, number: int | None) -> Any:  # noqa: ANN401 - py-evm's state has no closer public type
        return self._chain.get_vm(self._header(number)).state

    def _header(self, number: int | None) -> BlockHeaderAPI:
        if number is None:
            number = self.head
        if not 0 <= number <= self.head:
            raise RpcError(-32000, "header not found")
        return self._blocks[number].header

    def _genesis(self) -> dict[str, Any]:
        return {
            "coinbase": b"\0" * 20,
            "difficulty": constants.POST_MERGE_DIFFICULTY,
            "extra_data": b"",
            "gas_limit": _GAS_LIMIT,
            "mix_hash": constants.POST_MERGE_MIX_HASH,
            "nonce": constants.POST_MERGE_NONCE,
            "receipt_root": constants.BLANK_ROOT_HASH,
            "timestamp": int(self._now()),
            "transaction_root": constants.BLANK_ROOT_HASH,
        }


def _funded(accounts: Sequence[bytes]) -> dict[Any, Any]:
    empty: dict[str, Any] = {"balance": _BALANCE, "nonce": 0, "code": b"", "storage": {}}
    return {PrivateKey(key).public_key.to_canonical_address(): empty for key in accounts}


def _chain_id_of(transaction: Transaction) -> int | None:
    """Give the chain that a transaction was signed for; None where it can be played on any."""
    if not hasattr(transaction, "v"):
        return int(transaction.chain_id)
    return None if transaction.v < _LEGACY_NOT_REPLAYABLE else (transaction.v - _LEGACY_NOT_REPLAYABLE) // 2


def _reason(output: bytes) -> str:
    if output[:4] != _REVERT_TEXT:
        return ""
    try:
        return f": {decode(['string'], output[4:])[0]}"
    except DecodingError:
        return ""


def _quantity(value: object) -> int:
    if value is None:
        return 0
    try:
        return int(value, 16) if isinstance(value, str) else int(str(value))
    except ValueError:
        raise RpcError(-32602, "a quantity is not 0x and hex digits") from None


def _bytes(value: object) -> bytes:
    try:
        return bytes.fromhex(str(value or "0x").removeprefix("0x"))
    except ValueError:
        raise RpcError(-32602, "data is not 0x and an even number of hex digits") from None
