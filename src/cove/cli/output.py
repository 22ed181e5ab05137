"""What the commands print: answers on standard output, words for people on standard error, and nothing hostile."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cove.client import (
    BadAnswer,
    ClientError,
    DownloadBroken,
    JobFailed,
    KeyMissing,
    NotReachable,
    NotThere,
    Overloaded,
    ServerRefused,
    UrlWrong,
)

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
AWAY: Final = 4
NOT_FOUND: Final = 5
INTERRUPTED: Final = 130

_CODES: Final[Sequence[tuple[type[ClientError], int]]] = (
    (JobFailed, FAILED),
    (KeyMissing, USAGE),
    (UrlWrong, USAGE),
    (NotThere, NOT_FOUND),
    (Overloaded, AWAY),
    (ServerRefused, REFUSED),
    (NotReachable, AWAY),
    (BadAnswer, AWAY),
    (DownloadBroken, AWAY),
)
_WIDTH: Final = 200
_KEY_HINT: Final = "--key-file or COVE_ACCOUNT_KEY_FILE says where your account's key is; cove keygen FILE makes one."
# Control characters but line feed and tabulator; marks that turn the direction of text; lone surrogates.
_HOSTILE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def neutral(text: str) -> str:
    r"""Make a stranger's text harmless on a terminal: what is no letter, line end or tabulator is shown as ``\x1b``."""
    return _HOSTILE.sub(_visible, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Make a stranger's text harmless, in one line."""
    return neutral(text).replace("\n", " ").replace("\t", " ")


def document(value: object) -> None:
    """Print the one JSON document of a command with ``--json``."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def flush() -> None:
    """See that what was printed is out, wherever standard output goes."""
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell people something in one line, on standard error."""
    sys.stderr.write(one_line(text) + "\n")


def console() -> Console:
    """Give the console for tables on standard output; wide where nobody's window limits it."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDTH)


def error_console() -> Console:
    """Give the console for progress on standard error."""
    return Console(stderr=True, highlight=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table on standard output."""
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(one_line(cell)) for cell in row))
    console().print(drawn)


def facts(pairs: Mapping[str, str]) -> None:
    """Print names and values, one pair a line; empty values are left out."""
    drawn = Table(show_header=False, box=None, pad_edge=False)
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in pairs.items():
        if value:
            drawn.add_row(name, Text(one_line(value)))
    console().print(drawn)


def moment(timestamp: str | None) -> str:
    """Write a Unix timestamp for people, in UTC; empty for None."""
    if not timestamp:
        return ""
    try:
        return datetime.fromtimestamp(float(timestamp), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return timestamp


def size(count: int | None) -> str:
    """Write a number of bytes for people; nothing for None, an unknown one."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:  # noqa: PLR2004 - the unit's factor
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


@contextlib.contextmanager
def reporting(*, as_json: bool) -> Iterator[None]:
    """Turn what went wrong into a sentence and an exit code.

    Args:
        as_json: Give standard output its one JSON document for errors, too.
    """
    try:
        yield
    except ClientError as problem:
        status = {"status": problem.status} if isinstance(problem, ServerRefused) else {}
        failure(
            problem.message,
            code=_name_of(problem),
            fields=problem.fields if isinstance(problem, ServerRefused) else {},
            hint=problem.hint or (_KEY_HINT if isinstance(problem, KeyMissing) else None),
            as_json=as_json,
            **status,
        )
        raise typer.Exit(code_of(problem)) from None
    except BrokenPipeError:
        raise
    except FileNotFoundError as problem:
        failure(f"There is no {problem.filename or 'such file'}: check the path.", code="local", as_json=as_json)
        raise typer.Exit(FAILED) from None
    except OSError as problem:
        name = f" {problem.filename}" if problem.filename else ""
        text = f"This machine refuses{name}: {problem.strerror or type(problem).__name__}."
        failure(text, code="local", as_json=as_json)
        raise typer.Exit(FAILED) from None


def failure(
    text: str,
    *,
    code: str,
    hint: str | None = None,
    fields: Mapping[str, Sequence[str]] | None = None,
    as_json: bool,
    **more: int,
) -> None:
    """Say what went wrong: a sentence for people, and with ``as_json`` the one document for scripts.

    Args:
        text: One sentence.
        code: Stable, for machines.
        hint: What to do; None where there is nothing to add.
        fields: What is wrong with each field of the request.
        as_json: Print the document.
        more: Further entries of the document.
    """
    say(f"Error: {text}")
    if hint:
        say(f"Hint: {hint}")
    if as_json:
        document({"error": text, "code": code, "fields": fields or {}, "hint": hint, **more})


def code_of(problem: ClientError) -> int:
    """Give the exit code for a failure."""
    return next((code for kind, code in _CODES if isinstance(problem, kind)), FAILED)


def _name_of(problem: ClientError) -> str:
    """Give a failure's stable code: the server's own where it gave one."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(problem).__name__).lower()
    return (problem.code or kind) if isinstance(problem, ServerRefused) else kind


def _visible(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"  # noqa: PLR2004 - one byte
