from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.held import ANNA, NOW, a_held_job, a_review
from tests.support.jobs import a_full_job, a_job

from cove.core import airlock, receipt
from cove.core.job import Job, Outcome, Phase, ResultFile, Verdict
from cove.core.releasepolicy import ReleasePolicy
from cove.crypto.keys import Account, keccak, personal_hash, recover

ACCOUNT = Account(b"\x07" * 32)
AROUND = receipt.Circumstances(ACCOUNT.address, "0.1.0", ReleasePolicy(), "print(1)", "ab" * 32, None)
DONE = a_full_job(phase=Phase.DONE)


def sign(signed: bytes) -> bytes:
    return ACCOUNT.sign(personal_hash(keccak(signed)))


def who(signed: bytes, signature: bytes) -> str | None:
    return recover(personal_hash(keccak(signed)), signature)


def made(job: Job = DONE, around: receipt.Circumstances = AROUND) -> bytes:
    return receipt.envelope(receipt.statement(job, around), ACCOUNT.address, sign)


def test_a_receipt_says_what_ran_and_what_left() -> None:
    found = receipt.opened(made(), who)
    assert found.signer == ACCOUNT.address
    assert found.statement["subject"] == [{"name": "a.csv", "digest": {"sha256": "ab" * 32}}]
    said = found.statement["predicate"]
    assert said["image"] == "sha256:" + "ef" * 32
    assert said["end"] == {
        "outcome": "algorithm_failed", "reason": "exit_code_3", "exitCode": 3, "outOfMemory": True,
    }  # fmt: skip
    assert said["policy"] == {"builtIn": True, "digests": {}}
    assert said["withheld"] == [{"type": "output", "reason": "bad_name", "count": 1}]
    assert said["audit"] == "ab" * 32


def test_what_did_not_leave_is_counted_and_not_named() -> None:
    secret = [
        Verdict(f"patient-{n}", "output", 4711, "cd" * 32, released=False, reason="leaked_rows") for n in range(3)
    ]
    said = made(replace(DONE, verdicts=(*DONE.verdicts, *secret)))
    text = json.dumps(receipt.opened(said, who).statement)
    for private in ("patient", "4711", "cd" * 32, DONE.id):
        assert private not in text
    assert '"count": 3' in text


def test_a_job_without_results_has_a_statement_about_itself() -> None:
    job = a_job(phase=Phase.DONE, outcome=Outcome.TIMED_OUT, finished_at=1.0)
    found = receipt.opened(made(job), who)
    (subject,) = found.statement["subject"]
    assert subject["name"] == "job"
    assert "sha256:" + subject["digest"]["sha256"] == found.statement["predicate"]["job"]["id"]


def test_inputs_that_were_not_read_through_are_named_by_a_fingerprint() -> None:
    job = replace(
        DONE,
        input_digests=(
            ("/data/inputs/1/0", "sha256:" + "12" * 32), ("/data/inputs/1/1", "stat:1:2:3:4"),
            ("/data/ddos/x", ""), ("/data/transformations/algorithm", "sha256:" + "34" * 32),
        ),
    )  # fmt: skip
    said = receipt.opened(made(job, replace(AROUND, rawcode=None)), who).statement["predicate"]
    assert said["inputs"][0] == {"place": "/data/inputs/1/0", "sha256": "12" * 32}
    assert said["inputs"][1].keys() == {"place", "fingerprint"}
    assert said["algorithm"]["files"] == [{"place": "/data/transformations/algorithm", "sha256": "34" * 32}]


def test_a_review_names_its_reviewers_and_not_their_words() -> None:
    job = a_held_job()
    review = a_review(job=job)
    for file in review.files:
        review = airlock.voted(
            review, file.key, airlock.Vote(ANNA, approve=True, reason="Bob Smith is fine", sha256=file.sha256, at=NOW)
        )
    said = made(replace(job, phase=Phase.DONE), replace(AROUND, review=review))
    found = receipt.opened(said, who).statement["predicate"]["review"]
    assert (found["state"], found["reviewers"], found["needed"]) == ("released", [ANNA], 1)
    assert "Smith" not in json.dumps(receipt.opened(said, who).statement)


@given(position=st.integers(0, 10_000), change=st.integers(1, 255))
def test_no_byte_of_it_can_be_changed(position: int, change: int) -> None:
    envelope = json.loads(made())
    payload = bytearray(base64.b64decode(envelope["payload"]))
    payload[position % len(payload)] ^= change
    envelope["payload"] = base64.b64encode(bytes(payload)).decode()
    with pytest.raises(receipt.NoReceipt):
        receipt.opened(json.dumps(envelope).encode(), who)


def test_another_account_cannot_sign_in_the_providers_name() -> None:
    body = receipt.statement(DONE, AROUND)
    other = Account(b"\x08" * 32)
    for keyid in (ACCOUNT.address, other.address):
        forged = receipt.envelope(body, keyid, lambda signed: other.sign(personal_hash(keccak(signed))))
        with pytest.raises(receipt.NoReceipt):
            receipt.opened(forged, who)


@given(content=st.one_of(st.binary(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["payload", "payloadType", "signatures", "sig", "keyid"]), inner
    ),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_anything_else_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(receipt.NoReceipt):
        receipt.opened(content, who)


def test_a_signed_statement_of_another_form_is_refused() -> None:
    bodies: list[dict[str, Any]] = [
        {},
        {"_type": receipt.STATEMENT_TYPE, "predicateType": "https://slsa.dev/provenance/v1"},
        {"_type": receipt.STATEMENT_TYPE, "predicateType": receipt.PREDICATE_TYPE, "predicate": []},
        {"_type": receipt.STATEMENT_TYPE, "predicateType": receipt.PREDICATE_TYPE, "predicate": {"released": [1]}},
        {"_type": receipt.STATEMENT_TYPE, "predicateType": receipt.PREDICATE_TYPE, "predicate": {"released": []}},
    ]
    for body in bodies:
        with pytest.raises(receipt.NoReceipt):
            receipt.opened(receipt.envelope(body, ACCOUNT.address, sign), who)


def test_the_encoding_before_signing_is_that_of_dsse() -> None:
    assert receipt.pae(b"hello") == b"DSSEv1 28 application/vnd.in-toto+json 5 hello"


def test_files_are_found_by_their_bytes() -> None:
    results = tuple(
        ResultFile(name, 1, "output", digest * 32, "k") for name, digest in (("a/x", "aa"), ("b/x", "aa"), ("c", "cc"))
    )
    found = receipt.opened(made(replace(DONE, results=results)), who)
    given_files = [("out/x", "aa" * 32), ("renamed", "cc" * 32), ("c", "dd" * 32)]
    assert receipt.checked(found, given_files) == [("out/x", "a/x"), ("renamed", "c"), ("c", "")]
