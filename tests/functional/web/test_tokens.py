"""Auth tokens over HTTP: what they open, for whom, and how they end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.functional.web.conftest import Consumer, Site

MAKE = "/api/services/createAuthToken"
TAKE_BACK = "/api/services/deleteAuthToken"
COMPUTE = "/api/services/compute"
RESULT = "/api/services/computeResult"


def asked(consumer: Consumer, **fields: Any) -> dict[str, Any]:
    signed = consumer.signed("", **fields)
    return {"address": signed.pop("consumerAddress"), **signed}


async def token_of(site: Site, consumer: Consumer, seconds: int = 600) -> str:
    answer = await site.http.get(MAKE, params=asked(consumer, expiration=str(int(time.time()) + seconds)))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


@pytest.mark.parametrize("header", ["AuthToken {}", "Authorization {}", "Authorization Bearer {}"])
async def test_a_token_stands_for_a_signature(
    site: Site, tmp_path: Path, alice: Consumer, bob: Consumer, header: str
) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    name, _, value = header.partition(" ")
    headers = {name: value.format(await token_of(site, alice))}
    fields = alice.signed("", jobId=job.id, index="0")
    del fields["signature"]
    answer = await site.http.get(RESULT, params=fields, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"<script>\n")
    again = await site.http.get(RESULT, params=fields, headers=headers)
    assert (again.status_code, "nonce" in again.text) == (400, True)
    listed = alice.signed("", jobId=job.id)
    del listed["signature"]
    (status,) = (await site.http.get(COMPUTE, params=listed, headers=headers)).json()
    assert status["resultsUrls"]

    stolen = bob.signed("", jobId=job.id, index="0")
    del stolen["signature"]
    refused = await site.http.get(RESULT, params=stolen, headers=headers)
    assert (refused.status_code, refused.json()["errors"]) == (400, {"signature": "Token is invalid."})


async def test_a_signature_that_is_there_is_what_counts(site: Site, alice: Consumer) -> None:
    headers = {"AuthToken": await token_of(site, alice)}
    spoiled = alice.signed("something else", jobId="0" * 32)
    assert (await site.http.put(COMPUTE, json=spoiled, headers=headers)).status_code == 400


async def test_a_token_is_taken_back_once_and_for_all(site: Site, alice: Consumer, bob: Consumer) -> None:
    token = await token_of(site, alice)
    foreign = await site.http.request("DELETE", TAKE_BACK, json=asked(bob, token=token))
    assert (foreign.status_code, foreign.json()["errors"]) == (400, {"token": ["Token is invalid."]})
    gone = await site.http.request("DELETE", TAKE_BACK, json=asked(alice, token=token))
    assert (gone.status_code, gone.json()) == (200, {"success": "Token has been deactivated."})
    again = await site.http.request("DELETE", TAKE_BACK, json=asked(alice, token=token))
    assert again.json()["errors"] == {"token": ["Token is deleted."]}
    fields = alice.signed("", jobId="0" * 32)
    del fields["signature"]
    refused = await site.http.put(COMPUTE, json=fields, headers={"AuthToken": token})
    assert (refused.status_code, refused.json()["errors"]) == (400, {"signature": "Token is deleted."})
    last = (await site.http.get("/api/services/nonce", params={"userAddress": alice.account.address})).json()
    assert last == {"nonce": str(alice.nonce - 1)}


async def test_a_replayed_creation_gives_no_token(site: Site, alice: Consumer) -> None:
    fields = asked(alice, expiration=str(int(time.time()) + 600))
    assert (await site.http.get(MAKE, params=fields)).status_code == 200
    assert (await site.http.get(MAKE, params=fields)).status_code == 400


@pytest.mark.parametrize("expiration", ["0", "1", "yesterday", "-5", "1e12", "9" * 30, ""])
async def test_an_expiration_that_is_none_burns_no_nonce(site: Site, alice: Consumer, expiration: str) -> None:
    answer = await site.http.get(MAKE, params=asked(alice, expiration=expiration))
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["expiration"])
    last = (await site.http.get("/api/services/nonce", params={"userAddress": alice.account.address})).json()
    assert last == {"nonce": "0"}


async def test_a_token_makes_no_token(site: Site, alice: Consumer) -> None:
    headers = {"AuthToken": await token_of(site, alice)}
    fields = asked(alice, expiration=str(int(time.time()) + 600))
    del fields["signature"]
    answer = await site.http.get(MAKE, params=fields, headers=headers)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["signature"])


async def test_a_proxys_credentials_are_no_token(site: Site, tmp_path: Path, alice: Consumer) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    fields = alice.signed(f"{job.id}0", jobId=job.id, index="0")
    answer = await site.http.get(RESULT, params=fields, headers={"Authorization": "Basic YTpi"})
    assert answer.status_code == 200
