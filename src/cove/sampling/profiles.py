"""What a sample may know of a column: its rough form, in bounds that are rounded outwards."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

_TRACKED: Final = 100_000
"""Different values of a column that are remembered, by hashes; beyond, one without a repetition counts as unique."""
MOST_LABELS: Final = 100
_CATEGORIES: Final = (2, 5, 10, 20)
_MARKS: Final = frozenset(" -_.:/@+#()&'*")
_DECIMALS: Final = 6
_LOOKED_AT: Final = 1000
_STEP: Final = 0.05
_LARGEST: Final = {"float": 1e38, "halffloat": 6e4}
"""So large numbers may become when they are rounded, where that is less than elsewhere."""


@dataclass
class Profile:
    """One column, as far as it was read."""

    name: str
    type: Any
    #: Whether its labels are to be kept.
    keep: bool = False
    #: Whether an empty text is an empty cell, as in CSV.
    blank: bool = False
    rows: int = 0
    empty: int = 0
    #: Of numbers, as they are; of times, in the units of their type; of texts, the lengths. None before any was seen.
    low: float | None = None
    high: float | None = None
    #: Of texts.
    characters: set[str] = field(default_factory=set)
    #: Of numbers with a point.
    decimals: int = 0
    #: Of times: the largest of these units that all values are whole in, in units of the type.
    unit: int = 0
    unique: bool = True
    labels: dict[Any, None] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _full: bool = False

    @property
    def kind(self) -> str:
        """Say how values of the column are made."""
        return kind_of(self.type)

    @property
    def different(self) -> int | None:
        """Give the number of different values; None where there are too many to know."""
        return None if self._full else len(self._seen)

    @property
    def categories(self) -> int | None:
        """Give about how many labels a column of few different texts has; None for others."""
        count = self.different
        if self.kind != "text" or self.unique or count is None or not count:
            return None
        return next((most for most in _CATEGORIES if count <= most), None)

    @property
    def empties(self) -> float:
        """Give the share of empty cells, rounded to a twentieth; none and all stay what they are."""
        if not self.empty or self.empty == self.rows:
            return float(self.empty > 0)
        return min(1 - _STEP, max(_STEP, round(self.empty / self.rows / _STEP) * _STEP))

    @property
    def bounds(self) -> tuple[float, float]:
        """Give the range, rounded outwards to one digit."""
        if self.low is None or self.high is None:
            return 0, 1
        if self.kind == "text" and self.low == self.high:
            return self.low, self.high
        low, high = outwards(self.low, self.high)
        if self.kind == "point":
            most = _LARGEST.get(str(self.type), 1e300)
            return min(max(low, -most), most), min(max(high, -most), most)
        return low, high

    def take(self, cells: Any) -> None:  # noqa: ANN401 - Arrow has no types
        """Take further rows."""
        self.rows += len(cells)
        self.empty += cells.null_count
        if pa.types.is_dictionary(self.type):
            cells = cells.cast(self.type.value_type)
        values = cells.drop_null()
        if self.blank and self.kind == "text":
            values = values.filter(pc.not_equal(values, ""))
            self.empty += len(cells) - cells.null_count - len(values)
        looks = _LOOKS.get(self.kind)
        if looks is None or not len(values):
            return
        looks(self, values)
        self._count(values)

    def _count(self, values: Any) -> None:  # noqa: ANN401 - Arrow has no types
        wanted = self.keep or self.kind in {"text", "whole", "point"}
        if self._full or not wanted:
            return
        different = pc.unique(values).to_pylist()
        before = len(self._seen)
        # Whole numbers as they are: two of them have one hash.
        self._seen.update(different if self.kind == "whole" else map(hash, different))
        self.unique &= len(self._seen) - before == len(values)
        if self.keep and len(self.labels) <= MOST_LABELS:
            self.labels.update(dict.fromkeys(different))
        if len(self._seen) > _TRACKED:
            self._full = True
            self._seen.clear()

    def _widen(self, values: Any) -> None:  # noqa: ANN401 - Arrow has no types
        found = pc.min_max(values).as_py()
        low, high = found["min"], found["max"]
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)


def kind_of(type_: Any) -> str:  # noqa: ANN401 - Arrow has no types; one answer each
    """Say how values of a type are made: ``none`` where they are not."""
    if pa.types.is_dictionary(type_):
        return kind_of(type_.value_type)
    if pa.types.is_boolean(type_):
        return "yes"
    if pa.types.is_integer(type_):
        return "whole"
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "point"
    if pa.types.is_date(type_) or pa.types.is_timestamp(type_):
        return "moment"
    if pa.types.is_time(type_):
        return "clock"
    if pa.types.is_duration(type_):
        return "duration"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return "text"
    return "none"


def per_day(type_: Any) -> int:  # noqa: ANN401 - Arrow has no types
    """Give how many units of a type of time a day has."""
    if pa.types.is_date(type_):
        return 1 if type_ == pa.date32() else 86_400_000
    return 86_400 * int({"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[type_.unit])


def outwards(low: float, high: float) -> tuple[float, float]:
    """Round a range outwards to the first digit of what is largest in it."""
    largest = max(abs(low), abs(high))
    if not largest or not math.isfinite(largest):
        return low, low + 1
    if isinstance(low, int) and isinstance(high, int):
        scale: float = 10 ** (len(str(int(largest))) - 1)
        return int(low // scale * scale), int(-(-high // scale) * scale)
    scale = 10.0 ** math.floor(math.log10(largest))
    below, above = math.floor(low / scale) * scale, math.ceil(high / scale) * scale
    return (below, above) if below < above else (below, above + scale)


def _nothing(column: Profile, values: Any) -> None:  # noqa: ANN401 - Arrow has no types
    del column, values


def _number(column: Profile, values: Any) -> None:  # noqa: ANN401 - Arrow has no types
    column._widen(values)  # noqa: SLF001 - these functions are its methods, by kind


def _point(column: Profile, values: Any) -> None:  # noqa: ANN401 - Arrow has no types
    if pa.types.is_decimal(column.type):
        column.decimals = column.type.scale
    else:
        for value in values[:_LOOKED_AT].to_pylist():
            text = repr(float(value))
            if "e" not in text and "n" not in text:
                digits = text.partition(".")[2].rstrip("0")
                column.decimals = min(_DECIMALS, max(column.decimals, len(digits)))
    numbers = values.cast(pa.float64())
    finite = numbers.filter(pc.is_finite(numbers))
    if len(finite):
        column._widen(finite)  # noqa: SLF001 - as above


def _text(column: Profile, values: Any) -> None:  # noqa: ANN401 - Arrow has no types
    column._widen(pc.utf8_length(values))  # noqa: SLF001 - as above
    for character in set().union(*values.to_pylist()):
        if character in string.digits:
            column.characters.add("digits")
        elif character.isalpha():
            column.characters.add("capitals" if character.isupper() else "letters")
        elif character in _MARKS:
            column.characters.add(character)


def _moment(column: Profile, values: Any) -> None:  # noqa: ANN401 - Arrow has no types
    _units(column, values)
    units = values.cast(pa.int32() if column.type in {pa.date32(), pa.time32("s"), pa.time32("ms")} else pa.int64())
    column._widen(units)  # noqa: SLF001 - as above


def _units(column: Profile, values: Any) -> None:  # noqa: ANN401 - Arrow has no types
    """Find the largest of day, minute, second and millisecond in which all values are whole."""
    day = per_day(column.type)
    units = values.cast(pa.int32() if column.type in {pa.date32(), pa.time32("s"), pa.time32("ms")} else pa.int64())
    for unit in (day, day // 1440, day // 86_400, day // 86_400_000):
        if unit <= 1 or (column.unit and unit > column.unit):
            continue
        rest = pc.subtract(units, pc.multiply(pc.divide(units, unit), unit))
        if not pc.any(pc.not_equal(rest, 0)).as_py():
            column.unit = unit
            return
    column.unit = 1


_LOOKS: Final[dict[str, Callable[[Profile, Any], None]]] = {
    "whole": _number,
    "point": _point,
    "moment": _moment,
    "clock": _units,
    "duration": _moment,
    "text": _text,
    "yes": _nothing,
}
