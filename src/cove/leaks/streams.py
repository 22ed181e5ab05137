"""What an output says, as one line of cells: each with a window of others that may be of the same row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from cove.leaks.cells import Column, Floats, Hashes, Hashing, Level
from cove.leaks.index import Rows

MAX_WINDOW = 64
REACH = 24
"""Cells before and behind one that may be of its row, where lines do not tell."""

_LINE = 4
ALL = frozenset(Level)


@dataclass(frozen=True, slots=True)
class Stream:
    """Cells in their order."""

    #: By level; 0 where a cell says nothing.
    hashes: tuple[Hashes, Hashes]
    #: The window of each cell: from this place
    low: Rows
    #: to the one before this.
    high: Rows
    #: Gives the text of the cell at a place.
    word: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.low)


def of_table(
    hashing: Hashing, columns: Sequence[Column], word: Callable[[int, int], str], levels: Collection[Level] = ALL
) -> Stream:
    """Give a table's cells, row by row.

    Args:
        hashing: The provider's.
        columns: At least one.
        word: Gives the text of a cell by row and column.
        levels: Those that are asked for.
    """
    width, rows = len(columns), len(columns[0])
    place = np.arange(width * rows, dtype=np.int64)
    low = place // width * width
    high = low + width
    if width > MAX_WINDOW:
        low, high = np.maximum(low, place - REACH), np.minimum(high, place + REACH + 1)
    return Stream(_levels(hashing, columns, levels), low, high, lambda place: word(place // width, place % width))


def of_words(hashing: Hashing, words: Sequence[str], lines: Rows, levels: Collection[Level] = ALL) -> Stream:
    """Give a text's words.

    Args:
        hashing: The provider's.
        words: In their order.
        lines: For each word, the number of its line; it never falls.
        levels: Those that are asked for.
    """
    column = hashing.column(_quick(words))
    first = np.searchsorted(lines, lines, "left").astype(np.int64)
    last = np.searchsorted(lines, lines, "right").astype(np.int64)
    return _windowed(hashing, column, (first, last), lambda place: words[place], levels)


def of_numbers(hashing: Hashing, numbers: Floats, levels: Collection[Level] = ALL) -> Stream:
    """Give numbers that nobody said the rows of."""
    nothing = np.zeros(len(numbers), np.int64)
    return _windowed(
        hashing, hashing.column(numbers), (nothing, nothing), lambda place: repr(float(numbers[place])), levels
    )


def _windowed(
    hashing: Hashing, column: Column, line: tuple[Rows, Rows], word: Callable[[int], str], levels: Collection[Level]
) -> Stream:
    """Take a line as a window when it has the length of a row, else the neighbourhood."""
    first, last = line
    count = len(column)
    place = np.arange(count, dtype=np.int64)
    is_row = (last - first >= _LINE) & (last - first <= MAX_WINDOW)
    low = np.where(is_row, first, np.maximum(0, place - REACH))
    high = np.where(is_row, last, np.minimum(count, place + REACH + 1))
    return Stream(_levels(hashing, [column], levels), low, high, word)


def _levels(hashing: Hashing, columns: Sequence[Column], levels: Collection[Level]) -> tuple[Hashes, Hashes]:
    """Hash cells at the levels that are asked for; the coarser one stands for a finer one that is not."""
    found = [
        np.stack([hashing.at(column, level) for column in columns], axis=1).reshape(-1)
        if len(columns) > 1
        else hashing.at(columns[0], level)
        for level in Level
        if level == Level.HUNDREDTHS or level in levels
    ]
    return found[0], found[-1]


_MANY = 50_000


def _quick(words: Sequence[str]) -> object:
    """Give many words to Arrow."""
    if len(words) < _MANY:
        return words
    import pyarrow as pa  # noqa: PLC0415 - loading it takes a quarter of a second

    return pa.array(words, pa.large_string())


def line_hashes(hashing: Hashing, stream: Stream, lines: Rows) -> Hashes:
    """Hash the lines of a text, whatever the order of their words, as ``building.row_hashes`` does with rows."""
    if not len(lines):
        return np.zeros(0, np.uint64)
    starts = np.flatnonzero(np.diff(lines, prepend=lines[0] - 1))
    with np.errstate(over="ignore"):
        return hashing.mix(np.add.reduceat(hashing.mix(stream.hashes[0], 13), starts), 17)
