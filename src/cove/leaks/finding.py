"""Texts to be found exactly: canaries; and texts in bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_ASCII: Final = re.compile(rb"[\x20-\x7e\t\r\n]{16,}")
_WIDE: Final = re.compile(rb"(?:[\x20-\x7e\t\r\n]\x00){16,}")


class Canaries:
    """Searches for texts that were put into the data to be found again.

    Args:
        texts: Any case.
    """

    def __init__(self, texts: frozenset[str]) -> None:
        self._texts = {text.strip().lower() for text in texts if text.strip()}
        self._found: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._texts)

    def text(self, text: str) -> None:
        """Look at a text."""
        if self._texts:
            plain = text.lower()
            self._found |= {canary for canary in self._texts - self._found if canary in plain}

    def look(self, content: bytes) -> None:
        """Look at bytes, as UTF-8 and as UTF-16."""
        if self._texts:
            plain = content.lower()
            self._found |= {
                canary
                for canary in self._texts - self._found
                if canary.encode() in plain or canary.encode("utf-16-le") in plain
            }

    def found(self) -> int:
        """Say how many of the texts were found."""
        return len(self._found)


def texts_in(content: bytes) -> Iterator[str]:
    """Give the texts that stand in bytes."""
    kept = [found[0].decode("ascii") for found in _ASCII.finditer(content)]
    if kept:
        yield "\n".join(kept)
    wide = [found[0].decode("utf-16-le") for found in _WIDE.finditer(content)]
    if wide:
        yield "\n".join(wide)
