from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import ImageRefused
from cove.core.layers import BLOCK, Kind, Whiteout, parse_header, parse_pax, parts_of, safe_mode, whiteout_of


@pytest.mark.parametrize(
    ("name", "parts"),
    [("/etc/passwd", ("etc", "passwd")), ("./a//b/", ("a", "b")), ("", ()), ("./", ()), ("a/./b", ("a", "b"))],
)
def test_names_are_below_the_image(name: str, parts: tuple[str, ...]) -> None:
    assert parts_of(name) == parts


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/..", "a/..", "x" * 256, "a\0b", "/".join("a" * 300)])
def test_names_that_lead_out_or_are_none_are_refused(name: str) -> None:
    with pytest.raises(ImageRefused):
        parts_of(name)


@given(st.text(alphabet="./ab\0", max_size=40))
def test_no_name_leads_out(name: str) -> None:
    try:
        parts = parts_of(name)
    except ImageRefused:
        return
    assert not {"", ".", ".."} & set(parts)
    assert not any("/" in part or "\0" in part for part in parts)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("x", (Whiteout.NONE, "")),
        (".wh.x", (Whiteout.ONE, "x")),
        (".wh..wh..opq", (Whiteout.ALL, "")),
        (".wh..wh.plnk", (Whiteout.MARK, "")),
        (".wh..bashrc", (Whiteout.ONE, ".bashrc")),
        ("x.wh.y", (Whiteout.NONE, "")),
    ],
)
def test_whiteouts_are_told_by_the_name(name: str, meaning: tuple[Whiteout, str]) -> None:
    assert whiteout_of(name) == meaning


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh..."])
def test_a_whiteout_of_something_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ImageRefused, match="leads out"):
        whiteout_of(name)


@given(st.integers(0, 0o7777), st.sampled_from(Kind))
def test_everybody_may_read_and_nothing_is_set_id(mode: int, kind: Kind) -> None:
    given_mode = safe_mode(kind, mode)
    assert given_mode & 0o7000 == 0
    assert given_mode & 0o022 == 0
    assert given_mode & 0o444 == 0o444


@given(st.binary(min_size=BLOCK, max_size=BLOCK))
def test_any_block_is_a_header_or_refused(block: bytes) -> None:
    total = sum(block[:148]) + 256 + sum(block[156:])
    for tried in (block, block[:148] + b"%06o\0 " % total + block[156:]):
        try:
            entry = parse_header(tried)
        except ImageRefused:
            continue
        assert entry is None or (entry.size >= 0 and entry.modified_ns >= 0)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_pax_header_or_refused(content: bytes) -> None:
    try:
        parse_pax(content)
    except ImageRefused:
        return


def test_attributes_are_not_taken_over() -> None:
    assert parse_pax(b"12 path=abc\n30 SCHILY.xattr.security.c=xx\n") == {"path": "abc"}
