"""SQLite files, read in memory with every statement but SELECT refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from cove.leaks.items import Binary, Budget, Inner, Item, OpaqueError, Table
from cove.leaks.sniffing import Form

_ROWS: Final = 65_536
_LONG: Final = 256
_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})


def read(file: BinaryIO, _form: Form, _budget: Budget) -> Iterator[Item]:
    """Give the rows of every table; its pages are given too, since deleted rows stay in them.

    Raises:
        OpaqueError: It is broken.
    """
    content = file.read()
    database = sqlite3.connect(":memory:")
    try:
        database.deserialize(content)
        database.text_factory = lambda text: text.decode("utf-8", "replace")
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        database.set_authorizer(_only_reading)
        for name in names:
            yield from _table(database, str(name))
    except (sqlite3.Error, ValueError, OverflowError):
        raise OpaqueError("broken") from None
    finally:
        database.close()
    yield Binary(content, known=True)


def _only_reading(action: int, *_others: Any) -> int:  # noqa: ANN401 - sqlite3's
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _table(database: sqlite3.Connection, name: str) -> Iterator[Item]:
    quoted = name.replace('"', '""')
    found = database.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - a name cannot be a parameter
    names = [column[0] for column in found.description]
    while rows := found.fetchmany(_ROWS):
        for row in rows:
            for cell in row:
                if isinstance(cell, bytes) and len(cell) > _LONG:
                    yield Inner("", cell)
        yield Table(names, [[_text(cell) for cell in column] for column in zip(*rows, strict=True)], name)


def _text(cell: Any) -> str | None:  # noqa: ANN401 - whatever a cell holds
    if cell is None:
        return None
    if isinstance(cell, bytes):
        return cell[:_LONG].hex()
    return repr(cell) if isinstance(cell, float) else str(cell)
