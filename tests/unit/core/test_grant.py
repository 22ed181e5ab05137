"""Grants: what their owner signs, and the consumer's file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak as their_keccak
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import Invalid
from cove.core.grant import Grant, SignedGrant, digest, order_key, read, typed_data, write
from cove.crypto.keys import Account, keccak, recover

ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
GRANTS = st.builds(
    Grant,
    consumer=ADDRESSES,
    asset=st.binary(min_size=32, max_size=32).map(lambda raw: "did:op:" + raw.hex()),
    service=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    valid_until=st.integers(1, 2**53 - 1),
    runs=st.integers(1, 1_000_000),
    salt=st.binary(min_size=32, max_size=32),
)
GRANT = Grant("0x" + "1" * 40, "did:op:" + "2" * 64, "0", 2_000_000_000, 3, b"\7" * 32)
PROVIDER = "0x" + "9" * 40
OWNER = Account(b"\5" * 32)


@given(GRANTS, st.integers(1, 2**53), ADDRESSES)
def test_the_digest_is_that_of_other_peoples_code(grant: Grant, chain_id: int, provider: str) -> None:
    theirs = encode_typed_data(full_message=typed_data(grant, chain_id, provider))
    assert digest(grant, chain_id, provider, keccak) == their_keccak(b"\x19\x01" + theirs.header + theirs.body)


def test_a_wallet_signs_what_we_recover() -> None:
    signed = EthAccount.sign_typed_data(OWNER.secret, full_message=typed_data(GRANT, 5, PROVIDER))
    assert recover(digest(GRANT, 5, PROVIDER, keccak), bytes(signed.signature)) == OWNER.address


@given(GRANTS, st.integers(1, 2**53 - 1), ADDRESSES, st.binary(min_size=65, max_size=65))
def test_a_file_is_read_as_it_was_written(grant: Grant, chain_id: int, provider: str, signature: bytes) -> None:
    signed = SignedGrant(grant, chain_id, provider, signature)
    assert read(write(signed, keccak), keccak) == ("0x" + digest(grant, chain_id, provider, keccak).hex(), signed)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("message.runs", 4),
        ("message.consumer", "0x" + "3" * 40),
        ("message.asset", "did:op:" + "3" * 64),
        ("message.service", "1"),
        ("message.validUntil", 2_000_000_001),
        ("message.salt", "0x" + "08" * 32),
        ("domain.chainId", 6),
        ("domain.verifyingContract", "0x" + "8" * 40),
    ],
)
def test_a_file_that_was_changed_is_seen(path: str, value: Any) -> None:
    body = json.loads(write(SignedGrant(GRANT, 5, PROVIDER, b"\1" * 65), keccak))
    part, name = path.split(".")
    body["typedData"][part][name] = value
    with pytest.raises(Invalid) as caught:
        read(json.dumps(body), keccak)
    assert "changed" in caught.value.errors["grant"][0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("message.runs", 0),
        ("message.runs", True),
        ("message.runs", "1"),
        ("message.validUntil", 0),
        ("message.validUntil", 2**53),
        ("message.service", ""),
        ("message.service", "x" * 257),
        ("message.salt", "0x12"),
        ("message.salt", "zz"),
        ("message.consumer", "nobody"),
        ("message.asset", "did:op:1"),
        ("domain.chainId", 0),
        ("domain.verifyingContract", None),
    ],
)
def test_a_malformed_file_says_where(path: str, value: Any) -> None:
    body = json.loads(write(SignedGrant(GRANT, 5, PROVIDER, b"\1" * 65), keccak))
    part, name = path.split(".")
    body["typedData"][part][name] = value
    with pytest.raises(Invalid) as caught:
        read(json.dumps(body), keccak)
    assert list(caught.value.errors) == [f"typedData.{path}"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"typedData": 1}', "[" * 10_000, "x" * 100_000])
def test_what_is_no_grant_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read(text, keccak)


def test_keys_of_grants_are_told_apart() -> None:
    assert order_key("0xAB") == "grant:0xab"
