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
)

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
AWAY: Final = 4
NOT_FOUND: Final = 5

_CODES: Final[Sequence[tuple[type[ClientError], int]]] = (
    (JobFailed, FAILED),
    (KeyMissing, USAGE),
    (NotThere, NOT_FOUND),
    (Overloaded, AWAY),
    (ServerRefused, REFUSED),
    (NotReachable, AWAY),
    (BadAnswer, AWAY),
    (DownloadBroken, AWAY),
)
_WIDTH: Final = 200
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


def say(text: str) -> None:
    """Tell people something, on standard error."""
    sys.stderr.write(neutral(text) + "\n")


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


def size(count: int) -> str:
    """Write a number of bytes for people."""
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
        say(f"Error: {problem.message}")
        if problem.hint:
            say(f"Hint: {problem.hint}")
        if as_json:
            document(_as_document(problem))
        raise typer.Exit(code_of(problem)) from None
    except BrokenPipeError:
        raise
    except OSError as problem:
        name = f" {problem.filename}" if problem.filename else ""
        text = f"This machine refuses{name}: {problem.strerror or type(problem).__name__}."
        say(f"Error: {text}")
        if as_json:
            document({"error": text, "code": "local", "fields": {}, "hint": None})
        raise typer.Exit(FAILED) from None


def code_of(problem: ClientError) -> int:
    """Give the exit code for a failure."""
    return next((code for kind, code in _CODES if isinstance(problem, kind)), FAILED)


def _as_document(problem: ClientError) -> Mapping[str, object]:
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(problem).__name__).lower()
    if not isinstance(problem, ServerRefused):
        return {"error": problem.message, "code": kind, "fields": {}, "hint": problem.hint}
    return {
        "error": problem.message,
        "code": problem.code or kind,
        "fields": problem.fields,
        "hint": problem.hint,
        "status": problem.status,
    }


def _visible(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"  # noqa: PLR2004 - one byte
