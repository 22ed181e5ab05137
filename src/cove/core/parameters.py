"""Consumer parameters: what an asset's publisher asks its consumers to give, checked before a job starts (DDO 4.1.0).

Publishers write these definitions by many front ends, so a definition is read leniently: one without a name asks for
nothing, one of an unknown type takes any value, a default or an option may be a text where the value is a number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cove.core.errors import Invalid
from cove.core.json_form import members

MAX_PARAMETERS: Final = 200


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a consumer may, or must, give."""

    name: str
    #: ``text``, ``number``, ``boolean`` or ``select``; other types take any value.
    type: str
    required: bool = False
    #: JSON text of the value where none is given; empty for none.
    default: str = ""
    #: What a ``select`` offers, as text.
    options: tuple[str, ...] = ()


def parse_parameters(value: object) -> tuple[Parameter, ...]:
    """Read ``consumerParameters`` of a DDO; what is no definition is left out."""
    entries = value if isinstance(value, list | tuple) else ()
    found: dict[str, Parameter] = {}
    for entry in entries[:MAX_PARAMETERS]:
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str) and entry["name"]:
            parameter = _parameter(entry)
            found[parameter.name] = parameter
    return tuple(found.values())


def fill(parameters: Sequence[Parameter], given: str, field: str) -> str:
    """Give a consumer's values, checked, with the defaults of those that are missing.

    Args:
        parameters: What the asset asks for.
        given: JSON object as text. What is not asked for stays as it is, and every value keeps its own text.
        field: Dotted path of it, for errors.

    Raises:
        Invalid: With one sentence for each parameter that is missing or wrong.
    """
    values = members(given, field)
    errors: dict[str, list[str]] = {}
    for parameter in parameters:
        text = values.get(parameter.name)
        if text is None or json.loads(text) is None:
            if parameter.default:
                values[parameter.name] = parameter.default
            elif parameter.required:
                errors[f"{field}.{parameter.name}"] = [f"The asset requires {_wanted(parameter)}."]
        elif not _fits(parameter, json.loads(text)):
            errors[f"{field}.{parameter.name}"] = [f"It must be {_wanted(parameter)}."]
    if errors:
        raise Invalid(errors)
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in values.items()) + "}"


def _parameter(entry: Mapping[str, object]) -> Parameter:
    kind = str(entry.get("type", "text")).lower()
    options = _options(entry.get("options")) if kind == "select" else ()
    default = entry.get("default")
    return Parameter(
        name=str(entry["name"]),
        type=kind,
        required=entry.get("required") in {True, "required", "true"} if _is_plain(entry.get("required")) else False,
        default="" if default is None or default == "" or not _is_plain(default) else json.dumps(default),
        options=options,
    )


def _options(value: object) -> tuple[str, ...]:
    """Read options, which are written as a list of texts or of objects (value: label), or as the JSON text of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ()
    found: list[str] = []
    for entry in value if isinstance(value, list | tuple) else ():
        if isinstance(entry, Mapping):
            found += [str(key) for key in entry]
        elif _is_plain(entry):
            found.append(_as_text(entry))
    return tuple(found)


def _fits(parameter: Parameter, value: object) -> bool:
    match parameter.type:
        case "text":
            return isinstance(value, str)
        case "number":
            return _is_number(value)
        case "boolean":
            return isinstance(value, bool) or value in {"true", "false"} if _is_plain(value) else False
        case "select":
            return _is_plain(value) and (not parameter.options or _as_text(value) in parameter.options)
        case _:
            return True


def _is_number(value: object) -> bool:
    """Say whether a value is a finite number, or the text of one, as forms send it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        return math.isfinite(float(value))
    except (ValueError, OverflowError):
        return False


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _as_text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _wanted(parameter: Parameter) -> str:
    match parameter.type:
        case "number":
            return "a number"
        case "boolean":
            return "true or false"
        case "select" if parameter.options:
            return f"one of: {', '.join(parameter.options[:20])}"
        case "text":
            return "a text"
        case _:
            return "a value"
