"""Parameters from hostile bodies and query strings."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from cove import wire
from cove.core.errors import Invalid
from cove.web import parsing

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def a_request(*parts: bytes, query: bytes = b"", method: str = "POST", **headers: str) -> Request:
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(
        {"type": "http", "method": method, "path": "/", "query_string": query, "headers": named}, receive=receive
    )


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_json_is_written_again_with_the_digits_that_were_sent(value: dict[str, Any]) -> None:
    text = parsing.json_text(value, "userdata")
    assert parsing.parse_json(text.encode()) == value
    assert json.loads(text) == json.loads(json.dumps(value, default=float))


def test_no_digit_of_a_number_is_lost() -> None:
    sent = '{"a": 0.10000000000000000000000001, "b": 1700000000000000000000001, "c": 1E+999999}'
    assert parsing.json_text(parsing.parse_json(sent.encode()), "userdata") == sent


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    try:
        value = parsing.parse_json(body)
    except Invalid:
        return
    assert isinstance(value, dict)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b"\xff\xfe",
        '{"a": 1}'.encode("utf-16"),
        b"[]",
        b"1",
        b"null",
        b'{"a": ' * 100_000,
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_object_of_plain_json_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        parsing.parse_json(body)


def test_of_two_equal_keys_the_last_one_counts() -> None:
    assert parsing.parse_json(b'{"nonce": 1, "nonce": 2.50}') == {"nonce": Decimal("2.50")}


@pytest.mark.parametrize("levels", [parsing.MAX_DEPTH + 1, 500, 900])
def test_what_is_nested_too_deep_is_not_kept(levels: int) -> None:
    value: object = 1
    for _ in range(levels):
        value = [value]
    with pytest.raises(Invalid) as problem:
        parsing.json_text(value, "dataset.userdata")
    assert list(problem.value.errors) == ["dataset.userdata"]


async def test_the_query_comes_before_the_body() -> None:
    request = a_request(b'{"jobId": "body"}', query=b"jobId=query&documentId=did%3Aop%3A1")
    assert await parsing.parameters(request, 100) == {"jobId": "query", "documentId": "did:op:1"}
    assert await parsing.parameters(a_request(b'{"jobId": "body"}'), 100) == {"jobId": "body"}


async def test_a_form_is_read_as_such() -> None:
    request = a_request(b"chainId=8996&no", b"nce=1", content_type="application/x-www-form-urlencoded; charset=utf-8")
    assert await parsing.parameters(request, 100) == {"chainId": "8996", "nonce": "1"}


async def test_a_get_request_has_no_body() -> None:
    assert await parsing.parameters(a_request(b'{"jobId": "body"}', method="GET"), 100) == {}


@pytest.mark.parametrize("query", [b"a=1&" * 1000, b"\xff=1"])
async def test_a_query_that_cannot_be_read_is_refused(query: bytes) -> None:
    with pytest.raises(Invalid):
        await parsing.parameters(a_request(query=query), 100)


@pytest.mark.parametrize(("parts", "headers"), [((b"x" * 60, b"x" * 60), {}), ((), {"content_length": "9" * 100})])
async def test_a_large_body_is_refused_before_it_is_held(parts: tuple[bytes, ...], headers: dict[str, str]) -> None:
    with pytest.raises(HTTPException) as problem:
        await parsing.body_of(a_request(*parts, **headers), 100)
    assert problem.value.status_code == 413


async def test_a_body_of_just_the_limit_is_read() -> None:
    assert await parsing.body_of(a_request(b"x" * 100, content_length="100"), 100) == b"x" * 100


def test_errors_stand_under_dotted_names() -> None:
    body = {"dataset": {"documentId": 5}, "additionalDatasets": [{}, {"userdata": "no json"}], "nonce": True}
    with pytest.raises(Invalid) as problem:
        parsing.read(wire.StartCompute, body)
    assert set(problem.value.errors) == {"dataset.documentId", "additionalDatasets[1].userdata", "nonce"}


def test_an_error_is_not_longer_than_what_a_person_reads() -> None:
    with pytest.raises(Invalid) as problem:
        parsing.read(wire.StartCompute, {"envs": {f"{number}{'x' * 10_000}": 1 for number in range(1000)}})
    assert len(json.dumps(problem.value.errors)) < 10_000


@pytest.mark.parametrize("userdata", ["[" * 100_000, '{"a":' * 100_000, "NaN", '{"a": NaN}'])
def test_an_object_as_text_is_as_strict(userdata: str) -> None:
    with pytest.raises(Invalid):
        parsing.read(wire.DatasetRef, {"userdata": userdata})


def test_an_object_as_text_keeps_its_digits() -> None:
    read = parsing.read(wire.DatasetRef, {"userdata": '{"a": 0.10000000000000000000000001}'})
    assert parsing.json_text(read.userdata, "userdata") == '{"a": 0.10000000000000000000000001}'


def test_missing_fields_are_named() -> None:
    with pytest.raises(Invalid) as problem:
        parsing.required(wire.JobSelector(signature=""), "signature", "nonce")
    assert problem.value.errors == {
        "signature": ["The signature field is required."],
        "nonce": ["The nonce field is required."],
    }


@pytest.mark.parametrize("text", [None, "", "-1", "1.0", "1e3", " 1", "x", "٣", "9" * 30, "1_0", "11"])
def test_what_is_no_whole_number_in_bounds_is_refused(text: str | None) -> None:
    with pytest.raises(Invalid):
        parsing.whole_number(text, "index", 10)
