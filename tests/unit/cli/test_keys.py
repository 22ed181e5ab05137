"""Where a command takes an account's key from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account

from cove.cli import keys
from cove.client import KeyMissing, Signer

SECRET = "07" * 32
ADDRESS = Signer(SECRET).address


@pytest.fixture(autouse=True)
def _nothing_of_the_testers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COVE_ACCOUNT_KEY", "COVE_ACCOUNT_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "UTC--account"
    path.write_text(json.dumps(Account.encrypt(SECRET, "open sesame", kdf="pbkdf2", iterations=2)))
    return path


def password(folder: Path, text: str) -> Path:
    path = folder / "password"
    path.write_text(text)
    return path


def test_a_keystore_opens_with_its_password(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = password(keystore.parent, "open sesame\nmore\n")
    assert keys.account(keystore, file).address == ADDRESS
    monkeypatch.setenv("COVE_ACCOUNT_PASSWORD_FILE", str(file))
    known = keys.known_account(keystore)
    assert known is not None
    assert known.address == ADDRESS


def test_a_prompt_asks_for_what_is_not_given(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["open sesame", SECRET])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    assert keys.account(keystore, None).address == ADDRESS
    assert keys.account(None, None).address == ADDRESS


def test_what_does_not_open_is_one_sentence_without_the_secret(keystore: Path, tmp_path: Path) -> None:
    wrong = password(tmp_path, "wrong word")
    with pytest.raises(KeyMissing, match="its password is another one") as caught:
        keys.account(keystore, wrong)
    assert "wrong word" not in caught.value.message
    with pytest.raises(KeyMissing, match="needs a password"):
        keys.account(keystore, None)
    with pytest.raises(KeyMissing, match="password file .* cannot be read"):
        keys.account(keystore, tmp_path / "nowhere")
    for text in ("{", "{}", '{"version": 1}', '{"crypto": 5, "version": 3}', "{" + "[" * 60_000):
        keystore.write_text(text)
        with pytest.raises(KeyMissing, match=r"not valid JSON|no keystore"):
            keys.account(keystore, wrong)


def test_a_file_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tmp_path / "key"
    plain.touch(0o600)
    plain.write_text(f"0x{SECRET}\n")
    assert keys.account(plain, None).address == ADDRESS
    assert keys.known_account(None) is None
    with pytest.raises(KeyMissing, match="no key"):
        keys.account(None, None)
    monkeypatch.setenv("COVE_ACCOUNT_KEY", SECRET)
    assert keys.account(None, None).address == ADDRESS
