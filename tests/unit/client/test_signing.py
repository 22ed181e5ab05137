from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_hash.auto import keccak

from cove.client.errors import BadAnswer, KeyMissing
from cove.client.signing import Nonces, Signer

KEY = "0x" + "4c" * 32


def test_address_and_signature_are_those_of_eth_account() -> None:
    signer = Signer(KEY)
    text = f"{signer.address}did:op:125"
    signature = Account.sign_message(encode_defunct(keccak(text.encode())), KEY).signature
    assert signer.address == Account.from_key(KEY).address
    assert signer.sign(text) == "0x" + bytes(signature).hex()
    assert int(signer.sign(text)[-2:], 16) in {27, 28}


def test_the_key_is_never_shown() -> None:
    signer = Signer(KEY)
    assert "4c4c" not in repr(signer)
    with pytest.raises(TypeError):
        pickle.dumps(signer)


@pytest.mark.parametrize("text", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(KeyMissing):
        Signer(text)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o644)
    with pytest.raises(KeyMissing, match="read by others"):
        Signer.from_file(path)
    path.chmod(0o600)
    assert Signer.from_file(path).address == Signer(KEY).address


def test_nonces_rise_over_time_and_server() -> None:
    last = iter(["5", "9000.5"])
    nonces = Nonces(lambda: next(last), lambda: 100)
    assert [nonces.take(), nonces.take(), nonces.take(ask=True)] == ["100", "101", "9001"]


def test_a_server_nonce_that_is_no_number() -> None:
    with pytest.raises(BadAnswer):
        Nonces(lambda: "many", lambda: 1).take()
