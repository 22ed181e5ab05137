"""Long contents encrypted to a key, against the eciespy package itself."""

from __future__ import annotations

from collections.abc import Iterator

import ecies
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import Unavailable
from cove.crypto.keys import Account
from cove.crypto.streams import MOST_BYTES, Encrypted, is_public_key

ACCOUNT = Account.from_hex("4c" * 32)
KEY = ACCOUNT.public_key().hex()


class Pieces:
    def __init__(self, *pieces: bytes, size: int | None = None) -> None:
        self.pieces = pieces
        self.size = sum(map(len, pieces)) if size is None else size

    def chunks(self) -> Iterator[bytes]:
        yield from self.pieces


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_eciespy_opens_it_and_it_reads_the_same_again(pieces: list[bytes]) -> None:
    made = Encrypted(KEY, Pieces(*pieces))
    cipher = b"".join(made.chunks())
    assert len(cipher) == made.size
    assert b"".join(made.chunks()) == cipher
    assert ecies.decrypt(ACCOUNT.secret, cipher) == b"".join(pieces)


def test_no_two_are_encrypted_alike() -> None:
    first, second = (b"".join(Encrypted(KEY, Pieces(b"rows")).chunks()) for _ in range(2))
    assert first[:65] != second[:65]
    assert first[97:] != second[97:]


def test_a_content_that_changes_between_two_readings_is_noticed() -> None:
    content = Pieces(b"rows")
    made = Encrypted(KEY, content)
    list(made.chunks())
    content.pieces = (b"else",)
    with pytest.raises(Unavailable, match="not what it was"):
        list(made.chunks())


def test_what_cannot_be_encrypted_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        Encrypted(KEY, Pieces(size=MOST_BYTES + 1))
    for wrong in ("", "04" + "ff" * 64, "no hex"):
        assert not is_public_key(wrong)
        with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
            Encrypted(wrong, Pieces())
    assert is_public_key(KEY)
