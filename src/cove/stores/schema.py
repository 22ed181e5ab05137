"""Brings a database's tables to what this program knows. Alembic is loaded only when there is something to do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, column, inspect, select, table, text, update

from cove.core.errors import SettingsWrong
from cove.stores.tables import QUEUE, REVISIONS, counters

VERSION_TABLE: Final = "cove_schema"
MIGRATIONS: Final = Path(__file__).parent / "migrations"

#: Any number will do as long as no other program on this PostgreSQL takes the same ("cove" in ASCII).
_LOCK: Final = 0x636F7665


def bring_up_to_date(engine: Engine, name: str) -> None:
    """Make or renew the tables where the database is empty or older than this program.

    Services that start at the same time wait for each other: SQLite's transaction that writes, and PostgreSQL's
    advisory lock, let one through, and the others then find nothing left to do.

    Args:
        engine: Starts its transactions with the right to write.
        name: What the database is called in texts.

    Raises:
        SettingsWrong: The database is newer than this program.
    """
    with engine.begin() as connection:
        if _is_current(connection, name):
            check_writable(connection)
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if not _is_current(connection, name):
            migrate(connection)


def check_writable(connection: Connection) -> None:
    """Write nothing, in the way of a write.

    To begin a transaction that may write says little: SQLite quietly begins a reading one where the file is read-only.
    """
    connection.execute(update(counters).where(counters.c.name == QUEUE).values(value=counters.c.value))


def revision(connection: Connection) -> str | None:
    """Give the revision of the tables; None when there are none yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    return found


def migrate(connection: Connection, target: str = "head") -> None:
    """Run the migrations inside the connection's own transaction.

    Args:
        connection: In a transaction that may write.
        target: The revision to come to.
    """
    # Alembic costs a fifth of a second to import, and is needed once in a version's life, not at every start.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def _is_current(connection: Connection, name: str) -> bool:
    found = revision(connection)
    if found is not None and found not in REVISIONS:
        raise SettingsWrong(
            f"The {name} is newer than this program (its tables have revision {found}, known is {REVISIONS[-1]}).",
            hint="Install the version of Cove that last used it, or a newer one.",
        )
    return found == REVISIONS[-1]
