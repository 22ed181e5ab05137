from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core import messages
from cove.core.errors import Invalid

DIGITS = st.text("0123456789", min_size=1, max_size=40)
NONCES = st.one_of(
    DIGITS,
    st.builds("{}.{}".format, DIGITS, st.text("0123456789", min_size=1, max_size=20)),
)


def test_each_text_is_its_parts_as_sent_then_the_nonce() -> None:
    assert messages.start_compute("0xAb", "", "did:op:1", "5") == "0xAbdid:op:15"
    assert messages.start_compute("0xAb", "j", "did:op:1", "5") == "0xAbjdid:op:15"
    assert messages.stop_compute("0xAb", "j", "d", "5.5") == "0xAbjd5.5"
    assert messages.delete_compute("0xAb", "j", "", "5") == "0xAbj5"
    assert messages.status("0xAb", "", "d", "5") == "0xAbd5"
    assert messages.logs("0xAb", "j", "", "5") == messages.stop_compute("0xAb", "j", "", "5")
    assert messages.compute_result("0xAb", "j", "0", "5") == "0xAbj05"
    assert messages.download("d", "5") == "d5"
    assert messages.decrypt("0xtx", "0xnft", "0xDe", "8996", "5") == "0xtx0xDe89965"
    assert messages.decrypt("", "0xnft", "0xDe", "8996", "5") == "0xnft0xDe89965"
    assert messages.token("0xAb", "5") == "0xAb5"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5", "5"),
        (5, "5"),
        (0, "0"),
        ("007", "007"),
        ("1700000000000.5", "1700000000000.5"),
        (Decimal("1700000000000.50"), "1700000000000.50"),
        (1700000000123456789, "1700000000123456789"),
        ("9" * 40 + "." + "1" * 20, "9" * 40 + "." + "1" * 20),
    ],
)
def test_a_nonce_keeps_its_text(value: object, text: str) -> None:
    assert messages.parse_nonce(value) == text


@pytest.mark.parametrize(
    "value",
    [
        None, "", "-1", "+1", "1e5", "1E5", Decimal("1E+5"), ".5", "5.", "1_0", " 1", "1\n", "٣", "²", "0x5", "NaN",
        True, 5.0, 1e300, -1, 10**40, "1" * 41, "1." + "1" * 21, [], {},
    ],
)  # fmt: skip
def test_anything_else_is_no_nonce(value: object) -> None:
    with pytest.raises(Invalid) as caught:
        messages.parse_nonce(value)
    assert list(caught.value.errors) == ["nonce"]


@given(NONCES, NONCES)
def test_nonces_sort_as_decimals(one: str, other: str) -> None:
    keys = [messages.nonce_sort_key(messages.parse_nonce(text)) for text in (one, other)]
    assert (keys[0] < keys[1]) == (Decimal(one) < Decimal(other))
    assert (keys[0] == keys[1]) == (Decimal(one) == Decimal(other))


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.lists(st.integers())))
def test_no_value_breaks_a_parser(value: object) -> None:
    for parse in (
        messages.parse_nonce,
        lambda given: messages.parse_address(given, "a"),
        messages.parse_did,
        messages.parse_job_id,
        lambda given: messages.parse_tx(given, "t"),
    ):
        try:
            assert parse(value)
        except Invalid as problem:
            assert problem.errors


def test_addresses_are_given_as_sent() -> None:
    address = "0xAbCdef0123456789abcdef0123456789ABCDEF01"
    assert messages.parse_address(address, "consumerAddress") == address
    for wrong in (address[2:], address + "0", address.replace("0x", "0X"), address[:-1] + "g", address + "\n"):
        with pytest.raises(Invalid) as caught:
            messages.parse_address(wrong, "consumerAddress")
        assert list(caught.value.errors) == ["consumerAddress"]


def test_both_spellings_of_a_did_are_one() -> None:
    did = "did:op:" + "0a" * 32
    assert messages.parse_did(did) == did
    assert messages.parse_did(did.replace(":", "%3A")) == did
    assert messages.parse_did(did.replace(":", "%3a").replace("0a", "0A")) == did
    for wrong in ("did:op:12", "op:" + "0a" * 32, "did:ope:" + "0a" * 32, did + "%3A"):
        with pytest.raises(Invalid):
            messages.parse_did(wrong)


def test_ids_come_with_and_without_prefix() -> None:
    assert messages.parse_tx("AB" * 32, "agreementId") == "0x" + "ab" * 32
    assert messages.parse_tx("0x" + "ab" * 32, "transferTxId") == "0x" + "ab" * 32
    assert messages.parse_job_id("AB" * 16) == "ab" * 16
    assert messages.parse_job_id("an-Environment.7-" + "AB" * 16) == "ab" * 16
    with pytest.raises(Invalid):
        messages.parse_tx("0x" + "ab" * 31, "transferTxId")
    with pytest.raises(Invalid):
        messages.parse_job_id("0x" + "ab" * 16)


def test_a_number_too_long_to_write_is_no_nonce() -> None:
    with pytest.raises(Invalid):
        messages.parse_nonce(10**5000)
