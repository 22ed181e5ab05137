"""The keys of a policy file: what each may hold, and where in the policy it goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cove.core.filelist import is_relative_path
from cove.core.quantities import parse_bytes, parse_seconds
from cove.core.releasepolicy import (
    AlgorithmRules,
    ConsumerRules,
    CountRules,
    LeakRules,
    LogMode,
    LogRules,
    OutputRules,
    ReviewMode,
    ReviewRules,
)
from cove.core.tomlplaces import Path

_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}(\+([0-9a-f]{64})+)?|([0-9a-f]{64})+", re.ASCII)
_MEDIA: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/(\*|[a-z0-9][a-z0-9!#$&^_.+-]{0,126})", re.ASCII)
_MOST: Final = 1 << 50
_MOST_FILES: Final = 1000
_MOST_ENTRIES: Final = 10_000
_LONGEST_TEXT: Final = 4096
_DAY: Final = 86_400
LONGEST_PERIOD: Final = 366 * _DAY
"""Seconds; starts of jobs are remembered for so long."""


class Wrong(Exception):
    """A value is not what its key may hold.

    Args:
        path: Of what is wrong.
        text: What is wrong, as a clause.
        of_key: The name of the key is wrong, and not its value.
    """

    def __init__(self, path: Path, text: str, *, of_key: bool = False) -> None:
        super().__init__(text)
        self.path = path
        self.text = text
        self.of_key = of_key


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section."""

    #: Name in the section's class.
    field: str
    #: Gives the field's value, or raises ``Wrong``.
    read: Callable[[Path, object], object]


def _name(path: Path) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))


def _flag(path: Path, value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong(path, f"{_name(path)} must be true or false")
    return value


def _whole(least: int, most: int) -> Callable[[Path, object], int]:
    def read(path: Path, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Wrong(path, f"{_name(path)} must be a whole number from {least} to {most}")
        return value

    return read


def _size(path: Path, value: object) -> int:
    found = parse_bytes(value) if isinstance(value, str) else value
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= _MOST:
        raise Wrong(path, f'{_name(path)} must be a size, such as "10 MiB", or a number of bytes')
    return found


def _time(least: int, most: int) -> Callable[[Path, object], int]:
    def read(path: Path, value: object) -> int:
        found = parse_seconds(value) if isinstance(value, str) else None
        if found is None:
            raise Wrong(path, f'{_name(path)} must be a time, such as "7 days"')
        if not least <= found <= most:
            raise Wrong(path, f"{_name(path)} must be from {least} seconds to {most // _DAY} days")
        return found

    return read


def _choice(kind: type[LogMode | ReviewMode]) -> Callable[[Path, object], object]:
    def read(path: Path, value: object) -> object:
        if not isinstance(value, str) or value not in list(kind):
            raise Wrong(path, f"{_name(path)} must be one of {', '.join(kind)}")
        return kind(value)

    return read


def _several(what: str, fits: Callable[[str], bool], *, lower: bool = True) -> Callable[[Path, object], frozenset[str]]:
    def read(path: Path, value: object) -> frozenset[str]:
        if not isinstance(value, list) or len(value) > _MOST_ENTRIES:
            raise Wrong(path, f"{_name(path)} must be a list")
        for number, entry in enumerate(value):
            if not isinstance(entry, str) or not fits(entry.lower() if lower else entry):
                raise Wrong((*path, number), f"an entry of {_name(path)} must be {what}")
        return frozenset(entry.lower() if lower else entry for entry in value)

    return read


def _is_text(least: int) -> Callable[[str], bool]:
    return lambda text: least <= len(text.strip()) and len(text) <= _LONGEST_TEXT


def _is_sample(path: str) -> bool:
    return path != "." and is_relative_path(path.removeprefix("/"))


def _sample_files(path: Path, value: object) -> tuple[str, ...]:
    """Read paths, whose order is that of the dataset's own files."""
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_FILES:
        raise Wrong(path, f"{_name(path)} must be a list of at least one file")
    for number, entry in enumerate(value):
        if not isinstance(entry, str) or not entry.isprintable() or not _is_sample(entry):
            raise Wrong(
                (*path, number),
                f"an entry of {_name(path)} must be a path, below this file's folder or absolute, without . and ..",
            )
    return tuple(value)


_addresses = _several("an address: 0x and 40 hexadecimal digits", lambda text: bool(_ADDRESS.fullmatch(text)))
_digests = _several(
    "sha256: and 64 hexadecimal digits of an image, the digests of an algorithm's files, or both with + between them",
    lambda text: bool(_DIGEST.fullmatch(text)),
)
_media_types = _several("a media type, such as text/csv or image/*", lambda text: bool(_MEDIA.fullmatch(text)))
_columns = _several("a column's name", _is_text(1), lower=False)
_canaries = _several("a text of 4 to 4096 characters", _is_text(4), lower=False)

MOCK: Final = "mock"
"""The section that is no rule of a release: it says what mock jobs may use (``core.rehearsal.MockRules``)."""

SECTIONS: Final[Mapping[str, type]] = {
    "algorithms": AlgorithmRules,
    "consumers": ConsumerRules,
    "outputs": OutputRules,
    "logs": LogRules,
    "leaks": LeakRules,
    "counts": CountRules,
    "review": ReviewRules,
}
KEYS: Final[Mapping[str, Mapping[str, Key]]] = {
    "algorithms": {
        "digests": Key("digests", _digests),
        "publishers": Key("publishers", _addresses),
        "raw": Key("raw", _flag),
    },
    "consumers": {
        "allowed": Key("allowed", _addresses),
        "denied": Key("denied", _addresses),
        "runs": Key("runs", _whole(0, 1_000_000)),
        "period": Key("period_seconds", _time(1, LONGEST_PERIOD)),
    },
    "outputs": {
        "total": Key("total_bytes", _size),
        "files": Key("files", _whole(0, 1_000_000)),
        "largest": Key("file_bytes", _size),
        "types": Key("types", _media_types),
        "rows": Key("rows", _whole(0, 1_000_000_000)),
    },
    "logs": {"mode": Key("mode", _choice(LogMode)), "tail": Key("tail_bytes", _size)},
    "leaks": {
        "check": Key("check", _flag),
        "fail_rows": Key("fail_rows", _whole(1, 1_000_000_000)),
        "warn_rows": Key("warn_rows", _whole(1, 1_000_000_000)),
        "identifiers": Key("identifiers", _columns),
        "canaries": Key("canaries", _canaries),
    },
    "counts": {"columns": Key("columns", _columns), "threshold": Key("threshold", _whole(0, 1_000_000_000))},
    "review": {
        "mode": Key("mode", _choice(ReviewMode)),
        "reviewers": Key("reviewers", _whole(1, 2)),
        "expires": Key("expires_seconds", _time(60, 3650 * _DAY)),
    },
    MOCK: {"files": Key("files", _sample_files), "free": Key("free", _flag)},
}
