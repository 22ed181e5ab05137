"""What the shapes of Ocean's metadata (SHACL, version 4.1.0) demand of a DDO, all of it checked at once.

The shapes see a DDO as a graph: a list is many values of one property, null and an empty list are none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

MAX_ERRORS: Final = 50
_MAX_VALUES: Final = 10_000
_LINE: Final = re.compile(r"[^\n]*\n?\Z")
_DID: Final = re.compile(r"did:op:")


@dataclass(frozen=True, slots=True)
class _Property:
    #: ``text`` of any form, ``line`` without line breaks, ``number``, ``flag``, ``any``; or the name of a shape.
    kind: str
    #: True: there must be one.
    needed: bool = False
    #: True: there may be many.
    many: bool = False


def _needed(kind: str) -> _Property:
    return _Property(kind, needed=True)


_PARAMETERS: Final = _Property("parameter", many=True)
_SHAPES: Final[Mapping[str, Mapping[str, _Property]]] = {
    "ddo": {
        "id": _needed("line"),
        "version": _needed("line"),
        "chainId": _needed("number"),
        "nftAddress": _needed("line"),
        "metadata": _needed("metadata"),
        "services": _Property("service", needed=True, many=True),
        "credentials": _Property("credentials", many=True),
    },
    "metadata": {
        "name": _needed("text"),
        "description": _needed("text"),
        "type": _needed("text"),
        "author": _needed("text"),
        "license": _needed("text"),
        "copyrightHolder": _Property("text"),
        "contentLanguage": _Property("text"),
        "links": _Property("text", many=True),
        "tags": _Property("text", many=True),
        "categories": _Property("text", many=True),
        "algorithm": _Property("algorithm"),
    },
    "algorithm": {
        "version": _Property("line"),
        "language": _Property("line"),
        "container": _needed("container"),
        "consumerParameters": _PARAMETERS,
    },
    "container": {
        "entrypoint": _needed("line"),
        "image": _needed("line"),
        "tag": _needed("line"),
        "checksum": _needed("line"),
    },
    "parameter": {
        "name": _needed("line"),
        "type": _needed("line"),
        "label": _needed("line"),
        "required": _needed("flag"),
        "description": _needed("text"),
        "default": _needed("line"),
        "options": _Property("any", many=True),
    },
    "service": {
        "id": _needed("line"),
        "type": _needed("line"),
        "name": _Property("line"),
        "description": _Property("text"),
        "datatokenAddress": _needed("line"),
        "serviceEndpoint": _needed("line"),
        "files": _needed("line"),
        "timeout": _needed("number"),
        "compute": _Property("compute"),
        "consumerParameters": _PARAMETERS,
    },
    "compute": {
        "allowRawAlgorithm": _needed("flag"),
        "allowNetworkAccess": _needed("flag"),
        "publisherTrustedAlgorithmPublishers": _Property("line", many=True),
        "publisherTrustedAlgorithms": _Property("trusted", many=True),
    },
    "trusted": {
        "did": _needed("line"),
        "filesChecksum": _needed("line"),
        "containerSectionChecksum": _needed("line"),
    },
    "credentials": {
        "allow": _Property("credential", many=True),
        "deny": _Property("credential", many=True),
    },
    "credential": {
        "type": _needed("line"),
        "values": _Property("line", needed=True, many=True),
    },
}
_SIMPLE: Final = {"text": "a text", "line": "a text in one line", "number": "a whole number", "flag": "true or false"}


def errors_of(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Give what is wrong with a DDO, by dotted path; empty: nothing. At most :data:`MAX_ERRORS` are given.

    Args:
        document: As JSON gives it.
    """
    found: dict[str, list[str]] = {}
    if not isinstance(document.get("@context"), list | Mapping):
        found["@context"] = ["It is missing, or no list."]
    _check("ddo", document, "", found)
    identity = document.get("id")
    if isinstance(identity, str) and not _DID.match(identity):
        found.setdefault("id", ["It must begin with did:op:."])
    metadata = document.get("metadata")
    for name in ("created", "updated") if isinstance(metadata, Mapping) else ():
        value = metadata.get(name)  # type: ignore[union-attr]  # a mapping, as the line above says
        if value is not None and not _is_time(value):
            found.setdefault(f"metadata.{name}", ["It must be a time in ISO format."])
    return dict(list(found.items())[:MAX_ERRORS])


def _check(shape: str, body: Mapping[str, Any], path: str, found: dict[str, list[str]]) -> None:
    for name, one in _SHAPES[shape].items():
        place = f"{path}.{name}".removeprefix(".")
        values = _values(body.get(name))
        if len(found) >= MAX_ERRORS:
            return
        if one.needed and not values:
            found[place] = ["It is missing."]
        elif len(values) > 1 and not one.many:
            found[place] = ["There may be one value alone."]
        elif len(values) > _MAX_VALUES:
            found[place] = [f"There may be {_MAX_VALUES} values at most."]
        else:
            for position, value in enumerate(values):
                where = f"{place}[{position}]" if isinstance(body.get(name), list) else place
                _check_value(one.kind, value, where, found)


def _check_value(kind: str, value: object, place: str, found: dict[str, list[str]]) -> None:
    if kind in _SHAPES:
        if isinstance(value, Mapping):
            _check(kind, value, place, found)
        elif kind != "trusted" or value != "*":  # Cove takes * for every published algorithm
            found[place] = ["It must be a JSON object."]
    elif kind != "any" and not _is(kind, value):
        found[place] = [f"It must be {_SIMPLE[kind]}."]


def _is(kind: str, value: object) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "line":
            return isinstance(value, str) and _LINE.match(value) is not None
        case "flag":
            return isinstance(value, bool)
        case _:
            return isinstance(value, int) and not isinstance(value, bool)


def _values(value: object) -> Sequence[object]:
    if value is None:
        return ()
    return [one for one in value if one is not None] if isinstance(value, list) else (value,)


def _is_time(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value.rstrip("Z"))
    except ValueError:
        return False
    return True
