"""Fee amounts, and the bytes that are signed."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from eth_abi.packed import encode_packed
from hypothesis import given
from hypothesis import strategies as st

from cove.core.fees import fee_amount, packed_fee, provider_data

ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
NUMBERS = st.integers(0, 2**256 - 1)


def test_an_hour_at_one_token_a_minute_is_sixty_tokens() -> None:
    assert fee_amount(3600, Decimal(1), 18) == 60 * 10**18
    assert fee_amount(3600, Decimal(1), 6) == 60 * 10**6


def test_days_are_paid_for_too() -> None:
    assert fee_amount(25 * 3600, Decimal("0.5"), 18) == 25 * 30 * 10**18


@pytest.mark.parametrize("seconds", [0, -5])
def test_no_time_costs_nothing(seconds: int) -> None:
    assert fee_amount(seconds, Decimal(1), 18) == 0


@given(st.integers(1, 10**9), st.decimals(0, 10**9, places=12), st.integers(0, 30))
def test_amounts_are_exact_and_rounded_up(seconds: int, price: Decimal, decimals: int) -> None:
    exact = Fraction(price) * seconds * 10**decimals / 60
    amount = fee_amount(seconds, price, decimals)
    assert exact <= amount < exact + 1


@given(st.binary(max_size=300), ADDRESSES, ADDRESSES, NUMBERS, NUMBERS)
def test_the_signed_bytes_are_those_of_the_contract(data: bytes, one: str, two: str, amount: int, until: int) -> None:
    types = ["bytes", "address", "address", "uint256", "uint256"]
    assert packed_fee(data, one, two, amount, until) == encode_packed(types, [data, one, two, amount, until])


def test_what_is_no_address_or_number_is_refused() -> None:
    good = "0x" + "1" * 40
    for address in ("0x12", "", "0x" + "g" * 40):
        with pytest.raises(ValueError, match=r"address|hexadecimal"):
            packed_fee(b"", address, good, 0, 0)
    with pytest.raises(OverflowError):
        packed_fee(b"", good, good, -1, 0)


def test_provider_data_is_compact_json() -> None:
    data = provider_data("env", 12.5, "0xabc", "s1")
    assert data == b'{"environment":"env","timestamp":12.5,"dt":"0xabc","id":"s1"}'
    assert json.loads(provider_data(None, 1, "", ""))["environment"] is None
