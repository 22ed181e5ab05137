"""Makes a column's synthetic values, and others in place of those that the table has too."""

from __future__ import annotations

import datetime as dt
import math
import random
import string
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from cove.sampling.profiles import Profile, per_day

_LONGEST: Final = 200
_SMALL: Final = 1000
"""So many values are few enough for chance to give some that the table has."""

_EPOCH: Final = dt.date(1970, 1, 1)
_FIRST_YEAR, _LAST_YEAR = 1700, 2200
_YEARS: Final = 5
_REACH: Final = 1 << 20


class Maker:
    """Makes the values of one column.

    Args:
        profile: What is known of it.
        rows: How many are made.
        chance: Where they come from.
        written: Whether its type is found out by those who read it, so that a text must not look like anything else.
    """

    def __init__(self, profile: Profile, rows: int, chance: random.Random, *, written: bool) -> None:
        self.profile = profile
        self._rows = rows
        self._chance = chance
        self._written = written

    def column(self) -> list[Any]:
        """Give the cells; None is empty. The first is not, unless all are."""
        profile = self.profile
        if profile.kind == "none" or profile.empties == 1:
            return [None] * self._rows
        empty = min(self._rows - 1, round(profile.empties * self._rows)) if profile.empties else 0
        places = set(self._chance.sample(range(1, self._rows), empty))
        made = iter(self._values(self._rows - empty))
        return [None if at in places else next(made) for at in range(self._rows)]

    def must_differ(self) -> bool:
        """Say whether no value may be one of the table's own: unless there are but few that it could be."""
        profile = self.profile
        if profile.keep:
            return False
        low, high = profile.bounds
        match profile.kind:
            case "text" | "moment":
                return True
            case "whole":
                room = _limits(profile.type)[1] - int(high) > 10 * self._rows
                return room and (high - low > _SMALL or profile.unique)
            case "point":
                return (high - low) * 10.0**profile.decimals > _SMALL
            case _:
                return False

    def other(self, taken: set[Any], attempt: int) -> Any:  # noqa: ANN401 - of any type
        """Give a value in place of one that the table has too: beyond its range, or longer, and not yet taken."""
        low, high = self.profile.bounds
        while True:
            match self.profile.kind:
                case "text":
                    value: Any = self._text(int(high) + 4 * attempt, first="x")
                case "whole":
                    value = self._beyond(int(high))
                case "point":
                    value = self._rounded(high + self._chance.uniform(0, max(1.0, high - low)) * attempt)
                case _:
                    value = self._moment()
            if value not in taken or attempt > 8:  # noqa: PLR2004 - a type of few values
                return value
            attempt += 1

    def _values(self, count: int) -> Sequence[Any]:
        profile = self.profile
        if profile.keep:
            labels = list(profile.labels)
            return [self._chance.choice(labels) for _ in range(count)]
        if profile.kind == "text":
            return self._texts(count)
        if profile.kind == "whole" and profile.unique and count > 1:
            return self._ids(count)
        make = {
            "yes": lambda: self._chance.random() < 0.5,  # noqa: PLR2004 - a coin
            "whole": self._whole,
            "point": lambda: self._rounded(self._chance.uniform(*profile.bounds)),
            "moment": self._moment,
            "clock": self._clock,
            "duration": self._duration,
        }[profile.kind]
        return [make() for _ in range(count)]

    def _texts(self, count: int) -> Sequence[str]:
        profile = self.profile
        if profile.categories is not None:
            labels = _different(self._label, min(profile.categories, count))
            labels[0] = self._told_apart(labels[0])
            # Each of them comes, the rest by chance.
            return [*labels, *(self._chance.choice(labels) for _ in range(count - len(labels)))]
        found = [self._label() for _ in range(count)]
        found[0] = self._told_apart(found[0])
        return _all_different(found, self._longer) if profile.unique else found

    def _label(self) -> str:
        return self._text(self._length())

    def _told_apart(self, text: str) -> str:
        """Give a text that nobody takes for a number, a time or nothing, where its type is found out by its form."""
        return self._text(len(text), first="x") if self._written else text

    def _length(self) -> int:
        low, high = self.profile.bounds
        return min(_LONGEST, max(1, self._chance.randint(int(low), int(high))))

    def _longer(self) -> str:
        return self._text(min(_LONGEST, int(self.profile.bounds[1])) + 4)

    def _text(self, length: int, *, first: str = "") -> str:
        kinds = self.profile.characters
        letters = (string.ascii_lowercase if "letters" in kinds else "") + (
            string.ascii_uppercase if "capitals" in kinds else ""
        )
        solid = letters + (string.digits if "digits" in kinds else "") or string.ascii_lowercase
        marks = "".join(sorted(kind for kind in kinds if len(kind) == 1))
        made = first + "".join(self._chance.choice(solid) for _ in range(max(1, length) - len(first)))
        if marks and len(made) > 4:  # noqa: PLR2004 - too short to have any inside
            place = self._chance.randint(2, len(made) - 2)
            made = made[:place] + self._chance.choice(marks) + made[place + 1 :]
        return made

    def _ids(self, count: int) -> Sequence[int]:
        """Give different numbers beyond the range, or wherever the type has room."""
        least, most = _limits(self.profile.type)
        start = min(int(self.profile.bounds[1]) + 1, most - 10 * count)
        if start < least:
            room = range(least, most + 1)
            return [*self._chance.sample(room, min(count, len(room)))] + [least] * max(0, count - len(room))
        return self._chance.sample(range(start, start + 10 * count), count)

    def _whole(self) -> int:
        least, most = _limits(self.profile.type)
        low, high = self.profile.bounds
        return self._chance.randint(max(least, int(low)), min(most, int(high)))

    def _beyond(self, high: int) -> int:
        _, most = _limits(self.profile.type)
        if high >= most:
            return self._whole()
        return self._chance.randint(high + 1, min(most, high + max(_REACH, abs(high))))

    def _rounded(self, value: float) -> Any:  # noqa: ANN401 - a float, or a decimal
        digits = self.profile.decimals
        if pa.types.is_decimal(self.profile.type):
            whole = 10 ** (self.profile.type.precision - self.profile.type.scale)
            bounded = math.copysign(min(abs(value), max(0, whole - 1)), value)
            return round(Decimal(bounded), digits) if digits >= 0 else Decimal(0)
        return round(value, digits) if digits else float(round(value))

    def _moment(self) -> int:
        """Give a day, or a moment of one, in other years than the table's; in units of the type."""
        profile = self.profile
        day = per_day(profile.type)
        first, last = (_year(bound // day) for bound in (int(profile.low or 0), int(profile.high or 0)))
        low, high = first // _YEARS * _YEARS, -(-(last + 1) // _YEARS) * _YEARS
        span = high - low
        start = low - span if low - span >= _FIRST_YEAR else high
        start = min(max(start, _FIRST_YEAR), _LAST_YEAR - min(span, _LAST_YEAR - _FIRST_YEAR))
        days = (dt.date(min(start + span, _LAST_YEAR), 1, 1) - dt.date(start, 1, 1)).days
        at = ((dt.date(start, 1, 1) - _EPOCH).days + self._chance.randrange(days)) * day
        return at + self._part_of(day)

    def _clock(self) -> int:
        return self._part_of(per_day(self.profile.type))

    def _part_of(self, day: int) -> int:
        unit = self.profile.unit or 1
        if unit >= day:
            return 0
        whole = self._chance.randrange(day // unit) * unit
        # What is told from whole seconds by those who read it must not be a whole one by chance.
        second = day // 86_400
        return whole + unit if unit < second and whole % second == 0 else whole

    def _duration(self) -> int:
        low, high = self.profile.bounds
        return self._chance.randint(int(low), int(high))


def _year(days: int) -> int:
    return 1970 + math.floor(days / 365.2425)


def _limits(type_: Any) -> tuple[int, int]:  # noqa: ANN401 - Arrow has no types
    kind = type_.value_type if pa.types.is_dictionary(type_) else type_
    if pa.types.is_unsigned_integer(kind):
        return 0, (1 << kind.bit_width) - 1
    return -(1 << (kind.bit_width - 1)), (1 << (kind.bit_width - 1)) - 1


def _different(make: Callable[[], str], count: int) -> list[str]:
    found: dict[str, None] = {}
    for _ in range(20 * count):
        found[make()] = None
        if len(found) == count:
            break
    return list(found)


def _all_different(values: Iterable[str], make: Callable[[], str]) -> list[str]:
    found: dict[str, None] = {}
    for value in values:
        given = value
        while given in found:
            given = make()
        found[given] = None
    return list(found)
