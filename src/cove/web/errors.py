"""Which error becomes which answer: one table."""

from __future__ import annotations

import json
import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cove.core.errors import (
    BadSignature,
    CoveError,
    Forbidden,
    Invalid,
    NoSpace,
    NotFound,
    Refused,
    TooMany,
    Unavailable,
)

log = logging.getLogger("cove.web")

STATUS: dict[type[CoveError], int] = {
    Invalid: 400,
    Refused: 400,
    BadSignature: 400,
    NotFound: 404,
    Forbidden: 403,
    TooMany: 429,
    Unavailable: 503,
    NoSpace: 503,
}
"""Status by class; what is not here is ours to mend: 500."""


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Give a JSON answer."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, status, headers, "application/json")


async def on_cove_error(request: Request, problem: Exception) -> Response:
    """Answer with an error that Cove knows."""
    del request
    if not isinstance(problem, CoveError):
        raise problem
    status = STATUS.get(type(problem), 500)
    body: dict[str, Any] = {}
    headers: dict[str, str] = {}
    match problem:
        case Invalid():
            body = {"success": False, "message": "Validation error", "errors": problem.errors}
        case BadSignature():
            body = {"success": False, "message": "Validation error", "errors": {"signature": problem.message}}
        case Refused():
            body = {"error": {problem.field: problem.reason}}
        case TooMany():
            body = {"error": problem.message}
            headers["Retry-After"] = str(problem.retry_after)
        case _ if status == 500:  # noqa: PLR2004 - the status of the table above
            log.error("%s: %s", problem.code, problem.message)
            body = {"error": "The provider could not answer; its operator can see why in the log."}
        case _:
            body = {"error": problem.message}
    body["code"] = problem.code
    if problem.hint:
        body["hint"] = problem.hint
    return json_answer(body, status, headers)


async def on_http_error(request: Request, problem: Exception) -> Response:
    """Answer what the router refused: unknown paths and methods."""
    if not isinstance(problem, HTTPException):
        raise problem
    if problem.status_code == 405:  # noqa: PLR2004 - method not allowed
        body = {"error": f"The method {request.method} is not allowed here.", "context": request.url.path}
        return json_answer(body, 405, dict(problem.headers or {}))
    return json_answer({"error": "There is nothing at this path.", "code": "not_found"}, problem.status_code)


async def on_bug(request: Request, problem: Exception) -> Response:
    """Answer to a bug of ours: nothing of the request is told, in the answer or in the log."""
    log.error("unexpected %s at %s %s", type(problem).__name__, request.method, request.url.path, exc_info=problem)
    return json_answer({"error": "An unexpected error of the provider's.", "code": "error"}, 500)
