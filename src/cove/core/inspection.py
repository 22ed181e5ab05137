"""What was found when a job's outputs were compared with its inputs: values only, and none of them quotes an input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """Input rows that stand in one output."""

    #: DID of the dataset whose rows they are.
    dataset: str
    #: Distinct rows of the input.
    rows: int
    #: Where in the output: empty for the file itself, else the way in, as in ``inner.zip/table.csv``.
    where: str = ""
    #: Some of the rows, each value masked but for its first character and its length; for the owner's eyes.
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileReport:
    """What one output, or log, was found to be."""

    path: str
    #: As in ``core.policy``: ``output``, ``algorithmLog``.
    type: str
    #: Hex digest of the bytes that were looked at.
    sha256: str
    #: By content, as in ``text/csv``; ``application/octet-stream`` where nobody knows.
    content_type: str
    #: Rows of the largest table in it; None where there is none.
    rows: int | None = None
    matches: tuple[Match, ...] = ()
    #: Distinct texts of the policy's ``canaries`` in it.
    canaries: int = 0
    #: The smallest group of the policy's columns in a table of it; None where no such table is in it.
    smallest_group: int | None = None
    #: Why it, or a large part of it, could not be looked into, else empty: ``bomb``, ``broken``, ``encrypted``,
    #: ``too_deep``, ``too_large``, ``unknown``.
    opaque: str = ""

    @property
    def matched_rows(self) -> int:
        """Give the sum over all datasets and places; an upper bound of distinct rows."""
        return sum(match.rows for match in self.matches)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in everything that a job wrote."""

    files: tuple[FileReport, ...] = ()
    #: Distinct input rows over all files together, by the DID of their dataset; never less than the most of one file.
    rows: tuple[tuple[str, int], ...] = ()
    #: Why nothing is known of some or all files, else empty: ``crashed``, ``memory``, ``time``, ``index``.
    failure: str = ""

    @property
    def matched_rows(self) -> int:
        """Give the number of distinct input rows in all files."""
        return sum(rows for _, rows in self.rows)
