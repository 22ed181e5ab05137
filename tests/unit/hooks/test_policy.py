"""The requests of Ocean Node's PolicyServer, and what its answers mean."""

from __future__ import annotations

import json

import pytest

from cove.core.consent import Action, DecryptSubject, Question, Wanted
from cove.hooks.asking import Reply
from cove.hooks.policy import requests_of, ruling_of

ME, ACCOUNT, NFT = "0x" + "1" * 40, "0x" + "2" * 40, "0x" + "4" * 40
TX = "0x" + "3" * 64
DATASET = Wanted("did:op:" + "a" * 64, "s", '{"id": "did:op:a", "n": 1.50}', TX, 2)
ALGORITHM = Wanted("did:op:" + "b" * 64, "t", '{"id": "did:op:b"}')


def sent(question: Question) -> list[dict[str, object]]:
    return [json.loads(text) for text in requests_of(question, ME)]


def test_each_service_of_a_job_is_a_question() -> None:
    said = '[{"documentId": "did:op:a", "sessionId": "x"}]'
    first, second = sent(Question(Action.COMPUTE, ACCOUNT, (DATASET,), ALGORITHM, passed_on=said))
    assert first == {
        "action": "startCompute",
        "documentId": DATASET.did,
        "ddo": {"id": "did:op:a", "n": 1.5},
        "serviceId": "s",
        "fileIndex": 2,
        "transferTxId": TX,
        "consumerAddress": ACCOUNT,
        "nodeAddress": ME,
        "policyServer": [{"documentId": "did:op:a", "sessionId": "x"}],
    }
    assert (second["documentId"], second["policyServer"]) == (ALGORITHM.did, first["policyServer"])
    assert sent(Question(Action.INITIALIZE_COMPUTE, ACCOUNT, (DATASET,), ALGORITHM, passed_on=said)) == [first, second]


@pytest.mark.parametrize(("action", "name"), [(Action.INITIALIZE, "initiate"), (Action.DOWNLOAD, "download")])
def test_a_service_is_told(action: Action, name: str) -> None:
    (body,) = sent(Question(action, ACCOUNT, (DATASET,)))
    assert (body["action"], body["documentId"], "policyServer" in body) == (name, DATASET.did, False)


def test_encrypt_and_decrypt_are_told_without_what_is_in_the_document() -> None:
    assert sent(Question(Action.ENCRYPT, "")) == [{"action": "encrypt", "nodeAddress": ME}]
    assert sent(Question(Action.ENCRYPT, ACCOUNT, passed_on='{"a": 1}')) == [
        {"action": "encrypt", "consumerAddress": ACCOUNT, "nodeAddress": ME, "policyServer": {"a": 1}}
    ]
    wanted = {
        "action": "decrypt", "decrypterAddress": ACCOUNT, "chainId": 8996, "dataNftAddress": NFT, "nodeAddress": ME
    }  # fmt: skip
    assert sent(Question(Action.DECRYPT, ACCOUNT, decrypt=DecryptSubject(8996, NFT, None))) == [wanted]
    by_transaction = Question(Action.DECRYPT, ACCOUNT, decrypt=DecryptSubject(8996, NFT, TX))
    assert sent(by_transaction) == [{**wanted, "transactionId": TX}]


JSON = "application/json"


@pytest.mark.parametrize(
    ("status", "kind", "body", "ruling"),
    [
        (200, JSON, b'{"success":true,"message":"","httpStatus":200}', (True, "")),
        (200, "", b"", (True, "")),
        (200, "text/plain", b"OK", (True, "")),
        (200, "text/html", b"<h1>Hello</h1>", (None, "")),
        (200, JSON, b'{"success":1}', (None, "")),
        (200, JSON, b'{"success":false,"message":"No membership."}', (False, "No membership.")),
        (599, JSON, b'{"success":false,"message":{"error":"Expired","redirectUri":"x"}}', (False, "Expired")),
        (403, JSON, b'{"message":"Not you"}', (False, "Not you")),
        (403, JSON, b'"Not you"', (False, "Not you")),
        (401, "text/plain", b" Not you\n", (False, "Not you")),
        (403, "text/html", b"<h1>No</h1>", (False, "")),
        (403, "text/plain", b"a\x1b[31mb", (False, "")),
        (403, "text/plain", b"x" * 201, (False, "")),
        (403, JSON, b'{"message":{"deep":1}}', (False, "")),
        (404, "", b"", (False, "")),
        (302, "", b"", (None, "")),
        (500, "text/plain", b"boom", (None, "")),
        (201, JSON, b"{}", (None, "")),
    ],
)
def test_answers(status: int, kind: str, body: bytes, ruling: tuple[bool | None, str]) -> None:
    assert ruling_of(Reply(status, kind, body)) == ruling
