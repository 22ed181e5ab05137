"""Compares what an output says with an index: candidates by anchors, then all columns, then what chance would give.

Evidence is counted in bits: what the columns tell that agree, less what was tried. Rows are counted when chance
explains none of them, or far fewer (``counted``): so other people's rows of the same form are no leak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cove.leaks.cells import Floats, Hashes, Hashing
from cove.leaks.index import HASH_MASK, ROW_BITS, Marks, Rows, TablePart, WindowPart, mark_of
from cove.leaks.streams import Stream
from cove.leaks.words import WINDOW

_BLOCK: Final = 16_384
_MOST: Final = 3_000_000
_CHANCE: Final = 0.01
_SHARE: Final = 0.002
_TRIES: Final = 3.0
_OTHER_TRIES: Final = 2.0
_WEAKEST: Final = -24
_ANCHOR_BITS: Final = 34.0
_MARK_BITS: Final = 16.0
_MANY: Final = 50_000
_EXAMPLES: Final = 3
_AT_ONCE: Final = 200
_FEW: Final = 4096
_LEAST_BITS: Final = 8.0
_PAIR: Final = 15
_SHOWN: Final = 12


@dataclass
class Found:
    """Rows of one part that an output, or all outputs, may hold."""

    rows: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    #: All that speaks for each.
    bits: Floats = field(default_factory=lambda: np.zeros(0))
    #: What does so beside the cell by which it was found, which may be there for reasons of its own.
    beside: Floats = field(default_factory=lambda: np.zeros(0))
    #: How many cells of outputs were compared.
    cells: int = 0
    #: How many times one of them pointed at a row.
    candidates: int = 0
    examples: tuple[str, ...] = ()

    _later: list[Found] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take what was found elsewhere, each row at its best."""
        self.cells += other.cells
        self.candidates += other.candidates
        self.examples = (*self.examples, *other.examples)[:_EXAMPLES]
        other.settle()
        if len(other.rows):
            self._later.append(other)
            if len(self._later) > _AT_ONCE:
                self.settle()

    def settle(self) -> None:
        """Put together what was taken: many small ones in one go."""
        if not self._later:
            return
        found = [self, *self._later]
        rows, bits = np.concatenate([one.rows for one in found]), np.concatenate([one.bits for one in found])
        beside = np.concatenate([one.beside for one in found])
        self._later = []
        order = np.lexsort((-bits, rows))
        rows, bits, beside = rows[order], bits[order], beside[order]
        first = np.ones(len(rows), bool)
        first[1:] = rows[1:] != rows[:-1]
        self.rows, self.bits, self.beside = rows[first], bits[first], beside[first]


def counted(found: Found, rows: int) -> int:
    """Say how many rows are no chance.

    Args:
        found: Candidates with their evidence.
        rows: Of the input.
    """
    found.settle()
    if not len(found.rows):
        return 0
    by_all = found.bits - math.log2(max(1, rows)) - math.log2(max(1, found.cells)) - _TRIES
    by_others = found.beside - math.log2(max(1, found.candidates)) - _OTHER_TRIES
    score = np.sort(np.minimum(by_all, by_others))[::-1]
    best = 0
    for least in range(math.floor(float(score[0])), _WEAKEST, -1):
        count = int(np.searchsorted(-score, -least, "right"))
        chance = 2.0**-least
        if count and (
            chance <= max(_CHANCE, _SHARE * count) or count - best > 3.0 * chance + 10.0 * math.sqrt(chance) + 3.0
        ):
            best = count
    return best


def masked(word: str) -> str:
    """Show a value by its first character and its length."""
    word = word.strip()
    return word[:1] + "*" * min(len(word) - 1, 40) if word else ""


def match_table(hashing: Hashing, part: TablePart, stream: Stream) -> Found:
    """Find rows of a table."""
    if np.count_nonzero(stream.hashes[0]) < 2:  # noqa: PLR2004 - one cell is no row
        return Found(cells=len(stream))
    places, rows, columns = _candidates(hashing, part, stream)
    marks = (mark_of(stream.hashes[0]), mark_of(stream.hashes[1]))
    places, rows, columns = _distinct(stream, places, rows, columns)
    kept: list[tuple[Rows, Rows, Floats, Floats]] = []
    for start in range(0, min(len(places), _MOST), _BLOCK):
        block = slice(start, start + _BLOCK)
        bits, beside = _evidence(part, stream, marks, (places[block], rows[block], columns[block]))
        enough = (beside > 0.0) & (bits >= _LEAST_BITS)  # one column is no row
        kept.append((places[block][enough], rows[block][enough], bits[enough], beside[enough]))
    found = Found(cells=len(stream), candidates=len(places))
    if kept:
        place, row, bit, other = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        best = place[np.argsort(-bit)[:_EXAMPLES]]
        found.add(Found(row, bit, other, examples=tuple(_example(stream, int(at)) for at in best)))
    return found


def match_windows(hashing: Hashing, part: WindowPart, stream: Stream) -> tuple[Rows, Rows]:
    """Find pieces of a text, or identifiers: places in the stream, rows."""
    words = stream.hashes[0]
    places, rows = [], []
    for width in part.lengths if part.kind == "identifiers" else (WINDOW,):
        at, row = part.find(hashing.windows(words, width))
        places.append(at)
        rows.append(row)
    return np.concatenate(places), np.concatenate(rows)


def match_runs(hashing: Hashing, part: TablePart, rows: Hashes) -> int:
    """Count the rows of runs of equal rows.

    Args:
        hashing: The provider's.
        part: Of the input.
        rows: Hashes of an output's rows.
    """
    if not part.plan.run or not len(part.runs):
        return 0
    windows = hashing.windows(rows, part.plan.run)
    return int(np.isin(part.runs, windows).sum()) * part.plan.run


def _candidates(hashing: Hashing, part: TablePart, stream: Stream) -> tuple[Rows, Rows, Rows]:
    """Give places in the stream, rows they may come from, and by which column."""
    levels = {part.plan.columns[place].level for place in part.plan.singles}
    asked = [(np.flatnonzero(stream.hashes[level]), stream.hashes[level]) for level in levels]
    places = [place for place, _ in asked]
    hashes = [all_of[place] for place, all_of in asked]
    if part.plan.pairs:
        for one, joint in _joined(hashing, part, stream):
            places.append(one)
            hashes.append(joint)
    if not places or not len(part.anchors):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    place, wanted = np.concatenate(places), np.concatenate(hashes)
    if len(wanted) > _MANY:
        likely = _likely(part.anchors, wanted)
        place, wanted = place[likely], wanted[likely]
    at, rows, columns = part.anchored(wanted)
    return place[at], rows, columns


def _distinct(stream: Stream, places: Rows, rows: Rows, columns: Rows) -> tuple[Rows, Rows, Rows]:
    """Leave one candidate of those that say that a window is a row: by the column that tells most."""
    order = np.argsort(columns, kind="stable")
    places, rows, columns = places[order], rows[order], columns[order]
    _, first = np.unique(stream.low[places] << np.int64(ROW_BITS) | rows, return_index=True)
    return places[first], rows[first], columns[first]


def _likely(anchors: Hashes, wanted: Hashes) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Leave out most of what is not there: of many by a table of bits, which is faster than a search."""
    found: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    if not len(anchors):
        return np.zeros(len(wanted), bool)
    if len(wanted) < _FEW:
        at = np.minimum(np.searchsorted(anchors, wanted & HASH_MASK), len(anchors) - 1)
        found = (anchors[at] & HASH_MASK) == (wanted & HASH_MASK)
        return found
    shift = np.uint64(64 - min(26, max(16, (len(anchors) * 8).bit_length())))
    there = np.zeros(1 << (64 - int(shift)), bool)
    there[(anchors & HASH_MASK) >> shift] = True
    found = there[(wanted & HASH_MASK) >> shift]
    return found


def _joined(hashing: Hashing, part: TablePart, stream: Stream) -> list[tuple[Rows, Hashes]]:
    """Hash the pairs of cells within each window that may both be in pairs of the index."""
    levels = {part.plan.columns[place].level for pair in part.plan.pairs for place in pair}
    places, hashes = [], []
    for level in levels:
        of_level = stream.hashes[level]
        kept = np.flatnonzero(_likely(part.paired, of_level) & (of_level != 0))
        places.append(kept)
        hashes.append(of_level[kept])
    place, cells = np.concatenate(places), np.concatenate(hashes)
    order = np.argsort(place, kind="stable")
    place, cells = place[order], cells[order]
    found: list[tuple[Rows, Hashes]] = []
    for step in range(1, len(place)):
        near = np.flatnonzero(place[step:] < stream.high[place[:-step]])
        if not len(near):
            break
        near = near[place[near] != place[near + step]]
        found.append((place[near], hashing.pair(cells[near], cells[near + step])))
    return found


def _evidence(
    part: TablePart, stream: Stream, marks: tuple[Marks, Marks], candidates: tuple[Rows, Rows, Rows]
) -> tuple[Floats, Floats]:
    """Count the bits of the columns that agree, and those of all but the column that a candidate was found by.

    A cell that stands farther from the one that was found is one of more that may agree by chance.
    """
    places, rows, columns = candidates
    low, high = stream.low[places], stream.high[places]
    window = low[:, None] + np.arange(int((high - low).max()))
    far = np.abs(window - places[:, None])
    nowhere = int(far.max()) + 1  # farther than any cell, also where all windows are of one width
    tried = np.log2(2.0 * np.arange(nowhere + 1) + 1.0)
    far = np.where(window < high[:, None], far, nowhere).astype(np.int16)
    window = np.minimum(window, len(stream) - 1)
    here = {level: marks[level][window] for level in {facts.level for facts in part.plan.columns}}
    theirs = part.marks[rows]
    equal = np.zeros(theirs.shape, bool)
    bits, most_of_one = np.zeros(len(places)), np.zeros(len(places))
    for place, facts in enumerate(part.plan.columns):
        mark = theirs[:, place]
        away = np.where(here[facts.level] == mark[:, None], far, nowhere).min(axis=1)
        agrees = (away < nowhere) & (mark != 0)
        told = np.zeros(len(places))
        for earlier in range(place):
            agrees &= ~(equal[:, earlier] & (theirs[:, earlier] == mark))
            told = np.maximum(told, equal[:, earlier] * part.plan.dependence[place][earlier])
        equal[:, place] = agrees
        most = np.where(columns == place, min(facts.bits, _ANCHOR_BITS), min(facts.bits, _MARK_BITS))
        own = agrees * np.maximum(0.0, most * (1.0 - told) - tried[away])
        bits += own
        most_of_one = np.where((columns == place) | ((columns == _PAIR) & (own > most_of_one)), own, most_of_one)
    return bits, bits - most_of_one


def _example(stream: Stream, place: int) -> str:
    low, high = int(stream.low[place]), int(stream.high[place])
    return " ".join(masked(stream.word(at)) for at in range(low, min(high, low + _SHOWN)))
