"""Files that were encrypted to an account's key, against the eciespy package itself."""

from __future__ import annotations

from pathlib import Path

import ecies
import pytest

from cove.client import KeyMissing, Signer
from cove.client.sealed import decrypt_file

SIGNER = Signer("4c" * 32)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 5])
def test_what_was_encrypted_to_the_key_is_opened(tmp_path: Path, size: int) -> None:
    plain = bytes(size)
    (tmp_path / "sealed").write_bytes(ecies.encrypt(SIGNER.public_key(), plain))
    assert decrypt_file(SIGNER, tmp_path / "sealed", tmp_path / "open") == size
    assert (tmp_path / "open").read_bytes() == plain
    assert (tmp_path / "open").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", ["cut", "bit", "other", "short", "no point"])
def test_what_was_not_or_was_changed_leaves_nothing(tmp_path: Path, change: str) -> None:
    sealed = bytearray(ecies.encrypt(SIGNER.public_key(), b"rows of a table"))
    signer = SIGNER
    if change == "cut":
        sealed = sealed[:-1]
    elif change == "bit":
        sealed[-1] ^= 1
    elif change == "other":
        signer = Signer("4d" * 32)
    elif change == "short":
        sealed = sealed[:50]
    else:
        sealed[:65] = b"\4" + b"\xff" * 64
    (tmp_path / "sealed").write_bytes(sealed)
    (tmp_path / "open").write_text("before")
    with pytest.raises(KeyMissing, match="not encrypted to the key of 0x"):
        decrypt_file(signer, tmp_path / "sealed", tmp_path / "open")
    assert (tmp_path / "open").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["open", "sealed"]
