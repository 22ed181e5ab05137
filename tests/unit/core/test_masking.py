from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from cove.core.masking import MAX_PREVIEW, difference, masked, preview


def test_a_value_keeps_its_first_character_and_its_length() -> None:
    assert masked("Ann Smith,41,128.5\nÜmit_x") == "A** S****,4*,1**.5\nÜ***_x"


@given(text=st.text())
def test_masking_keeps_lines_and_lengths(text: str) -> None:
    assert len(masked(text)) == len(text)
    assert masked(text).count("\n") == text.count("\n")


@given(content=st.binary(max_size=300))
@example("\u074b".encode())  # nobody has given it a meaning
def test_a_preview_steers_no_terminal(content: bytes) -> None:
    shown = preview(content, len(content))
    assert all(character in "\n\t" or character.isprintable() or character.isspace() for character in shown.text)
    assert "\x1b" not in shown.text
    assert shown.kind == "text" or not shown.text


def test_a_preview_is_the_beginning_and_may_end_within_a_character() -> None:
    content = "ü".encode() * MAX_PREVIEW
    shown = preview(b"a" + content, len(content) + 1)
    assert (shown.kind, shown.whole) == ("text", False)
    assert len(shown.text) == MAX_PREVIEW // 2
    assert preview(b"a\0b", 3).kind == preview(b"\xff\xfe\xfa", 3).kind == "binary"
    assert preview("\u202etxt\x1b[2J".encode(), 11).text == "\\x202etxt\\x1b[2J"


def test_a_difference_shows_changed_lines_masked() -> None:
    found = difference(b"mean,41\nsum,7\n", b"mean,42\nsum,7\nAnn,1\n")
    assert found is not None
    assert "-m***,4*" in found
    assert "+A**,1" in found
    assert "Ann" not in found
    plain = difference(b"a\n", b"Ann\n", plain=True)
    assert plain is not None
    assert "+Ann" in plain
    assert difference(b"a\0", b"a") is None
    assert difference(b"same", b"same") == ""
