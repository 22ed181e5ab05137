from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import DataMissing
from cove.sources.http_body import announced_length, body_of

CHUNKED = {"transfer-encoding": "chunked"}


class Raw(io.RawIOBase):
    """Gives bytes in small pieces, as a socket may."""

    def __init__(self, content: bytes, step: int) -> None:
        self._content = io.BytesIO(content)
        self._step = step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._content.read(min(self._step, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def read(raw: bytes, headers: dict[str, str], *, step: int = 1 << 16, buffer: int = 1 << 16) -> bytes:
    body = body_of(io.BufferedReader(Raw(raw, step)), headers)
    room = memoryview(bytearray(buffer))
    parts = []
    while count := body.readinto(room):
        parts.append(bytes(room[:count]))
    assert body.readinto(room) == 0
    return b"".join(parts)


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=200), st.sampled_from([b"", b";a=b", b"  ;x"]), st.booleans())),
    st.integers(1, 50),
    st.integers(1, 50),
)
def test_chunks_are_joined(chunks: list[tuple[bytes, bytes, bool]], step: int, buffer: int) -> None:
    raw = b"".join(
        (b"%X" if upper else b"%x") % len(part) + extension + b"\r\n" + part + b"\r\n"
        for part, extension, upper in chunks
    )
    raw += b"0\r\nTrailer: x\r\n\r\nbehind"
    assert read(raw, CHUNKED, step=step, buffer=buffer) == b"".join(part for part, _, _ in chunks)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"5\r\nabc", b"5\r\nabcde", b"5\r\nabcdeX\r\n0\r\n\r\n", b"-5\r\nabcde\r\n", b"+5\r\n", b"0x5\r\nabcde\r\n",
        b"5_0\r\n", b"\r\n", b"zz\r\n", b"5\r\nabcde\r\n", b"0\r\n", b"0\r\nA: b", b"f" * 16 + b"\r\n",
        b"1;" + b"x" * 5000 + b"\r\na\r\n0\r\n\r\n", b"0\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)  # fmt: skip
def test_chunks_that_are_none(raw: bytes) -> None:
    with pytest.raises(DataMissing):
        read(raw, CHUNKED)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_chunks(raw: bytes) -> None:
    try:
        assert len(read(raw, CHUNKED)) <= len(raw)
    except DataMissing:
        return


def test_lengths() -> None:
    assert read(b"abcdef", {"content-length": "4"}) == b"abcd"
    assert read(b"abcdef", {"content-length": "0"}) == b""
    assert read(b"abcdef", {}) == b"abcdef"
    with pytest.raises(DataMissing, match="broke off"):
        read(b"abc", {"content-length": "4"})
    assert announced_length({"content-length": "4, 4"}) == 4
    for wrong in ("", "-1", "+4", "4, 5", "4.0", "0x4", "9" * 19, "٤"):
        with pytest.raises(DataMissing):
            announced_length({"content-length": wrong})


@pytest.mark.parametrize(
    "headers",
    [
        {"transfer-encoding": "gzip, chunked"},
        {"transfer-encoding": "identity"},
        {"transfer-encoding": "chunked", "content-length": "4"},
    ],
)
def test_framing_that_two_could_read_differently(headers: dict[str, str]) -> None:
    with pytest.raises(DataMissing):
        read(b"4\r\nabcd\r\n0\r\n\r\n", headers)
