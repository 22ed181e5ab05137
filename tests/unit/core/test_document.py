"""Opening published documents: what fits comes out, bombs and forgeries do not."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.document import COMPRESSED, ENCRYPTED, MAX_DOCUMENT_BYTES, decode_document, is_document_of
from cove.core.errors import Invalid


def scramble(data: bytes) -> bytes:
    return bytes(byte ^ 0x5A for byte in data)


def digest(plain: bytes) -> bytes:
    return hashlib.sha256(plain).digest()


@given(st.binary(max_size=3000), st.sampled_from([0, COMPRESSED, ENCRYPTED, COMPRESSED | ENCRYPTED]))
def test_what_was_published_comes_out(plain: bytes, flags: int) -> None:
    data = lzma.compress(plain) if flags & COMPRESSED else plain
    data = scramble(data) if flags & ENCRYPTED else data
    assert decode_document(data, flags, digest(plain), scramble) == plain


def test_the_older_form_of_lzma_is_read_too() -> None:
    assert decode_document(lzma.compress(b"{}", lzma.FORMAT_ALONE), COMPRESSED, digest(b"{}"), scramble) == b"{}"


def test_another_document_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        decode_document(b"{}", 0, digest(b"[]"), scramble)
    assert caught.value.errors == {"documentHash": ["Checksum doesn't match."]}


@given(st.binary(max_size=400))
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        decode_document(data, COMPRESSED, digest(b"x"), scramble)


def test_a_broken_off_document_is_refused() -> None:
    data = lzma.compress(b"a" * 1000)
    with pytest.raises(Invalid):
        decode_document(data[:-10], COMPRESSED, digest(b"a" * 1000), scramble)


#: In a process of its own, whose memory is its alone.
_REFUSING = """
import sys
from cove.core.document import COMPRESSED, decode_document
from cove.core.errors import Invalid
from tests.support.memory import forget_peak, peak
bomb = sys.stdin.buffer.read()
before = forget_peak()
try:
    decode_document(bomb, COMPRESSED, b"", bytes)
except Invalid:
    print(peak() - before)
"""


def test_a_bomb_is_refused_in_bounded_memory() -> None:
    """40 KB that are 256 MB."""
    compressor = lzma.LZMACompressor(preset=0)
    block = b"\0" * (1 << 20)
    bomb = b"".join([*(compressor.compress(block) for _ in range(256)), compressor.flush()])
    assert len(bomb) < 64_000
    words = [sys.executable, "-c", _REFUSING]
    told = subprocess.run(words, input=bomb, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3], check=True).stdout
    assert 0 < int(told) < 4 * MAX_DOCUMENT_BYTES


def test_a_dictionary_of_gigabytes_is_refused() -> None:
    """The header alone may ask for 4 GiB of memory."""
    header = b"\x5d" + (0xFFFFFFFF).to_bytes(4, "little") + b"\xff" * 8
    with pytest.raises(Invalid):
        decode_document(header + b"\0" * 100, COMPRESSED, digest(b""), scramble)


def test_the_largest_document_has_an_end_without_compression_too() -> None:
    plain = b"\0" * (MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(Invalid):
        decode_document(plain, 0, digest(plain), scramble)


@pytest.mark.parametrize(
    ("plain", "is_one"),
    [
        (b'{"id":"did:op:AB"}', True),
        (b'{"id":"did:op:ac"}', False),
        (b'{"datatokenAddress":"0x1","nftAddress":"0x2","files":[]}', False),
        (b'[{"id":"did:op:ab"}]', False),
        (b'{"id":["did:op:ab"]}', False),
        (b"\xff", False),
        (b"[" * 100_000, False),
    ],
)
def test_a_document_says_itself_whose_it_is(plain: bytes, *, is_one: bool) -> None:
    assert is_document_of(plain, "did:op:ab") == is_one
