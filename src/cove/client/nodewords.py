"""What a chain's node says when it refuses, in a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

_REVERT_TEXT: Final = bytes.fromhex("08c379a0")
_REVERT_PANIC: Final = bytes.fromhex("4e487b71")
#: How nodes say that an account is too poor: geth and anvil, hardhat, py-evm.
_NO_COIN: Final = ("insufficient", "sender does not have enough", "doesn't have enough", "cannot afford")
#: How nodes say that they know a transaction, that it was mined meanwhile, or that they keep another of its nonce.
_TAKEN: Final = (
    "already known", "known transaction", "already imported", "nonce too low", "already exist",
    "replacement transaction underpriced",
)  # fmt: skip


def is_taken(text: str) -> bool:
    """Say whether a node refused a transaction because it has it, or another of its nonce, to wait for."""
    return any(words in text.lower() for words in _TAKEN)


def explain(method: str, error: Mapping[str, Any]) -> str:
    """Give the sentence for a JSON-RPC error; the contract's own reason where it holds one."""
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
