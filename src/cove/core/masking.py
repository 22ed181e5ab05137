"""What a person at a terminal sees of doubtful files: the shape of each value, and not the value."""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

MAX_PREVIEW: Final = 16 << 10
"""Bytes of a file that a preview shows."""

MAX_COMPARED: Final = 256 << 10
"""Bytes of each of two files that are compared."""

_VALUE: Final = re.compile(r"[^\W_]+", re.UNICODE)
_KEPT: Final = frozenset("\n\t")


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of a file as plain text, which no program takes for anything else."""

    #: ``text`` or ``binary``; of the latter nothing is shown.
    kind: str
    text: str
    #: False where the file goes on.
    whole: bool


def preview(beginning: bytes, size: int) -> Preview:
    """Show the beginning of a file; control characters are made visible.

    Args:
        beginning: At least ``MAX_PREVIEW`` bytes of it, or all.
        size: Bytes of the whole file.
    """
    shown = beginning[:MAX_PREVIEW]
    whole = size <= len(shown)
    text = as_text(shown, whole=whole)
    return Preview("binary", "", whole=False) if text is None else Preview("text", text, whole)


def as_text(content: bytes, *, whole: bool) -> str | None:
    """Give a file's text, with what steers terminals and readers made visible; None where it is none.

    Args:
        content: Of the file.
        whole: False where it goes on, and may be cut within a character.
    """
    if b"\0" in content:
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        if whole or problem.start < len(content) - 3:
            return None
        text = content[: problem.start].decode("utf-8")
    return "".join(map(_visible, text.replace("\r\n", "\n")))


def masked(text: str) -> str:
    """Give a text in which of each word and number the first character is left, and its length."""
    return _VALUE.sub(lambda found: found[0][0] + "*" * (len(found[0]) - 1), text)


def difference(before: bytes, after: bytes, *, plain: bool = False) -> str | None:
    """Compare two files line by line; None where one of them is no text.

    Args:
        before: At most ``MAX_COMPARED`` bytes.
        after: Likewise.
        plain: False masks the values of every line that is shown.
    """
    texts = [as_text(content[:MAX_COMPARED], whole=len(content) <= MAX_COMPARED) for content in (before, after)]
    if texts[0] is None or texts[1] is None:
        return None
    lines = difflib.unified_diff(
        texts[0].splitlines(), texts[1].splitlines(), "released before", "held", lineterm="", n=1
    )
    return "\n".join(line if plain or line.startswith(("---", "+++", "@@")) else masked(line) for line in lines)


def _visible(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}:
        return character
    return f"\\x{ord(character):02x}"
