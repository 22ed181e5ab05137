"""Groups of few people in output tables: counts that stand in them, and groups of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

_COUNTS: Final = frozenset({
    "n", "count", "counts", "freq", "frequency", "size", "total", "number", "cases", "patients", "people", "persons",
    "nobs", "num", "cnt", "observations", "records", "rows",
})  # fmt: skip


def is_count(name: str) -> bool:
    """Say whether a column's name says that it counts."""
    words = name.strip().lower().replace("-", "_").replace(" ", "_").split("_")
    return any(word in _COUNTS for word in words)


class Groups:
    """Looks at the tables of one output, a piece at a time.

    Args:
        columns: Names that the owner cares about.
    """

    def __init__(self, columns: frozenset[str]) -> None:
        self._columns = frozenset(name.strip().lower() for name in columns)
        self._seen: dict[tuple[str, tuple[str, ...]], Counter[tuple[Any, ...]]] = {}
        self._smallest: int | None = None

    def table(self, title: str, names: Sequence[str], columns: Sequence[Any]) -> None:
        """Take rows of a table."""
        named = [name.strip().lower() for name in names]
        places = [place for place, name in enumerate(named) if name in self._columns]
        if not places:
            return
        counts = [place for place, name in enumerate(named) if place not in places and is_count(name)]
        if counts:
            for place in counts:
                self._least(_numbers(columns[place]))
            return
        cells = [_plain(columns[place]) for place in places]
        self._seen.setdefault((title, tuple(named)), Counter()).update(zip(*cells, strict=True))

    def smallest(self) -> int | None:
        """Give the smallest group; None where no table has such a column."""
        sizes = [min(counter.values()) for counter in self._seen.values() if counter]
        return min([*sizes, *([] if self._smallest is None else [self._smallest])], default=None)

    def _least(self, numbers: list[float]) -> None:
        some = [int(number) for number in numbers if number > 0]
        if some:
            self._smallest = min(some if self._smallest is None else [self._smallest, *some])


def _plain(cells: Any) -> list[Any]:  # noqa: ANN401 - as readers give it
    if isinstance(cells, np.ndarray):
        return list(cells.tolist())
    return cells if isinstance(cells, list) else list(cells.to_pylist())


def _numbers(cells: Any) -> list[float]:  # noqa: ANN401 - as readers give it
    found = []
    for cell in _plain(cells):
        try:
            found.append(float(cell))
        except (TypeError, ValueError):
            continue
    return [number for number in found if number == number and abs(number) < 1e15]  # noqa: PLR0124, PLR2004 - NaN
