"""Transactions as bytes, against what eth_account writes."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_hash.auto import keccak

from cove.core.transaction import Transaction
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account

KEY = "11" * 32
TO = "0x" + "2" * 40


@pytest.mark.parametrize("length", [0, 1, 55, 56, 300, 70_000])
@pytest.mark.parametrize("nonce", [0, 1, 127, 128, 1 << 40])
def test_the_bytes_are_those_that_every_wallet_writes(nonce: int, length: int) -> None:
    chain, price, gas = 8996 + nonce % 3, 10**9 * (nonce + 1), 21_000
    data = bytes(index % 256 for index in range(length))
    draft = Transaction(chain, nonce, price, gas, TO, data)
    raw = draft.signed(*KeyVault(Account.from_hex(KEY)).sign_transaction(draft.unsigned()))
    fields: dict[str, Any] = {
        "chainId": chain, "nonce": nonce, "gasPrice": price, "gas": gas, "to": TO, "value": 0, "data": data
    }  # fmt: skip
    wanted = EthAccount.sign_transaction(fields, "0x" + KEY)
    assert raw == bytes(wanted.raw_transaction)
    assert keccak(raw) == bytes(wanted.hash)


def test_a_single_small_byte_is_written_as_itself() -> None:
    assert b"\x00" in Transaction(1, 0, 0, 0, TO, b"\x00").unsigned()
    assert Transaction(1, 0, 0, 0, TO, b"\x7f").unsigned()[-4:] == b"\x7f\x01\x80\x80"
