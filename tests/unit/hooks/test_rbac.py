"""The request of Ocean Provider's RBAC, and what its answers mean."""

from __future__ import annotations

import json

import pytest

from cove.core.consent import Action, Question, Wanted
from cove.hooks.asking import Reply
from cove.hooks.rbac import request_of, ruling_of

ME, ACCOUNT = "0x" + "1" * 40, "0x" + "2" * 40
ONE, TWO, ALGORITHM = (Wanted(f"did:op:{name * 64}", name, "{}", "0x" + "3" * 64) for name in "abc")


def sent(question: Question) -> dict[str, object]:
    return request_of(question, ME, lambda text: f"<{text}>", access="private")


def test_a_job_is_told_with_everything_that_it_uses() -> None:
    credentials = {"type": "address", "value": ACCOUNT}
    dids, algos = [{"did": ONE.did, "serviceId": "a"}], [{"did": ALGORITHM.did, "serviceId": "c"}]
    others = [{"did": TWO.did, "serviceId": "b"}]
    assert sent(Question(Action.COMPUTE, ACCOUNT, (ONE, TWO), ALGORITHM, passed_on='{"vp": 1}')) == {
        "eventType": "compute",
        "component": "provider",
        "providerAddress": ME,
        "providerAccess": "private",
        "credentials": credentials,
        "signature": f"<compute{json.dumps(credentials)}{json.dumps(dids)}{json.dumps(algos)}{json.dumps(others)}>",
        "dids": dids,
        "algos": algos,
        "additionalDids": others,
    }


@pytest.mark.parametrize(("action", "event"), [(Action.INITIALIZE, "initialize"), (Action.DOWNLOAD, "access")])
def test_a_service_is_told(action: Action, event: str) -> None:
    body = sent(Question(action, ACCOUNT, (ONE,)))
    assert (body["eventType"], body["dids"]) == (event, [{"did": ONE.did, "serviceId": "a"}])
    assert body["signature"] == f"<{event}{json.dumps(body['credentials'])}>"
    assert not {"algos", "additionalDids", "ddo", "policyServer"} & set(body)


def test_a_quote_for_a_job_is_an_initialize_with_all_services() -> None:
    body = sent(Question(Action.INITIALIZE_COMPUTE, ACCOUNT, (ONE, TWO)))
    assert (body["eventType"], len(body), body["signature"]) == (
        "initialize", 8, f"<initialize{json.dumps(body['credentials'])}>"
    )  # fmt: skip


def test_nobody_asks_to_encrypt() -> None:
    body = sent(Question(Action.ENCRYPT, ""))
    assert (body["eventType"], body["credentials"]) == ("encryptUrl", {"type": "address", "value": None})


@pytest.mark.parametrize(
    ("status", "body", "ruling"),
    [
        (200, b"true", True),
        (200, b" true\n", True),
        (200, b"false", False),
        (403, b"false", False),
        (403, b"true", None),
        (500, b"false", None),
        (200, b"1", None),
        (200, b'"true"', None),
        (200, b"{}", None),
        (200, b'{"success": true}', None),
        (200, b"", None),
        (200, b"\xff", None),
        (200, b"[" * 50_000, None),
    ],
)
def test_only_a_plain_true_is_a_yes(status: int, body: bytes, ruling: object) -> None:
    assert ruling_of(Reply(status, "application/json", body)) is ruling
