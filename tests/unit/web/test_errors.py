"""Every error becomes the answer that clients know."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from cove.core import errors
from cove.web.errors import BrokenOffError, LastResort, json_answer, on_cove_error, on_http_error

REQUEST = Request({"type": "http", "method": "GET", "path": "/here", "query_string": b"", "headers": []})
SENT = "0xsignature"
OURS = {"error": "The provider could not answer; its operator can see why in the log."}


@pytest.mark.parametrize(
    ("problem", "status", "body"),
    [
        (
            errors.Invalid({"nonce": ["The nonce field is required."]}),
            400,
            {
                "success": False,
                "message": "Validation error",
                "errors": {"nonce": ["The nonce field is required."]},
                "code": "validation_error",
            },
        ),
        (
            errors.Refused("datasets[1].serviceId", "order_invalid", hint="Order it."),
            400,
            {"error": {"datasets[1].serviceId": "order_invalid"}, "code": "refused", "hint": "Order it."},
        ),
        (
            errors.BadSignature("Invalid signature provided."),
            400,
            {
                "success": False,
                "message": "Validation error",
                "errors": {"signature": "Invalid signature provided."},
                "code": "bad_signature",
            },
        ),
        (errors.NotFound("There is no such job."), 404, {"error": "There is no such job.", "code": "not_found"}),
        (errors.Forbidden("It is revoked."), 403, {"error": "It is revoked.", "code": "forbidden"}),
        (errors.TooMany("Slow down.", retry_after=7), 429, {"error": "Slow down.", "code": "too_many_requests"}),
        (
            errors.Unavailable("chain 8996"),
            503,
            {"error": "chain 8996 does not answer", "context": "chain 8996", "code": "unavailable"},
        ),
        (errors.NoSpace("The disk is full."), 503, {"error": "The disk is full.", "code": "no_space"}),
        (errors.SettingsWrong("secret", hint="secret"), 500, {**OURS, "code": "settings"}),
        (errors.AlgorithmMissing("secret"), 500, {**OURS, "code": "algorithm_unavailable"}),
    ],
)
async def test_an_error_has_its_status_and_body(problem: errors.CoveError, status: int, body: object) -> None:
    answer = await on_cove_error(REQUEST, problem)
    assert (answer.status_code, json.loads(bytes(answer.body))) == (status, body)
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)


async def test_two_writers_at_once_are_no_bug() -> None:
    answer = await on_cove_error(REQUEST, errors.StaleWrite("version 3 is stored"))
    assert answer.status_code == 409
    assert b"version" not in bytes(answer.body)


@pytest.mark.parametrize("status", [400, 404, 405, 413])
async def test_what_the_router_refuses_is_json_too(status: int) -> None:
    answer = await on_http_error(REQUEST, HTTPException(status, "why", {"Allow": "PUT"}))
    assert (answer.status_code, answer.headers["allow"]) == (status, "PUT")
    assert json.loads(bytes(answer.body))["error"]


async def test_a_wrong_method_says_where() -> None:
    body = json.loads(bytes((await on_http_error(REQUEST, HTTPException(405))).body))
    assert body == {"error": "The method GET is not allowed here.", "context": "/here"}


def test_a_name_that_utf_8_cannot_hold_is_sent_as_json() -> None:
    assert json.loads(bytes(json_answer({"filename": "\udcff"}).body)) == {"filename": "\udcff"}


async def serve(app: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await LastResort(app)({"type": "http", "method": "GET", "path": "/here"}, receive, send)
    return sent


async def test_a_bug_tells_nothing_of_the_request(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise KeyError(SENT)

    with caplog.at_level(logging.ERROR, "cove.web"):
        start, body = await serve(app)
    assert start["status"] == 500
    assert json.loads(body["body"]) == {**OURS, "code": "error"}
    assert "KeyError" in caplog.text
    assert "test_errors.py" in caplog.text
    assert SENT not in caplog.text


async def test_a_bug_in_the_midst_of_an_answer_breaks_it_off() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError(SENT)

    with pytest.raises(BrokenOffError) as problem:
        await serve(app)
    assert problem.value.__cause__ is None
    assert problem.value.__suppress_context__


async def test_a_client_that_went_away_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ClientDisconnect

    assert await serve(app) == []
    assert not caplog.records
