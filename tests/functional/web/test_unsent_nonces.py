"""What ocean.js sends to stop and delete: no nonce, or a signature that leaves the nonce out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.functional.web.conftest import Consumer, Site

from cove.core.job import Phase

COMPUTE = "/api/services/compute"
DID = "did:op:" + "3" * 64


async def use_nonce(site: Site, consumer: Consumer, nonce: str) -> None:
    assert await site.cove.nonces.use(consumer.account.address, nonce)


async def last_nonce(site: Site, consumer: Consumer) -> Any:
    asked = {"userAddress": consumer.account.address}
    return (await site.http.get("/api/services/nonce", params=asked)).json()["nonce"]


def body(consumer: Consumer, job_id: str, text: str, **fields: str) -> dict[str, str]:
    address = consumer.account.address
    signature = consumer.account.sign_text(f"{address}{text}")
    return {"consumerAddress": address, "jobId": job_id, "signature": signature, **fields}


@pytest.mark.parametrize(
    ("last", "signed", "then"),
    [
        (None, "1", "1.5"),
        ("7", "8", "8.5"),
        ("8.5", "9.5", "10"),
        ("8.5", "8.5", "9"),
        ("1700000000000", "1700000000000", "1700000000000.5"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_nonce_that_was_signed_and_not_sent(  # noqa: PLR0917 - each parameter once
    site: Site, alice: Consumer, last: str | None, signed: str, then: str, method: str
) -> None:
    job = await site.add(owner=alice.account.address)
    if last is not None:
        await use_nonce(site, alice, last)
    sent = body(alice, job.id, f"{job.id}{DID}{signed}", documentId=DID)
    answer = await site.http.request(method, COMPUTE, json=sent)
    assert answer.status_code == 200, answer.text
    assert [entry["jobId"] for entry in answer.json()] == [job.id]
    assert await last_nonce(site, alice) == then
    replayed = await site.http.request(method, COMPUTE, json=sent)
    assert replayed.status_code == 400
    assert await last_nonce(site, alice) == then


async def test_another_nonce_than_those_is_refused(site: Site, alice: Consumer, bob: Consumer) -> None:
    job = await site.add(owner=alice.account.address)
    await use_nonce(site, alice, "7")
    for text in (f"{job.id}{DID}9", f"{job.id}{DID}6", f"{job.id}{DID}", f"{DID}8"):
        sent = body(alice, job.id, text, documentId=DID)
        assert (await site.http.request("DELETE", COMPUTE, json=sent)).status_code == 400
    foreign = await site.http.request("DELETE", COMPUTE, json=body(bob, job.id, f"{job.id}{DID}1", documentId=DID))
    assert foreign.json() == []
    assert await last_nonce(site, alice) == "7"


async def test_a_stop_whose_signature_leaves_the_nonce_out(site: Site, alice: Consumer) -> None:
    job = await site.add(owner=alice.account.address)
    sent = body(alice, job.id, job.id, nonce="5")
    answer = await site.http.put(COMPUTE, json=sent)
    assert (answer.status_code, answer.json()[0]["stopreq"]) == (200, 1)
    assert (await site.http.put(COMPUTE, json=sent)).status_code == 400
    assert (await site.http.request("DELETE", COMPUTE, json={**sent, "nonce": "6"})).status_code == 400
    assert (await site.http.put(COMPUTE, json={**sent, "nonce": "6"})).status_code == 200


async def test_such_a_stop_of_a_job_that_is_not_there_finds_nothing(site: Site, alice: Consumer, bob: Consumer) -> None:
    missing = "0" * 32
    answer = await site.http.put(COMPUTE, json=body(alice, missing, missing, nonce="5"))
    assert (answer.status_code, answer.json()) == (200, [])
    forged = body(bob, missing, missing, nonce="6") | {"consumerAddress": alice.account.address}
    assert (await site.http.put(COMPUTE, json=forged)).status_code == 400
    assert await last_nonce(site, alice) == "5"


async def test_such_a_stop_does_not_reach_a_restarted_job(site: Site, alice: Consumer) -> None:
    job = await site.add(owner=alice.account.address)
    store = site.cove.parts.store
    for phase in (Phase.CLEANING, Phase.DONE, Phase.ACCEPTED):
        job = await store.save(replace(job, phase=phase, attempt=2 if phase is Phase.ACCEPTED else 1))
    answer = await site.http.put(COMPUTE, json=body(alice, job.id, job.id, nonce="5"))
    assert answer.status_code == 400
    found = await store.get(job.id)
    assert found is not None
    assert found.stop_requested_at is None


@pytest.mark.parametrize("in_text", [True, False])
async def test_a_stop_as_first_documented_needs_signature_and_job_alone(
    site: Site, alice: Consumer, bob: Consumer, *, in_text: bool
) -> None:
    job = await site.add(owner=alice.account.address)
    text = f"{alice.account.address if in_text else ''}{job.id}{DID}1"
    asked = {"signature": alice.account.sign_text(text), "documentId": DID, "jobId": job.id}
    for change in ({"signature": bob.account.sign_text(text)}, {"jobId": "0" * 32}):
        assert (await site.http.put(COMPUTE, params={**asked, **change})).status_code == 400
    answer = await site.http.put(COMPUTE, params=asked)
    assert (answer.status_code, answer.json()[0]["stopreq"]) == (200, 1)
    assert (await site.http.put(COMPUTE, params=asked)).status_code == 400
