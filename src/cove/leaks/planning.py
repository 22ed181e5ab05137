"""Which cells tell one row from another: entropy of columns, their dependence, and the anchors of an index.

All of it is estimated from the first rows of a table, after rounding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cove.leaks.cells import Column, Floats, Hashes, Hashing, Level

SAMPLE: Final = 32_768
MAX_COLUMNS: Final = 12
"""So many columns of a table, those that tell most, are compared."""

MAX_ANCHORS: Final = 5
_COMPARED: Final = 16_384
_HEAVY: Final = 0.05
_LEAST_BITS: Final = 0.5
_FINER: Final = 3.0
_ROOM: Final = 3.0
_RUN_BITS: Final = 48.0
_MAX_RUN: Final = 16


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What one column tells."""

    name: str
    #: Its place in the table.
    place: int
    level: Level
    #: Minus the logarithm (base 2) of the chance that two rows have the same value.
    bits: float
    #: Values that are too frequent to point at a row.
    heavy: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What of a table goes into its index."""

    columns: tuple[ColumnFacts, ...]
    #: For two columns: how much of what one tells the other one has told, 0 to 1.
    dependence: tuple[tuple[float, ...], ...]
    #: Columns whose single cell points at few rows, by their place in ``columns``.
    singles: tuple[int, ...]
    #: Pairs of columns that do so together.
    pairs: tuple[tuple[int, int], ...]
    #: So many equal rows in a row tell as much; 0 where the anchors are enough.
    run: int


def plan_of(hashing: Hashing, names: Sequence[str], columns: Sequence[Column], expected_rows: int) -> Plan:
    """Choose what an index of a table holds.

    Args:
        hashing: The provider's.
        names: Of the columns.
        columns: The first rows.
        expected_rows: How many rows the table may have.
    """
    sample = [Column(column.numbers[:SAMPLE], column.texts[:SAMPLE]) for column in columns]
    wanted = math.log2(max(2, expected_rows))
    found = [
        facts_of(hashing, name, place, column, wanted)
        for place, (name, column) in enumerate(zip(names, sample, strict=True))
    ]
    told = sorted((facts for facts in found if facts.bits >= _LEAST_BITS), key=lambda facts: -facts.bits)[:MAX_COLUMNS]
    hashes = [hashing.at(sample[facts.place], facts.level)[:_COMPARED] for facts in told]
    dependence = _dependence(hashing, told, hashes, [sample[facts.place] for facts in told])
    singles = tuple(place for place, facts in enumerate(told) if facts.bits >= wanted - 1.0)
    rest = [place for place in range(len(told)) if place not in singles]
    pairs = _pairs(told, dependence, rest, wanted + _ROOM, MAX_ANCHORS - len(singles))
    return Plan(tuple(told), dependence, singles, pairs, 0 if singles or pairs else _run(told))


def facts_of(hashing: Hashing, name: str, place: int, column: Column, of_rows: float) -> ColumnFacts:
    """Say what one column tells, at the coarsest level that tells most of it."""
    coarse, heavy = _bits(hashing.at(column, Level.HUNDREDTHS))
    numbers = column.numbers[~np.isnan(column.numbers)]
    if len(numbers) < len(column) // 2 or not len(numbers):
        return ColumnFacts(name, place, Level.HUNDREDTHS, coarse, heavy)
    spread = float(numbers.max() - numbers.min())
    whole = bool(np.all(numbers == np.rint(numbers)))
    room = math.log2(spread * (1.0 if whole else 100.0) + 1.0) if math.isfinite(spread) else coarse
    if _rises(column):  # what follows goes on beyond what was seen
        room = max(room, of_rows)
    coarse = min(coarse, room)
    fine, finely_heavy = _bits(hashing.at(column, Level.DIGITS))
    if fine > coarse + _FINER:
        return ColumnFacts(name, place, Level.DIGITS, min(fine, 14.0), finely_heavy)
    return ColumnFacts(name, place, Level.HUNDREDTHS, coarse, heavy)


def _bits(hashes: Hashes) -> tuple[float, tuple[int, ...]]:
    """Give the bits of a column without its heavy values, and those; a column that is all heavy has none."""
    some = hashes[hashes != 0]
    if len(some) < 2:  # noqa: PLR2004 - two make a pair
        return 0.0, ()
    values, counts = np.unique(some, return_counts=True)
    is_heavy = counts > max(2, len(some) * _HEAVY)
    light = counts[~is_heavy]
    if light.sum() * 4 < len(hashes):
        return _collision_bits(counts), ()
    return _collision_bits(light), tuple(int(value) for value in values[is_heavy])


def _collision_bits(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> float:
    total = float(counts.sum())
    equal = float((counts * (counts - 1)).sum()) / 2.0
    return max(0.0, math.log2(max(1.0, total * (total - 1.0) / 2.0) / max(0.5, equal)))


def _dependence(
    hashing: Hashing, told: list[ColumnFacts], hashes: list[Hashes], columns: list[Column]
) -> tuple[tuple[float, ...], ...]:
    """Compare how often two columns agree together with how often they would by chance.

    Two columns that both grow with the row, as a number and a date do, tell the same whatever the figures say; but for
    what the steps tell by which they grow, as those of a meter do.
    """
    rising = [_rises(column) for column in columns]
    steps = [_step_bits(column) if rises else 0.0 for column, rises in zip(columns, rising, strict=True)]
    found = np.zeros((len(told), len(told)))
    for one, other in itertools.combinations(range(len(told)), 2):
        both = (hashes[one] != 0) & (hashes[other] != 0)
        joint = hashing.pair(hashes[one][both], hashes[other][both])
        _, counts = np.unique(joint, return_counts=True)
        alone = told[one].bits + told[other].bits
        least = min(told[one].bits, told[other].bits)
        together = _collision_bits(counts)
        most = math.log2(max(2.0, float(len(joint)) ** 2))  # what so few rows can show
        if rising[one] and rising[other]:
            share = 1.0 - max(steps[one], steps[other]) / max(1.0, least)
        else:
            share = (min(alone, most) - together - 1.0) / max(1.0, least)
        found[one, other] = found[other, one] = min(1.0, max(0.0, share))
    return tuple(tuple(float(share) for share in line) for line in found)


def _rises(column: Column) -> bool:
    numbers: Floats = column.numbers
    if np.isnan(numbers).any() or len(numbers) < 3:  # noqa: PLR2004 - two always rise or fall
        return False
    steps = np.diff(numbers)
    return bool((steps >= 0).all() or (steps <= 0).all())


def _step_bits(column: Column) -> float:
    """Give what the steps tell between the rows of a column, at two decimals; 0 where all are alike."""
    _, counts = np.unique(np.round(np.diff(column.numbers), 2), return_counts=True)
    return _collision_bits(counts)


def _pairs(
    told: list[ColumnFacts],
    dependence: tuple[tuple[float, ...], ...],
    rest: list[int],
    wanted: float,
    room: int,
) -> tuple[tuple[int, int], ...]:
    """Choose pairs so that of any three columns two are one, as far as there is room."""
    fit = [
        (one, other)
        for one, other in itertools.combinations(rest, 2)
        if told[one].bits + told[other].bits - dependence[one][other] * min(told[one].bits, told[other].bits) >= wanted
    ]
    chosen: list[tuple[int, int]] = []
    open_triples = {
        triple
        for triple in itertools.combinations(rest, 3)
        if any(pair in fit for pair in itertools.combinations(triple, 2))
    }
    while fit and len(chosen) < room:
        best = max(fit, key=lambda pair: sum(set(pair) <= set(triple) for triple in open_triples))
        fit.remove(best)
        chosen.append(best)
        open_triples = {triple for triple in open_triples if not set(best) <= set(triple)}
        if not open_triples:
            break
    return tuple(chosen)


def _run(told: list[ColumnFacts]) -> int:
    """Give how many equal rows, one after the other, are no chance; 0 where none are."""
    bits = sum(facts.bits for facts in told) * 0.7
    if bits < 1.0:
        return 0
    run = max(4, math.ceil(_RUN_BITS / bits))
    return run if run <= _MAX_RUN else 0
