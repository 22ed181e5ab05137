"""Sizes and times as people write them: ``10 MiB``, ``7 days``."""

from __future__ import annotations

import re
from typing import Final

_QUANTITY: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))?\s*([A-Za-z]+)", re.ASCII)
_BYTES: Final = {
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_SECONDS: Final = {
    "second": 1,
    "seconds": 1,
    "minute": 60,
    "minutes": 60,
    "hour": 3_600,
    "hours": 3_600,
    "day": 86_400,
    "days": 86_400,
    "week": 604_800,
    "weeks": 604_800,
}


def parse_bytes(text: str) -> int | None:
    """Give a size in bytes; None where the text is no size."""
    return _parsed(text, _BYTES)


def parse_seconds(text: str) -> int | None:
    """Give a time in seconds; None where the text is no time."""
    return _parsed(text, _SECONDS)


def _parsed(text: str, units: dict[str, int]) -> int | None:
    found = _QUANTITY.fullmatch(text.strip())
    unit = units.get(found[3].lower()) if found else None
    if found is None or unit is None:
        return None
    whole, part = int(found[1]), found[2] or ""
    return whole * unit + (int(part) * unit // 10 ** len(part) if part else 0)
