"""Reads an input, and builds its index."""

from __future__ import annotations

import io
from typing import BinaryIO, Final

from cove.leaks.building import Builder
from cove.leaks.cells import Hashing, Level
from cove.leaks.index import Index
from cove.leaks.items import Binary, Budget, Inner, Item, Numbers, OpaqueError, Table, Text, Words
from cove.leaks.readers import CONTAINERS, reader_of
from cove.leaks.sniffing import HEAD, Form, form_of
from cove.leaks.streaming import unpacked
from cove.leaks.words import split

_TYPICAL: Final = 60
_DEPTH: Final = 2
_PART: Final = 16 << 20


class Indexer:
    """Makes the index of one input of one or more files.

    Args:
        hashing: The provider's.
        identifiers: Names of columns each value of which is searched by itself.
        size: Bytes of all its files, from which the number of rows is guessed.
    """

    def __init__(self, hashing: Hashing, identifiers: frozenset[str], size: int) -> None:
        self._hashing = hashing
        self._builder = Builder(hashing, identifiers, max(1, size // _TYPICAL))
        self._budget = Budget(1 << 50, 1 << 30)
        self._troubles: set[str] = set()

    def file(self, file: BinaryIO, name: str = "", depth: int = 0) -> None:
        """Take a file that can be sought in."""
        head = file.read(HEAD)
        file.seek(0)
        form = form_of(head, name)
        if form.kind == "zip" and _is_workbook(file):
            form = Form("xlsx", "")
        if form.kind in CONTAINERS and depth >= _DEPTH:
            self._bytes(file, "too_deep")
            return
        try:
            if (inner := unpacked(file, form)) is not None:
                self.file(inner, name.rsplit(".", 1)[0], depth + 1)
                return
            for item in reader_of(form)(file, form, self._budget):
                self._item(item, depth + (form.kind in CONTAINERS))
        except (MemoryError, TimeoutError):
            raise
        except OpaqueError as problem:
            self._bytes(file, problem.reason)
        except Exception:  # noqa: BLE001 - a reader fails in ways that no library's page names: bytes remain
            self._bytes(file, "broken")

    def finish(self) -> Index:
        """Give the index."""
        return self._builder.finish(min(self._troubles, default=""))

    def _bytes(self, file: BinaryIO, trouble: str) -> None:
        """Know what cannot be read, or not to its end, by its bytes at least."""
        self._troubles.add(trouble)
        file.seek(0)
        while part := file.read(_PART):
            self._builder.binary(part)

    def _item(self, item: Item, depth: int) -> None:
        match item:
            case Table():
                columns = [self._hashing.column(cells) for cells in item.columns]
                self._builder.table([str(name) for name in item.names], columns, item.columns)
            case Words():
                self._words(item.words)
            case Text():
                self._words(split(item.text))
            case Numbers():
                self._builder.table(["column 0"], [self._hashing.column(item.values)], [item.values])
            case Binary():
                self._builder.binary(item.content)
            case Inner():
                self.file(io.BytesIO(item.content), item.name, depth)

    def _words(self, words: list[str]) -> None:
        column = self._hashing.column(words)
        self._builder.text(self._hashing.at(column, Level.HUNDREDTHS))


def _is_workbook(file: BinaryIO) -> bool:
    found = b"xl/workbook.xml" in file.read()
    file.seek(0)
    return found
