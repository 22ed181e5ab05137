"""Statements that are put into words once: SQLite runs their text without SQLAlchemy's work on every call.

A small statement takes SQLite some ten microseconds, and SQLAlchemy ten times that to prepare and to wrap up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement


class Prepared:
    """A statement with bound parameters, for SQLite and PostgreSQL alike.

    Args:
        statement: Its values must be of types that a driver takes as they are.
    """

    def __init__(self, statement: Executable) -> None:
        #: As SQLAlchemy has it.
        self.statement = statement
        #: The text for SQLite, its parameters in their order, and the values of those that stand in the statement.
        self._words: tuple[str, Sequence[str], Mapping[str, Any]] | None = None

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Run it, and give all rows of its answer."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self.statement, values).all()
        if self._words is None:
            self._words = _words(self.statement, connection.dialect)
        text, names, constant = self._words
        known = {**constant, **values}
        return driver(connection).execute(text, [known[name] for name in names]).fetchall()


def _words(statement: Executable, dialect: Dialect) -> tuple[str, Sequence[str], Mapping[str, Any]]:
    compiled = cast("SQLCompiler", cast("ClauseElement", statement).compile(dialect=dialect))
    return str(compiled), compiled.positiontup or (), compiled.params


def driver(connection: Connection) -> sqlite3.Connection:
    """Give SQLite's own connection below SQLAlchemy's."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)
