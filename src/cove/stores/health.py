"""What ``cove doctor`` is told about a database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from cove.ports import Finding
from cove.stores.failures import PART
from cove.stores.schema import check_writable, revision

#: Checking every page of a larger file would hold the writer up for seconds.
_CHECKED_BYTES: Final = 256 << 20
_LOW_BYTES: Final = 1 << 30


def look(connection: Connection, file: Path | None) -> Sequence[Finding]:
    """Look at a database through a connection that may write.

    Args:
        connection: In a transaction.
        file: The SQLite file; None for PostgreSQL.
    """
    check_writable(connection)
    version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
    seen = f"{connection.dialect.name} {version}, tables of revision {revision(connection)}, it takes writes."
    found = [Finding(PART, ok=True, seen=seen)]
    return found if file is None else [*found, *_look_at_file(connection, file)]


def room(file: Path) -> Finding:
    """Look at the room on a SQLite file's disk."""
    free = shutil.disk_usage(file.parent).free
    seen = f"{free >> 20} MiB are free for the database {file}."
    if free < _LOW_BYTES:
        return Finding("database disk", ok=False, seen=seen, advice="Make room, or move the state folder.")
    return Finding("database disk", ok=True, seen=seen)


def _look_at_file(connection: Connection, file: Path) -> Iterator[Finding]:
    if connection.execute(text("PRAGMA journal_mode")).scalar() != "wal":
        yield Finding(
            PART,
            ok=False,
            seen=f"The disk of {file} does not let SQLite use its write-ahead log.",
            advice="Put the state folder on a disk of this machine; network disks lose locks.",
        )
    if file.stat().st_mode & 0o077:
        yield Finding(PART, ok=False, seen=f"Others may read {file}.", advice=f"chmod 600 {file}")
    if file.stat().st_size <= _CHECKED_BYTES:
        problem = connection.execute(text("PRAGMA quick_check(1)")).scalar()
        if problem != "ok":
            yield Finding(
                PART, ok=False, seen=f"The database {file} is damaged.", advice="Restore the file from a backup."
            )
