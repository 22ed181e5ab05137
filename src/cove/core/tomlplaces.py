"""Where each key and value of a TOML document stands, which ``tomllib`` does not tell."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

Path = tuple[str | int, ...]
"""Keys from the top down; a number is a position in an array."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SPACE: Final = re.compile(r"[ \t]*")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PLAIN: Final = re.compile(r"[^,\]}#\r\n]*")
_STRINGS: Final = (
    re.compile(r'"""(?:[^\\]|\\.)*?"""(?!")"{0,2}', re.DOTALL),
    re.compile(r"'''.*?'''(?!')'{0,2}", re.DOTALL),
    re.compile(r'"(?:[^"\\]|\\.)*"'),
    re.compile(r"'[^']*'"),
)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Count both from 1, the column in characters."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def places(text: str) -> dict[Path, tuple[int, int]]:
    """Give the offsets of each key's name and value; an array's entry has its own for both.

    Args:
        text: A document that ``tomllib`` has read without an error.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


class _Scanner:
    """Walks over a document that is known to be good."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._tables: Counter[Path] = Counter()
        self.found: dict[Path, tuple[int, int]] = {}

    def document(self) -> None:
        table: Path = ()
        while self._skip(_BLANK) < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        of_many = self._text.startswith("[[", self._at)
        began = self._at
        self._at += 2 if of_many else 1
        name = self._key()
        self._at += 2 if of_many else 1
        path: Path = tuple(name)
        if of_many:
            self._tables[path] += 1
            path = (*path, self._tables[path] - 1)
        for depth in range(1, len(path) + 1):
            self.found.setdefault(path[:depth], (began, began))
        return path

    def _pair(self, table: Path) -> None:
        began = self._at
        path = (*table, *self._key())
        self._at += 1  # the sign between them
        self._skip(_SPACE)
        for depth in range(len(table) + 1, len(path) + 1):
            self.found.setdefault(path[:depth], (began, self._at))
        self._value(path)

    def _key(self) -> list[str]:
        """Read a name with its dots, and stand behind the blanks that follow it."""
        names = []
        while True:
            self._skip(_SPACE)
            names.append(self._name())
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return names
            self._at += 1

    def _name(self) -> str:
        began = self._at
        if self._text[began] in "\"'":
            self._string()
            inner = self._text[began + 1 : self._at - 1]
            return inner if self._text[began] == "'" else _ESCAPE.sub(_unescaped, inner)
        self._skip(_BARE)
        return self._text[began : self._at]

    def _value(self, path: Path) -> None:
        match self._text[self._at]:
            case '"' | "'":
                self._string()
            case "[":
                self._entries(path)
            case "{":
                self._members(path)
            case _:
                self._skip(_PLAIN)

    def _entries(self, path: Path) -> None:
        self._at += 1
        number = 0
        while self._text[self._skip(_BLANK)] != "]":
            self.found[*path, number] = (self._at, self._at)
            self._value((*path, number))
            number += 1
            if self._text[self._skip(_BLANK)] == ",":
                self._at += 1
        self._at += 1

    def _members(self, path: Path) -> None:
        self._at += 1
        while self._text[self._skip(_BLANK)] != "}":
            self._pair(path)
            if self._text[self._skip(_BLANK)] == ",":
                self._at += 1
        self._at += 1

    def _string(self) -> None:
        for pattern in _STRINGS:
            if found := pattern.match(self._text, self._at):
                self._at = found.end()
                return

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if code[0] in "uU" else _ESCAPES.get(code, code)
