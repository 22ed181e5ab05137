"""Reads a request's parameters: from the query string where there is one, else from the body, each with a limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from cove.core.errors import Invalid

Model = TypeVar("Model", bound=BaseModel)

MAX_FIELDS: Final = 200
"""Parameters of a query string or a form."""

MAX_DEPTH: Final = 64
"""How deep JSON that is kept may be nested: who reads it later has its own stack."""

MAX_PASSED_ON: Final = 32 << 10
"""Characters that one caller may have handed on to a policy server: a few verifiable credentials."""

_MAX_REPORTED: Final = 20
_LONGEST_NAME: Final = 100
_LONGEST_LENGTH: Final = 15


async def body_of(request: Request, limit: int) -> bytes:
    """Give a request's body.

    Raises:
        HTTPException: 413, it is larger than the limit; no more than the limit is ever held.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > _LONGEST_LENGTH or int(announced) > limit):
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


async def parameters(request: Request, limit: int) -> dict[str, Any]:
    """Give the parameters by name: those of the query string where there are any, else those of the body.

    Raises:
        Invalid: The body is no JSON object and no form.
        HTTPException: 413, the body is too large.
    """
    if request.scope["query_string"] or request.method in {"GET", "HEAD"}:
        return _pairs(request.scope["query_string"], "query")
    body = await body_of(request, limit)
    if not body.strip():
        return {}
    if request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return _pairs(body, "body")
    return parse_json(body)


def query_parameters(request: Request) -> dict[str, Any]:
    """Give the parameters of the query string, where the body is something else.

    Raises:
        Invalid: They cannot be read.
    """
    return _pairs(request.scope["query_string"], "query")


def _pairs(encoded: bytes, field: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(encoded.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Invalid({field: [f"The parameters cannot be read; there may be {MAX_FIELDS} of them."]}) from None
    return dict(pairs)


def parse_json(body: bytes) -> dict[str, Any]:
    """Read a JSON object; numbers with a fraction keep their digits, and of two equal keys the last one counts.

    Raises:
        Invalid: It is none.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Invalid({"body": ["The body must be JSON in UTF-8."]}) from None
    if not isinstance(value, dict):
        raise Invalid({"body": ["The body must be a JSON object."]})
    return value


def json_text(value: object, field: str) -> str:
    """Write parsed JSON as text, every number with the digits that were sent.

    Raises:
        Invalid: It is nested too deep to be kept.
    """
    return "".join(_written(value, field, 0))


def passed_on(value: object) -> str:
    """Give what a caller says to the site's policy server as JSON text; empty where it says nothing.

    Raises:
        Invalid: It is too large, or nested too deep.
    """
    if value is None:
        return ""
    text = json_text(value, "policyServer")
    if len(text) > MAX_PASSED_ON:
        raise Invalid({"policyServer": [f"The policyServer may have {MAX_PASSED_ON} characters of JSON at the most."]})
    return text


def _written(value: object, field: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise Invalid({field: [f"The {field} may be nested {MAX_DEPTH} levels deep at the most."]})
    match value:
        case dict():
            yield "{"
            for position, (name, entry) in enumerate(value.items()):
                yield f"{', ' if position else ''}{json.dumps(name)}: "
                yield from _written(entry, field, depth + 1)
            yield "}"
        case list():
            yield "["
            for position, entry in enumerate(value):
                yield ", " if position else ""
                yield from _written(entry, field, depth + 1)
            yield "]"
        case Decimal():
            yield str(value)
        case _:
            yield json.dumps(value)


def read(model: type[Model], values: dict[str, Any]) -> Model:
    """Make a model of the wire from parameters.

    Raises:
        Invalid: With the dotted name of each field that is wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as problem:
        errors: dict[str, list[str]] = {}
        found = problem.errors(include_url=False, include_context=False, include_input=False)
        for entry in found[:_MAX_REPORTED]:
            errors.setdefault(_dotted(entry["loc"]), []).append(f"{entry['msg']}.")
        raise Invalid(errors) from None


def required(model: BaseModel, *names: str) -> None:
    """See that fields are given.

    Raises:
        Invalid: With one sentence for each that is missing.
    """
    missing = [name for name in names if getattr(model, name) in (None, "")]
    if missing:
        raise Invalid({name: [f"The {name} field is required."] for name in missing})


def whole_number(text: str | None, field: str, largest: int = (1 << 63) - 1) -> int:
    """Give a whole number of 0 or more.

    Raises:
        Invalid: It is none, or too large.
    """
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 20 or int(text) > largest:  # noqa: PLR2004 - digits of the largest
        raise Invalid({field: [f"The {field} must be a whole number, 0 or more."]})
    return int(text)


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text[:_LONGEST_NAME] or "body"


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The body may have {limit} bytes at the most.")
