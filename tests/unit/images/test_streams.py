from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import ImageRefused
from cove.images.streams import ahead, checked, decompressed


def in_pieces(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 50))
def test_every_compression_gives_the_same_bytes(parts: list[bytes], size: int) -> None:
    whole = b"".join(parts)
    packed = b"".join(map(gzip.compress, parts))
    assert b"".join(decompressed(in_pieces(packed, size))) == whole
    frames = b"".join(map(zstd.compress, parts))
    assert b"".join(decompressed(in_pieces(frames, size))) == whole
    plain = b"plain" + whole
    assert b"".join(decompressed(in_pieces(plain, size))) == plain


@given(st.binary(min_size=20, max_size=300), st.integers(1, 50), st.integers(0, 10_000))
def test_what_is_cut_or_damaged_is_refused(content: bytes, size: int, place: int) -> None:
    for packed in (
        gzip.compress(content),
        zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1}),
    ):
        with pytest.raises(ImageRefused, match="damaged"):
            b"".join(decompressed(in_pieces(packed[:-1], size)))
        changed = bytearray(packed)
        changed[4 + place % (len(packed) - 4)] ^= 0x55
        try:
            made = b"".join(decompressed(in_pieces(bytes(changed), size)))
        except ImageRefused:
            continue
        assert made == content or changed[:2] == packed[:2]  # what gzip does not look at: its time, and the like


def test_a_bomb_is_stopped_where_its_limit_is() -> None:
    bomb = zlib.compressobj(9, wbits=31)
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(50)) + bomb.flush()
    given_on: list[int] = []
    with pytest.raises(ImageRefused, match="larger than this provider takes"):
        given_on.extend(map(len, checked(decompressed([packed]), "", 3 << 20)))
    assert sum(given_on) <= 3 << 20


def test_other_bytes_than_a_digest_says_are_refused() -> None:
    right = f"sha256:{hashlib.sha256(b'ab').hexdigest()}"
    assert list(checked([b"a", b"b"], right, 2)) == [b"a", b"b"]
    with pytest.raises(ImageRefused, match="not what its digest says"):
        list(checked([b"a", b"c"], right, 2))


def test_what_is_made_ahead_ends_with_who_uses_it() -> None:
    made = []

    def make() -> Iterator[bytes]:
        for number in range(1000):
            made.append(number)
            yield b"x"

    pieces = ahead(make())
    assert next(pieces) == b"x"
    pieces.close()
    assert len(made) < 100


def test_a_failure_ahead_is_raised_where_the_pieces_are_used() -> None:
    def make() -> Iterator[bytes]:
        yield b"x"
        raise ImageRefused("no")

    pieces = ahead(make())
    assert next(pieces) == b"x"
    with pytest.raises(ImageRefused, match="no"):
        next(pieces)
