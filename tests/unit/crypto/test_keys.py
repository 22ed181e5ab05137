"""Signatures in every form that clients send, and the key that never shows."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from eth_account import Account as PeerAccount
from eth_account.messages import encode_defunct
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import Invalid, SettingsWrong
from cove.crypto import keys

SECRET = "0x" + "4c" * 32
PEER = PeerAccount.from_key(SECRET)


def test_an_account_has_the_address_that_other_wallets_give_it() -> None:
    assert keys.Account.from_hex(SECRET).address == PEER.address
    assert keys.Account.from_hex("4c" * 32 + "\n").address == PEER.address


@given(st.binary(min_size=20, max_size=20))
def test_checksums_are_those_of_eip_55(raw: bytes) -> None:
    assert keys.checksum("0x" + raw.hex()) == to_checksum_address(raw)
    assert keys.checksum("0x" + raw.hex().upper()) == to_checksum_address(raw)


@pytest.mark.parametrize(
    "text", ["", "0x", "0x12", "ab" * 20, "0x" + "g" * 40, "0x" + "1" * 41, "0x" + "1" * 40 + "\n"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        keys.checksum(text)


@given(st.text(max_size=200))
def test_a_text_signed_by_a_wallet_is_verified(message: str) -> None:
    digest = keys.keccak(message.encode())
    signature = PEER.sign_message(encode_defunct(digest)).signature
    assert keys.verify_text(message, "0x" + signature.hex().removeprefix("0x"), PEER.address)
    assert keys.verify_text(message, signature.hex().removeprefix("0x"), PEER.address.lower())


def test_both_ways_to_write_v_are_good_and_others_are_not() -> None:
    signature = bytearray(bytes.fromhex(keys.Account.from_hex(SECRET).sign_text("x1")[2:]))
    forms = {v: bytes((*signature[:64], v)).hex() for v in range(256)}
    good = {v for v, form in forms.items() if keys.verify_text("x1", form, PEER.address)}
    assert good == {signature[64], signature[64] - 27}


def test_a_digest_with_leading_zeros_may_be_signed_without_them() -> None:
    message = next(text for text in map(str, range(5000)) if keys.keccak(text.encode())[0] == 0)
    stripped = keys.keccak(message.encode()).lstrip(b"\0")
    signature = PEER.sign_message(encode_defunct(stripped)).signature.hex()
    assert keys.verify_text(message, signature, PEER.address)


def test_a_plain_personal_message_is_good() -> None:
    signature = PEER.sign_message(encode_defunct(text="did:op:1" + "7")).signature.hex()
    assert keys.verify_text("did:op:17", signature, PEER.address)
    assert not keys.verify_text("did:op:18", signature, PEER.address)


@given(st.binary(max_size=80))
def test_any_bytes_recover_to_an_address_or_to_nobody(signature: bytes) -> None:
    signer = keys.recover(b"\1" * 32, signature)
    assert signer is None or signer == keys.checksum(signer)


@pytest.mark.parametrize("signature", ["", "0x", "zz" * 65, "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "11" * 64, "\0"])
def test_rubbish_verifies_nobody(signature: str) -> None:
    assert not keys.verify_text("x", signature, PEER.address)
    assert not keys.verify_text("x", signature, "")


def test_a_lone_surrogate_in_a_text_is_no_crash() -> None:
    assert not keys.verify_text("\ud800", "0x" + "11" * 65, PEER.address)


@pytest.mark.parametrize("text", ["", "0x12", "z" * 64, "0" * 64, "f" * 64])
def test_what_is_no_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(SettingsWrong) as caught:
        keys.Account.from_hex(text)
    assert not text or text not in str(caught.value)


def test_a_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    assert keys.Account.from_file(file).address == PEER.address
    file.chmod(0o640)
    with pytest.raises(SettingsWrong, match="open to other accounts"):
        keys.Account.from_file(file)
    with pytest.raises(SettingsWrong, match="cannot be read"):
        keys.Account.from_file(tmp_path / "none")


def test_a_key_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xff" * 100_000)
    file.chmod(0o600)
    with pytest.raises(SettingsWrong, match="64 hex digits"):
        keys.Account.from_file(file)


def test_the_key_never_shows() -> None:
    account = keys.Account.from_hex(SECRET)
    assert "4c4c" not in repr(account)
    assert "4c4c" not in f"{account} {account!r}"
    with pytest.raises(TypeError):
        pickle.dumps(account)
