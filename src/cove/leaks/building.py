"""Builds the index of an input from what readers give, a piece at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from cove.leaks.cells import Column, Hashes, Hashing, Level
from cove.leaks.chunks import chunk_hashes
from cove.leaks.index import (
    HASH_MASK,
    MAX_SAME,
    ROW_MASK,
    Index,
    Marks,
    Part,
    Rows,
    TablePart,
    WindowPart,
    anchor_keys,
    mark_of,
    unique_sorted,
)
from cove.leaks.planning import MAX_ANCHORS, Plan, plan_of
from cove.leaks.words import WINDOW, identifier_hashes, stepped_windows

PART_ROWS: Final = 1 << 21
PAIR: Final = 15
_COMPACT: Final = 8


class Builder:
    """Collects an input's rows.

    Args:
        hashing: The provider's.
        identifiers: Names of columns each value of which is searched by itself.
        expected_rows: Of the largest table, as far as anybody can tell.
    """

    def __init__(self, hashing: Hashing, identifiers: frozenset[str], expected_rows: int = 100_000) -> None:
        self._hashing = hashing
        self._identifiers = frozenset(name.strip().lower() for name in identifiers)
        self._expected = expected_rows
        self._tables: dict[tuple[str, ...], _TableBuilder] = {}
        self._parts: list[Part] = []
        self._texts: list[Hashes] = []
        self._binary: list[Hashes] = []
        self._known: list[Hashes] = []
        self._lengths: set[int] = set()
        self._rows = 0

    def table(self, names: Sequence[str], columns: Sequence[Column], cells: Sequence[object]) -> None:
        """Take rows of a table.

        Args:
            names: Of its columns.
            columns: Understood.
            cells: The same as they were read, for identifiers.
        """
        key = tuple(names)
        count = len(columns[0]) if columns else 0
        if not count:
            return
        if key not in self._tables:
            self._tables[key] = _TableBuilder(plan_of(self._hashing, names, columns, max(self._expected, count)))
        builder = self._tables[key]
        builder.add(self._hashing, columns)
        self._rows += count
        if builder.rows >= PART_ROWS:
            self._parts.append(builder.finish())
            self._tables[key] = _TableBuilder(builder.plan)
        for name, column in zip(names, cells, strict=False):
            if name.strip().lower() in self._identifiers:
                hashes, lengths = identifier_hashes(self._hashing, column)
                self._known.append(hashes)
                self._lengths |= lengths

    def text(self, tokens: Hashes) -> None:
        """Take words of a text in their order."""
        self._texts.append(stepped_windows(self._hashing, tokens, WINDOW))
        self._rows += len(self._texts[-1])

    def binary(self, content: bytes) -> None:
        """Take bytes that nobody understands."""
        self._binary.append(chunk_hashes(self._hashing, content))
        self._rows += len(self._binary[-1])

    def finish(self, opaque: str = "") -> Index:
        """Give the index."""
        parts = [*self._parts, *(builder.finish() for builder in self._tables.values() if builder.rows)]
        for kind, pieces in (("text", self._texts), ("binary", self._binary)):
            if pieces:
                parts.append(WindowPart(kind, unique_sorted(pieces)))
        if self._known:
            parts.append(WindowPart("identifiers", unique_sorted(self._known), tuple(sorted(self._lengths))))
        return Index(tuple(parts), opaque, self._rows)


class _TableBuilder:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rows = 0
        self._anchors: list[Hashes] = []
        self._marks: list[Marks] = []
        self._paired: list[Hashes] = []
        self._runs: list[Hashes] = []
        self._left = np.zeros(0, np.uint64)

    def add(self, hashing: Hashing, columns: Sequence[Column]) -> None:
        plan = self.plan
        hashes = [hashing.at(columns[facts.place], facts.level) for facts in plan.columns]
        count = len(columns[0])
        rows = np.arange(self.rows, self.rows + count, dtype=np.int64)
        marks = np.zeros((count, len(hashes)), np.uint16)
        for place, column in enumerate(hashes):
            marks[:, place] = mark_of(column)
        self._marks.append(marks)
        telling = [
            np.where(np.isin(column, np.array(facts.heavy, np.uint64)), np.uint64(0), column) if facts.heavy else column
            for facts, column in zip(plan.columns, hashes, strict=True)
        ]
        for order, place in enumerate(plan.singles):
            chosen = telling[place] != 0
            if len(plan.singles) > MAX_ANCHORS:  # each row by other columns, so that no choice of columns misses all
                chosen &= (rows + order) % len(plan.singles) < MAX_ANCHORS
            self._anchors.append(anchor_keys(telling[place][chosen], place, rows[chosen]))
        for one, other in plan.pairs:
            chosen = (telling[one] != 0) & (telling[other] != 0)
            joint = hashing.pair(telling[one][chosen], telling[other][chosen])
            self._anchors.append(anchor_keys(joint, PAIR, rows[chosen]))
        for place in {place for pair in plan.pairs for place in pair}:
            self._paired.append(unique_sorted([telling[place]]))
        if len(self._paired) > _COMPACT * len(plan.columns):
            self._paired = [unique_sorted(self._paired)]
        if plan.run:
            self._add_runs(hashing, columns)
        self.rows += count

    def finish(self) -> TablePart:
        marks = np.concatenate(self._marks)
        self._marks.clear()
        anchors = np.concatenate(self._anchors) if self._anchors else np.zeros(0, np.uint64)
        self._anchors.clear()
        anchors.sort()
        return TablePart(
            self.plan,
            self.rows,
            _telling(anchors, marks),
            marks,
            unique_sorted(self._paired),
            unique_sorted(self._runs),
        )

    def _add_runs(self, hashing: Hashing, columns: Sequence[Column]) -> None:
        rows = np.concatenate((self._left, row_hashes(hashing, columns)))
        self._runs.append(stepped_windows(hashing, rows, self.plan.run))
        self._left = rows[len(rows) - len(rows) % self.plan.run :]


def row_hashes(hashing: Hashing, columns: Sequence[Column]) -> Hashes:
    """Hash whole rows, whatever the order of their columns."""
    total = np.zeros(len(columns[0]), np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            total += hashing.mix(hashing.at(column, Level.HUNDREDTHS), 13)
    return hashing.mix(total, 17)


def _telling(anchors: Hashes, marks: Marks) -> Hashes:
    """Leave out what too many rows have; rows that are equal count as one."""
    if len(anchors) <= MAX_SAME:
        return anchors
    same = np.flatnonzero((anchors[1:] & HASH_MASK) == (anchors[:-1] & HASH_MASK)) + 1
    if len(same):
        here: Rows = (anchors[same] & ROW_MASK).astype(np.int64)
        before: Rows = (anchors[same - 1] & ROW_MASK).astype(np.int64)
        keep = np.ones(len(anchors), bool)
        keep[same[(marks[here] == marks[before]).all(axis=1)]] = False
        anchors = anchors[keep]
    if len(anchors) <= MAX_SAME:
        return anchors
    hashes = anchors & ~ROW_MASK  # a value of two columns is one of each
    crowded = np.flatnonzero(hashes[MAX_SAME:] == hashes[:-MAX_SAME])
    if not len(crowded):
        return anchors
    return anchors[~np.isin(hashes, hashes[crowded])]
