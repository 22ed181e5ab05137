"""What was found of each input: in one output, and in all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cove.core.inspection import Match
from cove.leaks.cells import Hashes, Hashing
from cove.leaks.index import Index, Rows, TablePart, WindowPart
from cove.leaks.matching import Found, counted, masked, match_runs, match_table, match_windows
from cove.leaks.streams import Stream

_EXAMPLES = 3


@dataclass
class Tally:
    """Rows of one input that were found."""

    index: Index
    tables: dict[int, Found] = field(default_factory=dict)
    pieces: dict[int, set[int]] = field(default_factory=dict)
    runs: dict[int, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()

    def add(self, other: Tally) -> None:
        """Take what was found elsewhere."""
        for place, found in other.tables.items():
            self.tables.setdefault(place, Found()).add(found)
        for place, rows in other.pieces.items():
            self.pieces.setdefault(place, set()).update(rows)
        for place, rows_of_runs in other.runs.items():
            self.runs[place] = self.runs.get(place, 0) + rows_of_runs
        self.examples = (*self.examples, *other.examples)[:_EXAMPLES]

    def rows(self) -> int:
        """Count distinct rows: those of tables and texts together; identifiers name rows that may be among them."""
        total = known = 0
        for place, part in enumerate(self.index.parts):
            if isinstance(part, WindowPart):
                count = len(self.pieces.get(place, ()))
                known += count if part.kind == "identifiers" else 0
                total += count if part.kind != "identifiers" else 0
                continue
            found = counted(self.tables[place], part.rows) if place in self.tables else 0
            total += max(found, min(part.rows, self.runs.get(place, 0)))
        return max(total, known)

    def shown(self) -> tuple[str, ...]:
        """Give some of the rows, masked."""
        of_tables = [
            example
            for place, found in self.tables.items()
            if isinstance(part := self.index.parts[place], TablePart) and counted(found, part.rows)
            for example in found.examples
        ]
        return tuple([*of_tables, *self.examples][:_EXAMPLES])


class Comparison:
    """Compares streams with all inputs of a job.

    Args:
        hashing: The provider's.
        inputs: DID and index of each input.
    """

    def __init__(self, hashing: Hashing, inputs: Sequence[tuple[str, Index]]) -> None:
        self._hashing = hashing
        self._inputs = inputs
        self._total = self.fresh()
        self._most = [0] * len(inputs)
        #: Those of the inputs' columns.
        self.levels = frozenset(
            facts.level
            for _, index in inputs
            for part in index.parts
            if isinstance(part, TablePart)
            for facts in part.plan.columns
        )

    def fresh(self) -> list[Tally]:
        """Give empty tallies, one per input."""
        return [Tally(index) for _, index in self._inputs]

    def stream(self, tallies: list[Tally], stream: Stream) -> None:
        """Compare cells or words."""
        if not len(stream):
            return
        for tally in tallies:
            for place, part in enumerate(tally.index.parts):
                if isinstance(part, TablePart):
                    found = match_table(self._hashing, part, stream)
                    tally.tables.setdefault(place, Found()).add(found)
                elif part.kind != "binary":
                    at, rows = match_windows(self._hashing, part, stream)
                    self._pieces(tally, place, rows)
                    if len(at) and len(tally.examples) < _EXAMPLES:
                        tally.examples = (*tally.examples, masked(stream.word(int(at[0]))))

    def rows(self, tallies: list[Tally], rows: Hashes) -> None:
        """Compare whole rows, in their order."""
        for tally in tallies:
            for place, part in enumerate(tally.index.parts):
                if isinstance(part, TablePart) and (count := match_runs(self._hashing, part, rows)):
                    tally.runs[place] = max(count, tally.runs.get(place, 0))

    def wants_rows(self) -> bool:
        """Say whether some input has nothing but runs of rows to be known by."""
        return any(isinstance(part, TablePart) and part.plan.run for _, index in self._inputs for part in index.parts)

    def chunks(self, tallies: list[Tally], hashes: Hashes) -> None:
        """Compare chunks of bytes."""
        for tally in tallies:
            for place, part in enumerate(tally.index.parts):
                if isinstance(part, WindowPart) and part.kind == "binary":
                    self._pieces(tally, place, part.find(hashes)[1])

    def wants_chunks(self) -> bool:
        """Say whether some input is known by its bytes."""
        return any(
            isinstance(part, WindowPart) and part.kind == "binary" for _, index in self._inputs for part in index.parts
        )

    def keep(self, tallies: list[Tally]) -> None:
        """Count what was found in one place into the total."""
        for place, (total, tally) in enumerate(zip(self._total, tallies, strict=True)):
            self._most[place] = max(self._most[place], tally.rows())
            total.add(tally)

    def matches(self, tallies: list[Tally], where: str) -> tuple[Match, ...]:
        """Give what was found in one place, an input at a time."""
        found = []
        for (dataset, _), tally in zip(self._inputs, tallies, strict=True):
            if rows := tally.rows():
                found.append(Match(dataset, rows, where, tally.shown()))
        return tuple(found)

    def total(self) -> tuple[tuple[str, int], ...]:
        """Give distinct rows over everything that was kept, by dataset; never less than in one place."""
        rows: dict[str, int] = {}
        for (dataset, _), tally, most in zip(self._inputs, self._total, self._most, strict=True):
            rows[dataset] = rows.get(dataset, 0) + max(most, tally.rows())
        return tuple((dataset, count) for dataset, count in rows.items() if count)

    @staticmethod
    def _pieces(tally: Tally, place: int, rows: Rows) -> None:
        if len(rows):
            tally.pieces.setdefault(place, set()).update(np.unique(rows).tolist())
