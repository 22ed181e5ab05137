"""The vault against the eciespy package itself, and against everything that is not its own."""

from __future__ import annotations

import pickle

import ecies
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import Invalid, SettingsWrong
from cove.crypto import box, keys

ACCOUNT = keys.Account.from_hex("0x" + "4c" * 32)
VAULT = box.KeyVault(ACCOUNT)
OTHER = box.KeyVault(keys.Account.from_hex("0x" + "4d" * 32))


@given(st.binary(max_size=2000))
def test_eciespy_opens_what_the_vault_encrypts_and_the_other_way(plain: bytes) -> None:
    assert ecies.decrypt(ACCOUNT.secret, VAULT.encrypt(plain)) == plain
    assert VAULT.decrypt(ecies.encrypt(ACCOUNT.public_key(), plain)) == plain


@given(st.binary(max_size=300))
def test_what_was_not_encrypted_to_this_key_is_refused(cipher: bytes) -> None:
    with pytest.raises(Invalid):
        VAULT.decrypt(cipher)


@given(st.data())
def test_one_changed_bit_is_noticed(data: st.DataObject) -> None:
    for encrypt, decrypt, error in (
        (VAULT.encrypt, VAULT.decrypt, Invalid),
        (VAULT.seal, VAULT.unseal, SettingsWrong),
    ):
        cipher = bytearray(encrypt(b"rows of a table"))
        cipher[data.draw(st.integers(0, len(cipher) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        with pytest.raises(error):
            decrypt(bytes(cipher))


def test_another_providers_documents_stay_closed() -> None:
    with pytest.raises(Invalid):
        OTHER.decrypt(VAULT.encrypt(b"x"))
    with pytest.raises(SettingsWrong, match="another private key"):
        OTHER.unseal(VAULT.seal(b"x"))


def test_sizes_have_a_limit() -> None:
    with pytest.raises(Invalid):
        VAULT.encrypt(b"\0" * (box.MAX_PLAIN_BYTES + 1))
    with pytest.raises(Invalid):
        VAULT.decrypt(b"\4" * (box.MAX_PLAIN_BYTES + 1000))
    largest = b"\1" * box.MAX_PLAIN_BYTES
    assert VAULT.decrypt(VAULT.encrypt(largest)) == largest


@given(st.binary(max_size=500))
def test_seals_open_and_are_never_twice_the_same(plain: bytes) -> None:
    assert VAULT.unseal(VAULT.seal(plain)) == plain
    assert VAULT.seal(plain) != VAULT.seal(plain)


@pytest.mark.parametrize("sealed", [b"", b"\1", b"\1" + b"0" * 12, b"\2" + b"0" * 40])
def test_what_is_no_seal_is_refused(sealed: bytes) -> None:
    with pytest.raises(SettingsWrong):
        VAULT.unseal(sealed)


def test_a_signed_hash_is_the_providers() -> None:
    v, r, s = VAULT.sign_hash(b"\7" * 32)
    assert v in {27, 28}
    assert keys.recover(keys.personal_hash(b"\7" * 32), r + s + bytes((v,))) == VAULT.address


def test_links_can_be_made_with_the_key_alone() -> None:
    assert VAULT.mac(b"job/1") == VAULT.mac(b"job/1")
    assert VAULT.mac(b"job/1") != VAULT.mac(b"job/2")
    assert VAULT.mac(b"job/1") != OTHER.mac(b"job/1")


def test_the_key_never_shows() -> None:
    assert "4c4c" not in repr(VAULT)
    with pytest.raises(TypeError):
        pickle.dumps(VAULT)
