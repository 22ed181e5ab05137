"""What readers give: tables, words, numbers, and what lies in a container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cove.leaks.cells import Floats


class OpaqueError(Exception):
    """Something cannot be looked into.

    Args:
        reason: As in ``cove.core.inspection.FileReport.opaque``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a table; a large one comes in several."""

    names: Sequence[str]
    #: Per column an array of numbers, a list of texts (None is empty), or an Arrow array; all as long.
    columns: Sequence[Any]
    #: Tells tables of one file apart.
    title: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """Words in their order, each with the number of its line, which never falls."""

    words: list[str]
    lines: list[int]


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers without a form."""

    values: Floats


@dataclass(frozen=True, slots=True)
class Inner:
    """A file in a container."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Binary:
    """Bytes that nobody understands, or that may hold more than their form says."""

    content: bytes
    #: Whether their form is known, so that a large one is not opaque.
    known: bool = False


Item = Table | Words | Text | Numbers | Inner | Binary


@dataclass
class Budget:
    """What may still be unpacked."""

    bytes: int
    members: int

    def take(self, count: int) -> None:
        """Take one member's bytes.

        Raises:
            OpaqueError: It is a bomb.
        """
        self.bytes -= count
        self.members -= 1
        if self.bytes < 0 or self.members < 0:
            raise OpaqueError("bomb")
