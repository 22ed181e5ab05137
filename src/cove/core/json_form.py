"""Reads hostile JSON values: each function gives a value of the wanted type or says where another one stands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from cove.core.errors import Invalid


def load(plain: bytes | str, field: str, *, limit: int) -> object:
    """Read JSON text of at most ``limit`` bytes or characters.

    Raises:
        Invalid: It is larger, no UTF-8, no JSON, or nested too deep.
    """
    if len(plain) > limit:
        raise Invalid({field: [f"It is larger than {limit} bytes."]})
    try:
        return cast("object", json.loads(plain))
    except (ValueError, RecursionError):
        raise Invalid({field: ["It is not valid JSON."]}) from None


def wrong(field: str, wanted: str) -> Invalid:
    """Make the error that says what should stand in a field; it never quotes what stands there."""
    return Invalid({field: [f"It must be {wanted}."]})


def mapping(value: object, field: str) -> Mapping[str, object]:
    """Give a JSON object."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise wrong(field, "a JSON object")
    return value


def optional_mapping(value: object, field: str) -> Mapping[str, object]:
    """Give a JSON object, an empty one where it is absent or null."""
    return {} if value is None else mapping(value, field)


def sequence(value: object, field: str, *, most: int) -> Sequence[object]:
    """Give a JSON list of at most ``most`` entries."""
    if not isinstance(value, list | tuple):
        raise wrong(field, "a list")
    if len(value) > most:
        raise wrong(field, f"a list of at most {most} entries")
    return value


def text(value: object, field: str) -> str:
    """Give a text, which may be empty."""
    if not isinstance(value, str):
        raise wrong(field, "a text")
    return value


def optional_text(value: object, field: str) -> str:
    """Give a text, the empty one where it is absent or null."""
    return "" if value is None else text(value, field)


def flag(value: object, field: str) -> bool:
    """Give a boolean, False where it is absent or null; numbers and texts are no booleans."""
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong(field, "true or false")
    return value


def whole_number(value: object, field: str, *, least: int, most: int) -> int:
    """Give a whole number between two bounds, both included."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise wrong(field, f"a whole number from {least} to {most}")
    return value


def members(text: str, field: str) -> dict[str, str]:
    """Give each member of a JSON object with the text of its value; of equal names the last counts.

    So values can be handed on in the very text they were given in, and no number loses a digit.
    """
    decoder = json.JSONDecoder(object_pairs_hook=list)
    problem = Invalid({field: ["It must be a JSON object."]})
    stripped = text.strip() or "{}"
    try:
        if not isinstance(json.loads(stripped), dict):
            raise problem
        members: dict[str, str] = {}
        position = _skip(stripped, 1)
        while stripped[position] != "}":
            name, position = decoder.raw_decode(stripped, position)
            start = _skip(stripped, _skip(stripped, position) + 1)
            _, position = decoder.raw_decode(stripped, start)
            members[name] = stripped[start:position]
            position = _skip(stripped, position)
            if stripped[position] == ",":
                position = _skip(stripped, position + 1)
    except (ValueError, RecursionError):
        raise problem from None
    return members


def _skip(text: str, position: int) -> int:
    while text[position] in " \t\n\r":
        position += 1
    return position
