"""Ranges and file names of results."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.web.serving import byte_range, disposition, is_held


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("", None),
        ("bytes=0-", (0, 10)),
        ("bytes=0-9", (0, 10)),
        ("Bytes=0-99", (0, 10)),
        ("bytes=3-5", (3, 3)),
        ("bytes=-4", (6, 4)),
        ("bytes=-40", (0, 10)),
        ("bytes=9-9", (9, 1)),
        ("bytes=10-", (10, 0)),
        ("bytes=99-100", (99, 0)),
        ("bytes=-0", (10, 0)),
        ("bytes=-", None),
        ("bytes=5-3", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=0x1-2", None),
        ("bytes=-1-2", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_a_range_is_read_as_the_rfc_says(header: str, span: tuple[int, int] | None) -> None:
    assert byte_range(header, 10) == span


@given(st.integers(0, 200), st.integers(0, 200) | st.none(), st.integers(0, 100))
def test_a_range_gives_what_a_slice_gives(first: int, last: int | None, size: int) -> None:
    content = bytes(size)
    span = byte_range(f"bytes={first}-{'' if last is None else last}", size)
    if span is None:
        assert last is not None
        assert last < first
    else:
        offset, length = span
        assert len(content[first : None if last is None else last + 1]) == length
        assert length == 0 or offset == first


@given(st.text(max_size=40), st.integers(0, 1 << 40))
def test_no_header_leads_outside_of_the_file(header: str, size: int) -> None:
    span = byte_range(f"bytes={header}", size)
    assert span is None or span[1] == 0 or 0 <= span[0] < span[0] + span[1] <= size


@given(st.text(max_size=60))
def test_a_file_name_is_safe_in_a_header(name: str) -> None:
    header = disposition(name.encode("utf-8", "replace").decode())
    assert re.fullmatch(r"attachment;filename=[A-Za-z0-9._-]+(;filename\*=UTF-8''[A-Za-z0-9._~%-]*)?", header)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("sum.json", "attachment;filename=sum.json"),
        ("a/b/sum.json", "attachment;filename=sum.json"),
        ("my sum.json", "attachment;filename=my_sum.json;filename*=UTF-8''my%20sum.json"),
        ("\udcff", "attachment;filename=_;filename*=UTF-8''%3F"),
    ],
)
def test_ocean_js_reads_the_name(name: str, header: str) -> None:
    assert disposition(name) == header
    found = re.search(r"attachment;filename=([^;]+)", header)
    assert found is not None
    assert not set(found[1]) & set("\" '")


@pytest.mark.parametrize(
    ("header", "held"),
    [("", False), ('"x"', True), ('W/"x"', True), ('"a", "x"', True), ("*", True), ('"a"', False), ("x", False)],
)
def test_a_held_copy_is_not_sent_again(header: str, *, held: bool) -> None:
    assert is_held(header, '"x"') is held
