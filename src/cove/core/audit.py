"""The audit log's form: records in a chain of hashes, in which no change, removal or new order stays unseen.

Each record is one line of canonical JSON that holds the hash of the line before. Whoever knows a later hash can show
that nothing before it was changed; the newest hash is therefore worth keeping elsewhere, and every receipt holds one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

FIRST: Final = "0" * 64
"""What stands before the first record."""

_FIELDS: Final = frozenset({"number", "time", "actor", "action", "subject", "details", "previous"})


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened. It holds no private value: codes, digests, ids and accounts alone."""

    #: Unix time.
    at: float
    #: An account, ``local:<name>``, or ``provider`` for the service itself.
    actor: str
    #: ``policy_in_force``, ``held``, ``vote``, ``decided``, ``returned``, ``expired``, ``withdrawn``, ``released``,
    #: ``receipt``, ``results_delivered``, ``results_deleted``, ``changed``.
    action: str
    #: What it is about: ``job:<id>/<attempt>``.
    subject: str
    #: JSON values by name.
    details: Mapping[str, Any] = field(default_factory=dict)
    #: Names what may stand in the log once, however often it is written; empty for anything that may come again.
    once: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log."""

    number: int
    #: Canonical JSON; the hash is of these very bytes.
    text: str
    #: Hex.
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record."""

    #: 0 for an empty log.
    number: int
    #: ``FIRST`` for an empty log.
    hash: str


def chained(entry: Entry, before: Head) -> Record:
    """Give the record that follows another one."""
    number = before.number + 1
    text = _canonical({
        "number": number,
        "time": round(entry.at, 3),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "details": dict(entry.details),
        "previous": before.hash,
    })  # fmt: skip
    return Record(number, text, hash_of(text))


def hash_of(text: str) -> str:
    """Give the hash of a record's line, hex."""
    return hashlib.sha256(text.encode("ascii", "backslashreplace")).hexdigest()


def exported(record: Record) -> str:
    """Give a record as one line of JSON with its hash, for keeping elsewhere."""
    return json.dumps({"hash": record.hash, "record": record.text})


def record_of(line: str) -> Record:
    """Read what :func:`exported` gave; a line that is none becomes a record that no verification takes for good."""
    try:
        given = json.loads(line)
        text, hash_ = str(given["record"]), str(given["hash"])
        said = json.loads(text)
        number = said["number"] if isinstance(said, dict) else 0
    except (ValueError, KeyError, TypeError, RecursionError):
        return Record(0, line, "")
    return Record(number if isinstance(number, int) else 0, text, hash_)


class Verification:
    """Follows a log from its first record to its last, and notes what is wrong.

    Args:
        heads: Hashes that were kept elsewhere and must be in it.
    """

    def __init__(self, heads: Iterable[str] = ()) -> None:
        #: The newest record so far.
        self.head = Head(0, FIRST)
        #: One sentence for each thing that is wrong, the first ones only.
        self.problems: list[str] = []
        self._sought = {head.lower().removeprefix("sha256:") for head in heads}

    def follow(self, record: Record) -> None:
        """Look at the next record."""
        place = f"Record {record.number}"
        if record.number != self.head.number + 1:
            self._note(f"{place} stands where record {self.head.number + 1} should be: records are missing or moved.")
        if hash_of(record.text) != record.hash:
            self._note(f"{place} was changed: its hash is not that of its text.")
        said = _read(record.text)
        if said is None:
            self._note(f"{place} is no record of this log.")
        else:
            if said["number"] != record.number:
                self._note(f"{place} says that it is record {said['number']}.")
            if said["previous"] != self.head.hash:
                self._note(f"{place} does not follow the record before it: one of them was changed, removed or moved.")
        self._sought.discard(hash_of(record.text))
        self.head = Head(record.number, record.hash)

    def end(self, counted: int | None = None) -> None:
        """Say that there is no further record.

        Args:
            counted: How many records were ever written; None when it is not known.
        """
        if counted is not None and counted != self.head.number:
            self._note(f"{counted} records were written and {self.head.number} are there: the end is missing.")
        for hash_ in sorted(self._sought):
            self._note(f"The hash {hash_} is not in the log: records were changed or removed.")

    def _note(self, problem: str) -> None:
        if len(self.problems) < 100:  # noqa: PLR2004 - more helps nobody
            self.problems.append(problem)


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _read(text: str) -> dict[str, Any] | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    good = isinstance(said, dict) and said.keys() == _FIELDS and _canonical(said) == text
    return said if good else None
