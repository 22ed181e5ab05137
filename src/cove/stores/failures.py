"""What a driver's error means to the owner: one sentence that says which database and what to do."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from cove.core.errors import NoSpace, ProviderError, SettingsWrong, Unavailable

PART: Final = "database"

_SPACE_HINT: Final = "Make room on its disk; nothing was lost, and what was asked for can be tried again."
_LOCK_HINT: Final = "See whether another program (a backup, a sqlite3 shell) holds it open."
_DAMAGED_HINT: Final = "Stop Cove, keep a copy, and restore the file from a backup (or try: sqlite3 FILE .recover)."
_ACCESS_HINT: Final = "The user that Cove runs as needs to read and write the file and its folder."
_LOGIN_HINT: Final = "Check the user, the password and the database's name in the setting database_url."

_SQLITE_FULL: Final = frozenset({sqlite3.SQLITE_FULL})
_SQLITE_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQLITE_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SQLITE_ACCESS: Final = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)

# SQLSTATE, PostgreSQL's appendix A.
_POSTGRESQL_FULL: Final = frozenset({"53100"})
_POSTGRESQL_BUSY: Final = frozenset({"55P03", "57014", "40P01", "40001"})
_POSTGRESQL_ACCESS: Final = frozenset({"28000", "28P01", "3D000", "3F000", "42501", "25006"})


def is_busy(problem: BaseException | None) -> bool:
    """Say whether somebody else holds a lock."""
    return _sqlite_code(problem) in _SQLITE_BUSY or _sqlstate(problem) in _POSTGRESQL_BUSY


def meaning(problem: BaseException | None, name: str, *, starting: bool) -> ProviderError:
    """Give Cove's own error for a driver's.

    Args:
        problem: What the driver or the operating system raised.
        name: What the database is called, its file included.
        starting: True while the service starts: then the owner must act, and trying again is no use.
    """
    sqlite_code, sqlstate = _sqlite_code(problem), _sqlstate(problem)
    number = problem.errno if isinstance(problem, OSError) else None
    if sqlite_code in _SQLITE_FULL or sqlstate in _POSTGRESQL_FULL or number in {errno.ENOSPC, errno.EDQUOT}:
        return NoSpace(f"The disk of the {name} is full.", hint=_SPACE_HINT)
    if is_busy(problem):
        return Unavailable(PART, f"The {name} is locked by somebody else for too long.", hint=_LOCK_HINT)
    lasting = _lasting(problem, name)
    if lasting is not None:
        message, hint = lasting
        return SettingsWrong(message, hint=hint) if starting else Unavailable(PART, message, hint=hint)
    if sqlite_code == sqlite3.SQLITE_IOERR:
        return Unavailable(PART, f"The disk of the {name} reports an error.", hint="Look at the system's log.")
    if sqlite_code is None and sqlstate is None:
        return Unavailable(PART, f"The {name} does not answer.", hint="See whether it runs and takes connections.")
    return Unavailable(PART, f"The {name} could not do what it was asked (code {sqlstate or sqlite_code}).")


def _lasting(problem: BaseException | None, name: str) -> tuple[str, str] | None:
    """Give the sentence and the advice for what no waiting mends; None for anything else."""
    if _sqlite_code(problem) in _SQLITE_DAMAGED:
        return f"The {name} is damaged or is no database.", _DAMAGED_HINT
    if isinstance(problem, OSError):
        return f"The {name} cannot be opened: {problem.strerror}.", _ACCESS_HINT
    if _sqlite_code(problem) in _SQLITE_ACCESS:
        return f"The {name} cannot be opened or written.", _ACCESS_HINT
    if _sqlstate(problem) in _POSTGRESQL_ACCESS:
        return f"The {name} does not let Cove in, or does not let it write.", _LOGIN_HINT
    return None


def _sqlite_code(problem: BaseException | None) -> int | None:
    code = getattr(problem, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _sqlstate(problem: BaseException | None) -> str | None:
    code = getattr(problem, "sqlstate", None)
    return code if isinstance(code, str) else None
