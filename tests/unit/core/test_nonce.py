from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.nonce import nonce_sort_key

nonces = st.from_regex(r"[0-9]{1,40}(\.[0-9]{1,20})?", fullmatch=True)


@given(nonces, nonces)
def test_keys_sort_as_the_numbers_do(one: str, other: str) -> None:
    with localcontext(prec=100):
        a, b = Decimal(one), Decimal(other)
        keys = nonce_sort_key(one), nonce_sort_key(other)
        assert (keys[0] < keys[1], keys[0] == keys[1]) == (a < b, a == b)
        assert keys[0].encode() < keys[1].encode() or a >= b
    assert len(keys[0]) == len(keys[1]) == 61


@given(nonces)
def test_zeros_that_mean_nothing_change_nothing(nonce: str) -> None:
    padded = f"00{nonce}" + ("00" if "." in nonce else ".00")
    assert nonce_sort_key(padded) == nonce_sort_key(nonce)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1\n", "+1", "-1", "1e5", "1.", ".1", "1.2.3", "0x1", "1_000", "\u0661", "inf", "nan", "1,5"],
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decimal number"):
        nonce_sort_key(text)


@pytest.mark.parametrize("text", ["1" * 41, "0." + "0" * 20 + "1"])
def test_digits_are_never_cut_off(text: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        nonce_sort_key(text)
