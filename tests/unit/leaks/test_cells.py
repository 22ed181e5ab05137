"""A cell is the same cell however it is written."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.leakcheck import HASHING

from cove.leaks.cells import Level, canonical_text, number_of
from cove.leaks.matching import masked
from cove.leaks.words import split, split_lines, stepped_windows

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False).map(lambda number: round(number, 4))


def hashes(cells: object, level: Level = Level.HUNDREDTHS) -> list[int]:
    return [int(found) for found in HASHING.at(HASHING.column(cells), level)]


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_numbers_are_the_same_as_texts_and_as_arrays(numbers: list[float]) -> None:
    pa = pytest.importorskip("pyarrow")
    wanted = hashes(np.array(numbers))
    assert hashes([repr(number) for number in numbers]) == wanted
    assert hashes([f' "{number:.4f}" ' for number in numbers]) == wanted
    assert hashes(pa.array(numbers)) == wanted
    assert hashes(pa.array([repr(number) for number in numbers])) == wanted
    assert 0 not in wanted


@given(NUMBERS)
def test_numbers_are_kept_at_two_decimals(number: float) -> None:
    # Between two, NumPy goes to the even one, and a printed number to where its double lies.
    assert hashes([repr(number)]) == hashes([repr(round(number, 2))]) or abs(number * 100 % 1 - 0.5) < 1e-4
    assert hashes([repr(number)]) == hashes([repr(float(np.round(number, 2)))])
    assert hashes([repr(number)]) != hashes([repr(round(number, 2) + 0.02)])  # of a half, 0.01 may be it


@given(st.floats(1e-6, 1e6).map(lambda number: float(f"{number:.6g}")))
def test_fine_numbers_are_kept_at_four_digits(number: float) -> None:
    assert hashes([repr(number)], Level.DIGITS) == hashes([f"{float(f'{number:.4g}')!r}"], Level.DIGITS) or _half(
        number
    )
    assert hashes([repr(number)], Level.DIGITS) != hashes([repr(number * 1.01)], Level.DIGITS)


def _half(number: float) -> bool:
    """Say whether it stands between two, where a double's last bit decides."""
    digits = number / 10.0 ** (math.floor(math.log10(number)) - 3)
    return abs(digits % 1 - 0.5) < 1e-3


@given(st.lists(st.one_of(st.none(), st.text(max_size=12), st.integers().map(str)), max_size=20))
def test_arrow_and_lists_agree(cells: list[str | None]) -> None:
    pa = pytest.importorskip("pyarrow")
    cells = [cell if cell is None else cell.encode("utf-8", "ignore").decode() for cell in cells]
    assert hashes(pa.array(cells, pa.string())) == hashes(cells)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" Rome ", "rome"),
        ('"Rome"', "ROME"),
        ("2024-01-05T00:00:00", "2024-01-05"),
        ("2024-01-05 00:00:00", "2024-01-05"),
        ("2024-01-05T10:11:12.500000", "2024-01-05 10:11:12.5"),
        ("1e3", "1000.0"),
        ("+5", "5"),
        ("-0.0", "0"),
    ],
)
def test_what_is_the_same(one: str, other: str) -> None:
    assert hashes([one]) == hashes([other])


@pytest.mark.parametrize("nothing", ["", "  ", "NaN", "null", "None", "N/A", "<NA>", "inf"[:0]])
def test_what_says_nothing(nothing: str) -> None:
    assert hashes([nothing]) == [0]


def test_long_numbers_are_texts() -> None:
    assert number_of("1234567890123456789") is None
    assert hashes(["1234567890123456789"]) != hashes(["1234567890123456788"])


@given(st.text(max_size=40))
def test_what_writers_add_changes_no_text(text: str) -> None:
    assert canonical_text(f' "{text}" ') == canonical_text(text)


@given(st.integers(1, 1 << 62), st.integers(1, 1 << 62))
def test_pairs_have_no_order_and_do_not_cancel(one: int, other: int) -> None:
    first, second = np.array([one], np.uint64), np.array([other], np.uint64)
    assert HASHING.pair(first, second) == HASHING.pair(second, first)
    assert HASHING.pair(first, first) != HASHING.pair(second, second) or one == other


@given(st.text(max_size=60))
def test_masks_show_one_character(word: str) -> None:
    shown = masked(word)
    assert set(shown[1:]) <= {"*"}
    assert len(shown) <= 41


@given(st.lists(st.integers(1, 50), min_size=8, max_size=80), st.integers(2, 8))
def test_windows_overlap(numbers: list[int], width: int) -> None:
    cells = HASHING.mix(np.array(numbers, np.uint64), 1)
    windows = HASHING.windows(cells, width)
    assert len(windows) == len(cells) - width + 1
    assert set(stepped_windows(HASHING, cells, width).tolist()) <= set(windows.tolist())
    moved = HASHING.windows(np.concatenate((HASHING.mix(np.array([99], np.uint64), 1), cells)), width)
    assert (moved[1:] == windows).all()


@given(st.text(alphabet="ab1.:-,;\"'[]{} \n\t=", max_size=80))
def test_words_are_those_of_their_lines(text: str) -> None:
    words, lines = split_lines(text)
    by_line = [split(line) for line in text.split("\n")]
    assert words == [word for line in by_line for word in line]
    assert lines.tolist() == [number for number, line in enumerate(by_line) for _ in line]


def test_times_are_words() -> None:
    assert split("at 10:11:12, a: 5") == ["at", "10:11:12", "a", "5"]
    assert split("{'a':5,\"b\":10:11} c:6 d=7 http://x") == ["a", "5", "b", "10:11", "6", "d", "7", "http://x"]


@given(st.text(st.sampled_from("ab:1 \n\r\t\x0b\x1f\x85\xa0\u2003\u2028,;é漢")))
def test_the_line_of_each_word_is_known(text: str) -> None:
    words, lines = split_lines(text)
    apart = text.replace(",", " ").replace(";", " ")
    by_line = [line.split() for line in apart.split("\n")]
    assert lines.tolist() == [number for number, line in enumerate(by_line) for _ in line]
    assert words == split(text)
