"""Says of every setting what it is and where it came from, without its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ByteSize, SecretStr

from cove.settings import Settings, file_of, read_environment, read_file, variable_of

_ABSENT: Final = object()
_HIDDEN: Final = "(hidden)"
#: What may be secret in a URL: user and password, and everything behind the question mark.
_URL_SECRETS: Final = re.compile(r"(?<=://)[^/@?#]*(?=@)|(?<=\?).+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting."""

    #: Dotted.
    name: str
    #: As JSON has it; of secrets, only whether they are set.
    value: object
    #: The same for people.
    shown: str
    #: ``default``, ``file PATH`` or ``environment VARIABLE``.
    origin: str


def origins(settings: Settings, path: Path | None = None) -> Iterator[Origin]:
    """Give every setting.

    Args:
        settings: As they were loaded.
        path: The file that they were loaded from, as :func:`cove.settings.load` was given it.
    """
    given, source = (read_file(path), read_environment()), file_of(path)
    for place, value, in_file, in_environment in _leaves((), settings, *given):
        if in_environment is not _ABSENT:
            origin = f"environment {variable_of(place)}"
        elif in_file is not _ABSENT:
            origin = f"file {source}"
        else:
            origin = "default"
        yield Origin(".".join(map(str, place)), _plain(value), _shown(value), origin)


Place = tuple[int | str, ...]


def _leaves(
    place: Place, value: object, in_file: object, in_environment: object
) -> Iterator[tuple[Place, object, object, object]]:
    """Walk down a setting and what was given for it, to the single values."""
    parts: list[tuple[int | str, object]] = []
    if isinstance(value, BaseModel):
        parts = [(key, getattr(value, key)) for key in type(value).model_fields]
    elif isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, tuple) and any(isinstance(entry, BaseModel) for entry in value):
        parts = list(enumerate(value))
        if in_environment is not _ABSENT:  # a list of the environment stands in the place of the file's
            in_file = _ABSENT
    if not parts:
        yield place, value, in_file, in_environment
    for key, below in parts:
        yield from _leaves((*place, key), below, _part(in_file, key), _part(in_environment, key))


def _part(given: object, key: int | str) -> object:
    if isinstance(given, Mapping):
        return given.get(key, _ABSENT)
    if isinstance(given, Sequence) and not isinstance(given, str) and isinstance(key, int) and key < len(given):
        found: object = given[key]
        return found
    return _ABSENT


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return _shown(value)
    if isinstance(value, str):
        return _without_secrets(value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, Sequence):
        return [_plain(part) for part in value]
    return {} if isinstance(value, Mapping) else str(value)


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(set, hidden)" if value.get_secret_value() else "(not set)"
    if isinstance(value, ByteSize):
        return value.human_readable()
    if value is None or value in ("", ()) or value == {}:
        return "(none)"
    if isinstance(value, tuple):
        return ", ".join(_shown(part) for part in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _without_secrets(str(value))


def _without_secrets(text: str) -> str:
    return _URL_SECRETS.sub(_HIDDEN, text) if "://" in text else text
