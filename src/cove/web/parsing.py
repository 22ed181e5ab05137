"""Reads a request's parameters: from the query string where there is one, else from the body, each with a limit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from cove.core.errors import Invalid

Model = TypeVar("Model", bound=BaseModel)

MAX_FIELDS = 200
"""Parameters of a query string or a form."""


async def body_of(request: Request, limit: int) -> bytes:
    """Give a request's body.

    Raises:
        Invalid: It is larger than the limit.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Invalid({"body": [f"The body may have {limit} bytes at the most."]})
        parts.append(part)
    return b"".join(parts)


async def parameters(request: Request, limit: int) -> dict[str, Any]:
    """Give the parameters by name.

    Raises:
        Invalid: The body is too large, or no JSON object and no form.
    """
    if request.url.query or request.method in {"GET", "HEAD"}:
        return dict(request.query_params)
    body = await body_of(request, limit)
    if not body.strip():
        return {}
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        try:
            return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:
            raise Invalid({"body": ["The form cannot be read."]}) from None
    return parse_json(body)


def parse_json(body: bytes) -> dict[str, Any]:
    """Read a JSON object; numbers with a fraction keep their digits.

    Raises:
        Invalid: It is none.
    """
    try:
        value = json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Invalid({"body": ["The body must be JSON."]}) from None
    if not isinstance(value, dict):
        raise Invalid({"body": ["The body must be a JSON object."]})
    return value


def read(model: type[Model], values: dict[str, Any]) -> Model:
    """Make a model of the wire from parameters.

    Raises:
        Invalid: With the dotted name of each field that is wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as problem:
        errors: dict[str, list[str]] = {}
        for entry in problem.errors(include_url=False, include_context=False, include_input=False):
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
    return text or "body"
