"""The index of an input: sorted keyed hashes that say which rows a cell, or a piece of text, may come from.

A table's part holds, for each row, an anchor per column that points at few rows (36 bits of hash, 24 of the row), and a
mark of 16 bits per compared column. A text's part holds hashes of words in a row, a binary's part those of chunks.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from cove.leaks.cells import Hashes, Level
from cove.leaks.limits import INDEX_MAGIC as MAGIC
from cove.leaks.planning import ColumnFacts, Plan

Marks = npt.NDArray[np.uint16]
Rows = npt.NDArray[np.int64]

ROW_BITS: Final = 24
ROW_MASK: Final = np.uint64((1 << ROW_BITS) - 1)
HASH_MASK: Final = np.uint64(~((1 << (ROW_BITS + 4)) - 1) & (1 << 64) - 1)
MAX_SAME: Final = 4
"""A cell that more rows have points at none of them."""

_COLUMNS: Final = 6
_HEAD: Final = struct.Struct("<Q")
_ALIGN: Final = 64


@dataclass(frozen=True, slots=True)
class TablePart:
    """Rows of a table."""

    plan: Plan
    rows: int
    #: Sorted: hash, place of the anchor's column (15 for a pair), row.
    anchors: Hashes
    #: rows x columns.
    marks: Marks
    #: Sorted hashes of all cells of columns that are anchors in pairs only.
    paired: Hashes
    #: Sorted hashes of runs of equal rows.
    runs: Hashes

    def anchored(self, hashes: Hashes) -> tuple[Rows, Rows, Rows]:
        """Find anchors: places among the hashes asked for, rows, places of columns."""
        wanted = hashes & HASH_MASK
        first = np.searchsorted(self.anchors, wanted)
        places: list[Rows] = []
        rows: list[Rows] = []
        columns: list[Rows] = []
        asked: Rows = np.arange(len(hashes), dtype=np.int64)
        for step in range(MAX_SAME * _COLUMNS):
            if not len(asked):
                break
            at = first + step
            within = at < len(self.anchors)
            asked, wanted, first, at = asked[within], wanted[within], first[within], at[within]
            found = self.anchors[at]
            same = (found & HASH_MASK) == wanted
            asked, wanted, first, found = asked[same], wanted[same], first[same], found[same]
            places.append(asked)
            rows.append((found & ROW_MASK).astype(np.int64))
            columns.append(((found >> np.uint64(ROW_BITS)) & np.uint64(15)).astype(np.int64))
        if not places:
            return asked, asked, asked
        return np.concatenate(places), np.concatenate(rows), np.concatenate(columns)


@dataclass(frozen=True, slots=True)
class WindowPart:
    """Pieces of a text, or of anything else: each counts as a row."""

    #: ``text``, ``binary``, or ``identifiers``.
    kind: str
    hashes: Hashes
    #: Numbers of words of the identifiers.
    lengths: tuple[int, ...] = ()

    def find(self, hashes: Hashes) -> tuple[Rows, Rows]:
        """Find hashes: places among those asked for, rows."""
        if not len(self.hashes):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        asked = np.flatnonzero(self.hashes[at] == hashes)
        return asked, at[asked]


Part = TablePart | WindowPart


@dataclass(frozen=True, slots=True)
class Index:
    """All parts of one input."""

    parts: tuple[Part, ...] = ()
    #: What of the input could not be read, as in ``FileReport.opaque``; empty when all could.
    opaque: str = ""
    rows: int = field(default=0)


def anchor_keys(hashes: Hashes, column: int, rows: Rows) -> Hashes:
    """Pack anchors."""
    return (hashes & HASH_MASK) | np.uint64(column << ROW_BITS) | rows.astype(np.uint64)


def mark_of(hashes: Hashes) -> Marks:
    """Give the 16 bits by which a cell is compared; 0 for an empty one."""
    marks = (hashes >> np.uint64(8)).astype(np.uint16)
    return np.where(hashes == 0, np.uint16(0), np.maximum(marks, np.uint16(1))).astype(np.uint16)


def dump(index: Index) -> list[bytes | memoryview]:
    """Give an index as pieces of bytes: a head in JSON, then arrays, each at a multiple of 64."""
    pieces: list[memoryview] = []
    offset = 0

    def place(array: npt.NDArray[Any]) -> list[Any]:
        nonlocal offset
        view = memoryview(cast("Any", np.ascontiguousarray(array))).cast("B") if array.size else memoryview(b"")
        entry = [offset, array.dtype.str, list(array.shape)]
        padding = -len(view) % _ALIGN
        pieces.extend((view, memoryview(b"\0" * padding)))
        offset += len(view) + padding
        return entry

    parts: list[dict[str, Any]] = []
    for part in index.parts:
        if isinstance(part, TablePart):
            arrays = {name: place(getattr(part, name)) for name in ("anchors", "marks", "paired", "runs")}
            parts.append({"plan": asdict(part.plan), "rows": part.rows, **arrays})
        else:
            parts.append({"kind": part.kind, "hashes": place(part.hashes), "lengths": part.lengths})
    head = json.dumps({"parts": parts, "opaque": index.opaque, "rows": index.rows}).encode()
    start = MAGIC + _HEAD.pack(len(head)) + head
    return [start, b"\0" * (-len(start) % _ALIGN), *pieces]


def load(content: bytes | memoryview | Any) -> Index:  # noqa: ANN401 - a mapped file
    """Read what :func:`dump` wrote, copying no array.

    Raises:
        ValueError: It is no index.
    """
    view = memoryview(content)
    if bytes(view[: len(MAGIC)]) != MAGIC:
        raise ValueError("this is no index")
    (length,) = _HEAD.unpack(view[len(MAGIC) : len(MAGIC) + _HEAD.size])
    begin = len(MAGIC) + _HEAD.size
    head = json.loads(bytes(view[begin : begin + length]))
    base = begin + length + (-(begin + length) % _ALIGN)

    def array(entry: list[Any]) -> npt.NDArray[Any]:
        offset, kind, shape = entry
        count = int(np.prod(shape))
        return np.frombuffer(view, np.dtype(kind), count, base + offset if count else 0).reshape(shape)

    parts: list[Part] = []
    for part in head["parts"]:
        if "plan" in part:
            arrays = {name: array(part[name]) for name in ("anchors", "marks", "paired", "runs")}
            parts.append(TablePart(_plan(part["plan"]), part["rows"], **arrays))
        else:
            parts.append(WindowPart(part["kind"], array(part["hashes"]), tuple(part["lengths"])))
    return Index(tuple(parts), head["opaque"], head["rows"])


def dumped(index: Index) -> bytes:
    """Give an index as bytes."""
    out = io.BytesIO()
    for piece in dump(index):
        out.write(piece)
    return out.getvalue()


def _plan(found: dict[str, Any]) -> Plan:
    columns = tuple(
        ColumnFacts(c["name"], c["place"], Level(c["level"]), c["bits"], tuple(c["heavy"])) for c in found["columns"]
    )
    return Plan(
        columns,
        tuple(tuple(line) for line in found["dependence"]),
        tuple(found["singles"]),
        tuple((pair[0], pair[1]) for pair in found["pairs"]),
        found["run"],
    )


def unique_sorted(pieces: Sequence[Hashes]) -> Hashes:
    """Give the distinct values of all pieces, sorted; 0 is left out."""
    if not pieces:
        return np.zeros(0, np.uint64)
    values = np.unique(np.concatenate(pieces))
    return values[1:] if len(values) and values[0] == 0 else values
