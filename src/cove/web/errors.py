"""Which error becomes which answer: one table."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cove.core.errors import (
    BadSignature,
    CoveError,
    Forbidden,
    Invalid,
    NoSpace,
    NotFound,
    RateLimited,
    Refused,
    StaleWrite,
    TooMany,
    Unavailable,
)

log = logging.getLogger("cove.web")

STATUS: Final[dict[type[CoveError], int]] = {
    Invalid: 400,
    Refused: 400,
    BadSignature: 400,
    NotFound: 404,
    Forbidden: 403,
    StaleWrite: 409,
    TooMany: 429,
    RateLimited: 429,
    Unavailable: 503,
    NoSpace: 503,
}
"""Status by class; what is not here is ours to mend: 500."""


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Give a JSON answer."""
    # ASCII alone: a file's name may hold what UTF-8 cannot.
    content = json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    return Response(content, status, headers, "application/json")


async def on_cove_error(request: Request, problem: Exception) -> Response:
    """Answer with an error that Cove knows."""
    del request
    if not isinstance(problem, CoveError):
        raise problem
    return error_answer(problem)


def error_answer(problem: CoveError) -> Response:
    """Give the answer that says an error."""
    status = STATUS.get(type(problem), 500)
    if status >= 500:  # noqa: PLR2004 - ours to mend
        log.error("%s: %s", problem.code, problem.message)
    body = _body(problem) | {"code": problem.code}
    if problem.hint and status != 500:  # noqa: PLR2004 - such a hint is the operator's
        body["hint"] = problem.hint
    headers = {"Retry-After": str(problem.retry_after)} if isinstance(problem, TooMany) else None
    return json_answer(body, status, headers)


def _body(problem: CoveError) -> dict[str, Any]:
    match problem:
        case Invalid():
            return {"success": False, "message": "Validation error", "errors": problem.errors}
        case BadSignature():
            return {"success": False, "message": "Validation error", "errors": {"signature": problem.message}}
        case Refused():
            return {"error": {problem.field: problem.reason}}
        case Unavailable():
            return {"error": problem.message, "context": problem.part}
        case StaleWrite():
            return {"error": "The job was changed meanwhile: ask for its status, then try again."}
        case _ if type(problem) in STATUS:
            return {"error": problem.message}
        case _:
            return {"error": "The provider could not answer; its operator can see why in the log."}


async def on_http_error(request: Request, problem: Exception) -> Response:
    """Answer what was refused before a route was found or a body was read."""
    if not isinstance(problem, HTTPException):
        raise problem
    match problem.status_code:
        case 404:
            body = {"error": "There is nothing at this path.", "code": "not_found"}
        case 405:
            body = {"error": f"The method {request.method} is not allowed here.", "context": request.url.path}
        case 413:
            body = {"error": problem.detail, "code": "too_large"}
        case _:
            body = {"error": problem.detail}
    return json_answer(body, problem.status_code, dict(problem.headers or {}))


class LastResort:
    """Stands around the routes: a bug of ours becomes a 500 that tells nothing of the request.

    Only the places in our code are logged, since the text of an unforeseen error may quote what was sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except ClientDisconnect:
            return
        except Exception as problem:  # noqa: BLE001 - the web's last resort, as the house rules say
            places = "".join(traceback.format_tb(problem.__traceback__))
            log.error(  # noqa: TRY400 - the error's own text is left out
                "unexpected %s at %s %s\n%s", type(problem).__name__, scope.get("method"), scope.get("path"), places
            )
            if started:
                raise BrokenOffError from None
            answer = {"error": "The provider could not answer; its operator can see why in the log.", "code": "error"}
            await json_answer(answer, 500)(scope, receive, send)


class BrokenOffError(Exception):
    """An answer failed after it had begun: the server closes the connection, so that nobody takes it for whole."""
