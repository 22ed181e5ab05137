"""Canonical cells: what stays of a value however it is written, as keyed 64-bit hashes.

A number is kept at two decimals, or at four digits where its column is finer than that; a text is trimmed and in lower
case. 0 stands for a cell that says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

NUMBER: Final = r"[-+]?(?:[0-9]{1,15}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_NUMBER: Final = re.compile(NUMBER)
_EMPTY: Final = frozenset({"", "nan", "none", "null", "na", "n/a", "nat", "<na>", "-", "..."})
_MIDNIGHT: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[t ]00:00(?::00(?:\.0+)?)?(?:z|\+00:00)?")
_MOMENT: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[t ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]*?)?0*(?:z|\+00:00)?")
_QUOTES: Final = " \t\r\n\0\"'`"
_EXACT: Final = float(1 << 53)
_FEW: Final = 20_000


class Level(IntEnum):
    """How much of a number is kept."""

    HUNDREDTHS = 0
    DIGITS = 1


@dataclass(frozen=True, slots=True)
class Column:
    """Cells one below the other, half understood: each is a number, or a text's hash, or empty."""

    #: NaN where it is no number.
    numbers: Floats
    #: 0 where it is no text.
    texts: Hashes

    def __len__(self) -> int:
        return len(self.numbers)


def canonical_text(text: str) -> str:
    """Give a text without what writers add to it: quotes, blanks, capitals, the midnight of a date."""
    plain = text.strip(_QUOTES).lower()
    if plain[:4].isdigit() and (found := _MIDNIGHT.fullmatch(plain)):
        return found[1]
    if plain[:4].isdigit() and (found := _MOMENT.fullmatch(plain)):
        fraction = (found[3] or "").rstrip("0.")
        return f"{found[1]} {found[2]}{fraction}"
    return plain


def number_of(text: str) -> float | None:
    """Give the number that a text is; None where it is none, or has more digits than a number can hold."""
    return float(text) if _NUMBER.fullmatch(text) else None


class Hashing:
    """Hashes cells with one provider's key, so that hashes of two providers have nothing in common.

    Args:
        key: At least 16 bytes, derived from the provider's.
    """

    def __init__(self, key: bytes) -> None:
        self._seed = int.from_bytes(key[:8], "little")
        self._salt = np.uint64(int.from_bytes(key[8:16], "little"))

    def column(self, cells: Any) -> Column:  # noqa: ANN401 - an array, a list of texts, or an Arrow array
        """Understand a column: an array of numbers, a list of texts (None is empty), or an Arrow array."""
        if isinstance(cells, np.ndarray):
            numbers = cells.astype(np.float64, copy=False)
            return Column(np.where(np.isfinite(numbers), numbers, np.nan), np.zeros(len(numbers), np.uint64))
        if not isinstance(cells, list):
            from cove.leaks.arrow import column_of  # noqa: PLC0415 - loading Arrow takes a quarter of a second

            return column_of(self, cells)
        return self._texts_or_numbers(cells)

    def at(self, column: Column, level: Level) -> Hashes:
        """Give the hashes of a column at a level; those of texts are the same at all."""
        is_number = ~np.isnan(column.numbers)
        if not is_number.any():
            return column.texts
        units = np.where(is_number, column.numbers, 0.0)
        hashes = self.mix(_hundredths(units) if level == Level.HUNDREDTHS else _digits(units), 1 + level)
        return np.where(is_number, hashes, column.texts)

    def text(self, text: str) -> int:
        """Give the hash of one text; never 0."""
        return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"), self._seed) or 1

    def bytes(self, part: bytes | memoryview) -> int:
        """Give the hash of some bytes; never 0."""
        return xxhash.xxh3_64_intdigest(part, self._seed) or 1

    def mix(self, values: npt.NDArray[Any], purpose: int) -> Hashes:
        """Scatter 64-bit values; what has two purposes has nothing in common."""
        with np.errstate(over="ignore"):
            mixed = values.view(np.uint64) ^ (self._salt + np.uint64(purpose * 0x9E3779B97F4A7C15 & (1 << 64) - 1))
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
        found: Hashes = np.maximum(mixed, np.uint64(1))
        return found

    def pair(self, one: Hashes, other: Hashes) -> Hashes:
        """Hash pairs of cells, whichever of the two comes first; equal ones do not cancel each other out."""
        with np.errstate(over="ignore"):
            low, high = np.minimum(one, other), np.maximum(one, other)
            return self.mix(low * np.uint64(0x9FB21C651E98DF25) + (high ^ (high >> np.uint64(29))), 7)

    def windows(self, hashes: Hashes, width: int) -> Hashes:
        """Hash every run of ``width`` following hashes, in their order."""
        count = len(hashes) - width + 1
        if count <= 0:
            return np.zeros(0, np.uint64)
        total = np.zeros(count, np.uint64)
        with np.errstate(over="ignore"):
            for place in range(width):
                total = total * np.uint64(0xD6E8FEB86659FD93) + hashes[place : place + count]
        return self.mix(total, 11)

    def _texts_or_numbers(self, cells: list[str | None]) -> Column:
        distinct = dict.fromkeys(cells)
        places = {cell: place for place, cell in enumerate(distinct)}
        numbers = np.full(len(places), np.nan)
        texts = np.zeros(len(places), np.uint64)
        for cell, place in places.items():
            plain = canonical_text(cell) if cell is not None else ""
            if plain in _EMPTY:
                continue
            number = number_of(plain)
            if number is not None:
                numbers[place] = number
            else:
                texts[place] = self.text(plain)
        numbers[~np.isfinite(numbers)] = np.nan
        if len(places) == len(cells):
            return Column(numbers, texts)
        taken = np.fromiter((places[cell] for cell in cells), np.int64, len(cells))
        return Column(numbers[taken], texts[taken])


def text_hash_or_empty(hashing: Hashing, text: str) -> int:
    """Give the hash of a text that is no number; 0 where it says nothing."""
    plain = canonical_text(text)
    return 0 if plain in _EMPTY else hashing.text(plain)


def _hundredths(numbers: Floats) -> Numbers:
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(numbers * 100.0) + 0.0
        exact = np.abs(scaled) < _EXACT
        whole = np.where(exact, scaled, 0.0).astype(np.int64)
    return np.where(exact, whole, numbers.view(np.int64))


def _digits(numbers: Floats) -> Numbers:
    """Keep four digits and where the point stands."""
    size = np.abs(numbers)
    some = size > 0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        power = np.floor(np.log10(np.where(some, size, 1.0)))
        kept = np.rint(numbers / np.power(10.0, power - 3.0))
        carried = np.abs(kept) >= 10_000.0  # noqa: PLR2004 - four digits
        kept, power = np.where(carried, np.sign(kept) * 1000.0, kept), np.where(carried, power + 1.0, power)
        whole = np.where(np.isfinite(kept), kept, 0.0) * 1024.0 + (power + 512.0)
    return np.where(some, whole, 0.0).astype(np.int64)
