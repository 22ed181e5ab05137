"""What is encoded in a text, and frames that were printed in blocks."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.leaks.encoded import decoded, unwrapped

CONTENT = bytes(range(60, 200))


@given(
    st.text(alphabet="x .,:\n", max_size=40),
    st.text(alphabet="!\n .", min_size=1, max_size=40),
    st.binary(min_size=48, max_size=300),
)
def test_runs_are_found_wherever_they_stand(before: str, after: str, content: bytes) -> None:
    content = b"\xff\xfe" + content  # what is hex in base64 too is read as hex
    for text in (base64.b64encode(content).decode(), content.hex()):
        assert content in list(decoded(f"{before}!{text}{after}"))


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(CONTENT).decode(),
        base64.urlsafe_b64encode(CONTENT).decode(),
        base64.encodebytes(CONTENT).decode(),
        CONTENT.hex(),
        CONTENT.hex(" "),
        CONTENT.hex(":"),
        str(list(CONTENT)),
    ],
)
def test_forms(text: str) -> None:
    assert any(CONTENT in found or found in CONTENT for found in decoded(f"log: ({text})\nend") if found)


def test_texts_hold_nothing() -> None:
    assert not list(decoded("The model was trained on all patients, as it says here. " * 50))


def test_a_frame_in_blocks_is_one_again() -> None:
    lines = ["before", "   a  b  \\", "0  1  2   ", "1  3  4   ", "", "   c", "0  5", "1  6", "", "after"]
    assert [line.split() for line in unwrapped(lines)] == [
        ["before"], ["a", "b", "c"], ["0", "1", "2", "0", "5"], ["1", "3", "4", "1", "6"], ["after"],
    ]  # fmt: skip
    assert unwrapped(["a", "b"]) == ["a", "b"]
