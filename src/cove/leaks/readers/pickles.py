"""Pickles, whose opcodes are read and never run."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from itertools import groupby
from typing import Any, BinaryIO, Final

import numpy as np

from cove.leaks.items import Binary, Budget, Inner, Item, OpaqueError, Table, Words
from cove.leaks.sniffing import Form

_LONG: Final = 64
_MOST: Final = 5_000_000
_WIDEST: Final = 64
_LEAST: Final = 3
_NEW: Final = frozenset({"EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"})
_GOES_ON: Final = frozenset({"APPENDS", "SETITEMS", *_NEW})
_TYPES: Final = ("f8", "i8", "f4", "i4", "f2", "i2", "u1", "i1", "b1")


class _Opcodes:
    """What the opcodes of one pickle hold.

    Args:
        content: The pickle.

    Raises:
        OpaqueError: It has more opcodes than anybody looks at.
    """

    def __init__(self, content: bytes) -> None:
        self.words: list[str] = []
        self.lines: list[int] = []
        self.pieces: list[bytes] = []
        self.numbers: set[int] = set()
        self.broken = False
        self._memo: dict[int, str | None] = {}
        self._last: str | None = None
        self._line = 0
        self._before = ""
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
                if count > _MOST:
                    raise OpaqueError("too_large")
                self._take(opcode.name, argument)
        except (ValueError, IndexError, OverflowError, UnicodeError, KeyError):
            self.broken = True

    def _take(self, name: str, argument: Any) -> None:  # noqa: ANN401 - of any opcode
        if name == "MEMOIZE" or "PUT" in name:
            self._memo[len(self._memo) if name == "MEMOIZE" else int(argument)] = self._last
            return
        if name in _NEW or (name == "MARK" and self._before not in _GOES_ON):
            self._line += 1
        self._before, self._last = name, None
        if "GET" in name:
            self._say(self._memo.get(int(argument)))
        elif isinstance(argument, bytes | bytearray):
            self._piece(bytes(argument))
        elif isinstance(argument, str):
            if name in {"STRING", "BINSTRING", "SHORT_BINSTRING"}:
                self._piece(argument.encode("latin-1", "replace"))
            self._last = argument
            self._say(argument)
        elif isinstance(argument, float):
            self._say(repr(argument))
        elif isinstance(argument, int) and abs(argument) < 1 << 63 and name not in {"PROTO", "FRAME"}:
            self.numbers.add(argument)
            self._say(str(argument))

    def _piece(self, content: bytes) -> None:
        if len(content) >= _LONG:
            self.pieces.append(content)

    def _say(self, word: str | None) -> None:
        if word is not None:
            self.words.append(word)
            self.lines.append(self._line)


def read(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give what a pickle holds."""
    yield from items_of_pickle(file.read(), budget)


def items_of_pickle(content: bytes, _budget: Budget) -> Iterator[Item]:
    """Give the lists and arrays of a pickle as tables, all its words, and its pieces of bytes.

    Raises:
        OpaqueError: It is broken, or has more opcodes than anybody looks at.
    """
    found = _Opcodes(content)
    yield Words(found.words, found.lines)
    by_length: dict[int, list[Any]] = {}
    for _, group in groupby(zip(found.lines, found.words, strict=True), key=lambda pair: pair[0]):
        column = [word for _, word in group]
        if len(column) >= _LEAST:
            by_length.setdefault(len(column), []).append(column)
    for piece in found.pieces:
        shaped = False
        for length, columns in _shaped(piece, found):
            by_length.setdefault(length, []).extend(columns)
            shaped = True
        if not shaped:
            yield Inner("", piece)
    for columns in by_length.values():
        for start in range(0, len(columns), _WIDEST):
            part = columns[start : start + _WIDEST]
            if len(part) > 1:
                yield Table([f"column {place}" for place in range(len(part))], part)
    yield Binary(content, known=not found.broken)
    if found.broken:
        raise OpaqueError("broken")


def _shaped(piece: bytes, found: _Opcodes) -> Iterator[tuple[int, list[Any]]]:
    """Give the columns of an array's bytes, by the types and shapes that the pickle names."""
    for kind in _TYPES:
        if kind not in found.words:
            continue
        size = np.dtype(kind).itemsize
        count = len(piece) // size
        if len(piece) % size:
            continue
        values = np.frombuffer(piece, f"<{kind}" if size > 1 else kind).astype(np.float64)
        if count in found.numbers:
            yield count, [values]
        for width in sorted(found.numbers):
            if (
                0 < width <= _WIDEST
                and count % width == 0
                and count // width in found.numbers
                and count // width > width
            ):
                yield count // width, list(values.reshape(width, -1))
                if width > 1:
                    yield count // width, list(np.ascontiguousarray(values.reshape(-1, width).T))
