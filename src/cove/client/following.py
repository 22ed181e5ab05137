"""Reads a log as ``computeLogs`` sends it: server-sent events, each with JSON in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx2

from cove.client.errors import BadAnswer, NotReachable, TooLarge

_LONGEST_LINE: Final = 1 << 20


def log_of(answer: httpx2.Response, told: Callable[[str], None] | None = None) -> Iterator[str]:
    """Give a log's text piece by piece, until the server says that it has ended.

    Args:
        answer: What the server sends.
        told: Is called with the words for each phase that the job comes into.

    Raises:
        NotReachable: The answer broke off before that.
        BadAnswer: It is no such log.
    """
    name = ""
    for line in _lines(answer):
        field, _, value = line.partition(b": ")
        if field == b"event":
            name = value.decode("ascii", "replace")
        elif field == b"data" and name == "log":
            yield _text(value, "text")
        elif field == b"data" and name == "phase" and told is not None:
            told(_text(value, "statusText"))
        elif field == b"data" and name == "end":
            return
    raise NotReachable("The log broke off before the job's end.", hint="Ask for it again.")


def _lines(answer: httpx2.Response) -> Iterator[bytes]:
    held = b""
    for chunk in answer.iter_bytes():
        *lines, held = (held + chunk).split(b"\n")
        yield from lines
        if len(held) > _LONGEST_LINE:
            raise TooLarge(f"A line of the log's events has more than {_LONGEST_LINE} bytes.")


def _text(value: bytes, key: str) -> str:
    try:
        content: Any = json.loads(value)
        text = content[key]
    except (ValueError, TypeError, KeyError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise BadAnswer("The server's log is not in the form that Cove sends.")
    return text
