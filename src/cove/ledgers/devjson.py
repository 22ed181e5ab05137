"""Blocks, transactions, logs and receipts of the dev chain in the form that JSON-RPC gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import rlp  # type: ignore[import-untyped]
from eth.abc import BlockHeaderAPI, ReceiptAPI
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

DEV_CHAIN_ID: Final = 8996
"""The id that Ocean's own development chain has, so that wallets take this one for it."""

Transaction = Any
"""A signed transaction of py-evm; its common type lacks the fields that each kind has."""


def shown_hex(value: bytes | int | None) -> str:
    """Give a quantity or bytes as ``0x`` hex; what is not set is zero."""
    return hex(value or 0) if value is None or isinstance(value, int) else "0x" + value.hex()


def block_json(header: BlockHeaderAPI, names: list[str]) -> dict[str, Any]:
    """Give a block with the hashes of its transactions."""
    return {
        "number": shown_hex(header.block_number),
        "hash": shown_hex(header.hash),
        "parentHash": shown_hex(header.parent_hash),
        "nonce": shown_hex(header.nonce),
        "sha3Uncles": shown_hex(header.uncles_hash),
        "logsBloom": "0x" + int(header.bloom).to_bytes(256, "big").hex(),
        "transactionsRoot": shown_hex(header.transaction_root),
        "stateRoot": shown_hex(header.state_root),
        "receiptsRoot": shown_hex(header.receipt_root),
        "miner": to_checksum_address(header.coinbase),
        "difficulty": shown_hex(header.difficulty),
        "totalDifficulty": shown_hex(header.difficulty),
        "mixHash": shown_hex(header.mix_hash),
        "extraData": shown_hex(header.extra_data),
        "size": "0x400",
        "gasLimit": shown_hex(header.gas_limit),
        "gasUsed": shown_hex(header.gas_used),
        "timestamp": shown_hex(header.timestamp),
        "baseFeePerGas": shown_hex(header.base_fee_per_gas),
        "transactions": names,
        "uncles": [],
    }


def transaction_json(transaction: Transaction, header: BlockHeaderAPI | None, index: int | None) -> dict[str, Any]:
    """Give a transaction; header and index are None while it waits."""
    typed = not hasattr(transaction, "v")
    kind = int(transaction.type_id or 0)
    cap = int(transaction.max_fee_per_gas) if kind >= 2 else int(transaction.gas_price)  # noqa: PLR2004 - EIP-1559
    shown: dict[str, Any] = {
        "type": shown_hex(kind),
        "hash": shown_hex(transaction.hash),
        "chainId": shown_hex(getattr(transaction, "chain_id", None) or DEV_CHAIN_ID),
        "nonce": shown_hex(transaction.nonce),
        "blockHash": None if header is None else shown_hex(header.hash),
        "blockNumber": None if header is None else shown_hex(header.block_number),
        "transactionIndex": None if index is None else shown_hex(index),
        "from": to_checksum_address(transaction.sender),
        "to": to_checksum_address(transaction.to) if transaction.to else None,
        "value": shown_hex(transaction.value),
        "gas": shown_hex(transaction.gas),
        "gasPrice": shown_hex(cap),
        "input": shown_hex(transaction.data),
        "v": shown_hex(transaction.y_parity if typed else transaction.v),
        "r": shown_hex(transaction.r),
        "s": shown_hex(transaction.s),
    }
    if typed:
        shown |= {"accessList": [], "yParity": shown["v"]}
    if kind >= 2:  # noqa: PLR2004 - EIP-1559
        tip = int(transaction.max_priority_fee_per_gas)
        shown |= {"maxFeePerGas": shown_hex(cap), "maxPriorityFeePerGas": shown_hex(tip)}
        if header is not None:
            shown["gasPrice"] = shown_hex(min(cap, tip + int(header.base_fee_per_gas or 0)))
    return shown


def logs_json(receipt: ReceiptAPI, shown: Mapping[str, Any], first: int) -> list[dict[str, Any]]:
    """Give the logs of a receipt, numbered within their block."""
    return [
        {
            "address": to_checksum_address(log.address),
            "topics": ["0x" + int(topic).to_bytes(32, "big").hex() for topic in log.topics],
            "data": shown_hex(log.data),
            "blockNumber": shown["blockNumber"],
            "blockHash": shown["blockHash"],
            "transactionHash": shown["hash"],
            "transactionIndex": shown["transactionIndex"],
            "logIndex": shown_hex(first + position),
            "removed": False,
        }
        for position, log in enumerate(receipt.logs)
    ]


def receipt_json(
    transaction: Transaction,
    receipt: ReceiptAPI,
    shown: Mapping[str, Any],
    logs: list[dict[str, Any]],
    used_before: int,
) -> dict[str, Any]:
    """Give a receipt; ``used_before`` is the gas of the block's earlier transactions."""
    created = None if transaction.to else to_checksum_address(_created_by(transaction))
    return {
        "type": shown["type"],
        "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
        "transactionHash": shown["hash"],
        "transactionIndex": shown["transactionIndex"],
        "blockHash": shown["blockHash"],
        "blockNumber": shown["blockNumber"],
        "from": shown["from"],
        "to": shown["to"],
        "contractAddress": created,
        "gasUsed": shown_hex(receipt.gas_used - used_before),
        "cumulativeGasUsed": shown_hex(receipt.gas_used),
        "effectiveGasPrice": shown["gasPrice"],
        "logs": logs,
        "logsBloom": "0x" + int(receipt.bloom).to_bytes(256, "big").hex(),
    }


def _created_by(transaction: Transaction) -> bytes:
    return bytes(keccak(rlp.encode([transaction.sender, transaction.nonce])))[-20:]
