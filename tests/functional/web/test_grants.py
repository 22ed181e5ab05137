"""A service with no chain at all, and the grants that pay for jobs on it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support import catalogue
from tests.support.catalogue import CHAIN, CONSUMER, NONCES, OWNER, RAW, STRANGER, VAULT, Home

from cove.access.grants import Wish
from cove.core.errors import CoveError, Forbidden, NotFound
from cove.core.grant import Grant, digest
from cove.crypto.keys import keccak


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    async with catalogue.opened(tmp_path) as made:
        yield made


def hint(answer: httpx2.Response) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["hint"])


async def test_a_job_by_a_grant_from_start_to_results(home: Home) -> None:
    grant, code = await home.grant(), await home.grant(home.algorithm)
    algorithm = {"documentId": home.algorithm, "serviceId": "0", "transferTxId": code}
    started = await home.start(grant, algorithm=algorithm)
    assert started.status_code == 200, started.text
    job = started.json()[0]
    assert (job["agreementId"], job["algoDID"]) == (grant, home.algorithm)
    ended = await home.done(job["jobId"])
    assert ended["status"] == 70, ended
    assert ended["outcome"] == "succeeded"
    number = next(entry["index"] for entry in ended["results"] if entry["filename"] == "n")
    nonce = str(next(NONCES))
    signature = CONSUMER.sign(f"{CONSUMER.address}{job['jobId']}{number}{nonce}")
    asked = {"consumerAddress": CONSUMER.address, "jobId": job["jobId"], "index": number, "nonce": nonce}
    result = await home.http.get("/api/services/computeResult", params={**asked, "signature": signature})
    assert result.text == "8"
    assert [(one.id, one.used) for one in await home.desk.list()] == [(code, 1), (grant, 1)]


async def test_what_clients_read_before_they_do_anything(home: Home) -> None:
    root = (await home.http.get("/")).json()
    assert root["chainIds"] == [CHAIN]
    assert root["providerAddresses"] == {str(CHAIN): VAULT.address}
    environments = (await home.http.get("/api/services/computeEnvironments")).json()
    (entry,) = environments[str(CHAIN)]
    assert (entry["priceMin"], entry["allowedChainId"]) == (0.0, [CHAIN])  # its price is for chains
    nonce = await home.http.get("/api/services/nonce", params={"userAddress": CONSUMER.address})
    assert nonce.json() == {"nonce": "0"}
    document = (await home.http.get(f"/api/aquarius/assets/ddo/{home.dataset}")).json()
    assert (document["id"], document["nft"]["owner"]) == (home.dataset, OWNER.address)
    headers = {"Content-Type": "application/octet-stream"}
    sealed = await home.http.post(f"/api/services/encrypt?chainId={CHAIN}", content=b"x", headers=headers)
    assert (sealed.status_code, VAULT.decrypt(bytes.fromhex(sealed.text[2:]))) == (201, b"x")
    info = await home.http.post(
        "/api/services/fileinfo", json={"did": home.dataset, "serviceId": "0", "checksum": True}
    )
    assert info.json()[0]["checksum"] == catalogue.sha256(home.folder / "data" / "table.csv")


async def test_a_quote_asks_for_nothing(home: Home) -> None:
    body: dict[str, Any] = {
        "datasets": [{"documentId": home.dataset, "serviceId": "0"}],
        "algorithm": RAW,
        "compute": {"env": "default", "validUntil": int(time.time()) + 300},
        "consumerAddress": CONSUMER.address,
    }
    fee = (await home.http.post("/api/services/initializeCompute", json=body)).json()["datasets"][0]["providerFee"]
    assert fee["providerFeeAmount"] == "0"
    grant = await home.grant()
    body["datasets"][0]["transferTxId"] = grant
    quoted = (await home.http.post("/api/services/initializeCompute", json=body)).json()
    assert quoted["datasets"] == [{"datatoken": quoted["datasets"][0]["datatoken"], "validOrder": grant}]


async def test_a_grant_pays_for_as_many_runs_as_it_says(home: Home) -> None:
    grant = await home.grant(runs=2)
    for _ in range(2):
        job = (await home.start(grant)).json()[0]["jobId"]
        assert (await home.done(job))["status"] == 70
    assert "used up" in hint(await home.start(grant))
    again = await home.start(grant, jobId=job)
    assert again.json()["error"] == {"agreementId": "grant_spent"}


async def test_a_restart_counts_and_deleting_a_job_gives_nothing_back(home: Home) -> None:
    grant = await home.grant(runs=2)
    job = (await home.start(grant)).json()[0]["jobId"]
    await home.done(job)
    assert (await home.start(grant, jobId=job)).status_code == 200
    await home.done(job)
    nonce = str(next(NONCES))
    body = {"consumerAddress": CONSUMER.address, "jobId": job, "documentId": home.dataset, "nonce": nonce}
    body["signature"] = CONSUMER.sign(f"{CONSUMER.address}{job}{home.dataset}{nonce}")
    deleted = await home.http.request("DELETE", "/api/services/compute", json=body)
    assert deleted.json()[0]["removed"] == 1
    assert "used up" in hint(await home.start(grant))


async def test_a_grant_is_bound_to_its_consumer_asset_and_service(home: Home) -> None:
    grant = await home.grant()
    assert "another service or consumer" in hint(await home.start(grant, by=STRANGER))
    other = await catalogue.shelve(home.folder / "catalogue", "table.csv")
    dataset = {"documentId": other, "serviceId": "0", "transferTxId": grant}
    assert "another service or consumer" in hint(await home.start(grant, dataset=dataset))
    code = {"documentId": home.algorithm, "serviceId": "0", "transferTxId": grant}
    assert (await home.start(await home.grant(), algorithm=code)).json()["error"] == {
        "algorithm.serviceId": "order_invalid"
    }


async def test_taken_back_and_expired_ones_are_refused(home: Home) -> None:
    grant = await home.grant()
    assert await home.desk.revoke(grant)
    assert not await home.desk.revoke(grant.upper().replace("0X", "0x"))
    assert "taken back" in hint(await home.start(grant))
    database = home.folder / "state" / "cove.db"
    old = await home.grant(valid_until=int(time.time()) + 3600)
    with closing(sqlite3.connect(database)) as connection:
        (text,) = connection.execute("SELECT document FROM grants WHERE id = ?", (old,)).fetchone()
    assert json.loads(text)["validUntil"] > time.time()
    with pytest.raises(Forbidden, match="expired"):
        await home.grant(valid_until=int(time.time()) - 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runs", 1000),
        ("consumer", STRANGER.address),
        ("validUntil", 2**40),
        ("salt", "00" * 32),
        ("signature", "01" * 65),
    ],
)
async def test_a_grant_that_was_changed_in_the_database_is_worth_nothing(home: Home, name: str, value: object) -> None:
    grant = await home.grant()
    with closing(sqlite3.connect(home.folder / "state" / "cove.db")) as connection, connection:
        (text,) = connection.execute("SELECT document FROM grants WHERE id = ?", (grant,)).fetchone()
        changed = json.dumps(json.loads(text) | {name: value})
        connection.execute("UPDATE grants SET document = ? WHERE id = ?", (changed, grant))
    by = STRANGER if name == "consumer" else CONSUMER
    refused = await home.start(grant, by=by)
    assert refused.json()["error"] == {"dataset.serviceId": "order_invalid"}


async def test_made_up_and_foreign_ids_are_refused(home: Home) -> None:
    theirs = Grant(CONSUMER.address, home.dataset, "0", int(time.time()) + 60, 1, b"\1" * 32)
    other_provider = "0x" + digest(theirs, CHAIN, STRANGER.address, keccak).hex()
    never_kept = "0x" + digest(theirs, CHAIN, VAULT.address, keccak).hex()
    for order in (other_provider, never_kept, "0x" + "0" * 64):
        assert "knows no such order" in hint(await home.start(order))


async def test_the_owner_alone_grants_and_what_makes_no_sense_is_said(home: Home) -> None:
    until = int(time.time()) + 60
    wish = Wish(CONSUMER.address, home.dataset, None, until, 1)
    with pytest.raises(Forbidden, match="belongs to"):
        await home.desk.create(wish, STRANGER)
    for bad in (
        Wish("nobody", home.dataset, None, until, 1),
        Wish(CONSUMER.address, "did:op:" + "1" * 64, None, until, 1),
        Wish(CONSUMER.address, home.dataset, "9", until, 1),
        Wish(CONSUMER.address, home.dataset, None, until, 0),
    ):
        with pytest.raises(CoveError):
            await home.desk.create(bad, OWNER)
    with pytest.raises(NotFound, match="no such grant"):
        await home.desk.revoke("0x" + "1" * 64)


async def test_a_new_owner_ends_the_old_owners_grants(home: Home) -> None:
    grant = await home.grant()
    path = home.folder / "catalogue" / f"{home.dataset.removeprefix('did:op:')}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"owner": STRANGER.address}))
    await home.cove.access.asset_document(home.dataset)
    answer = await home.start(grant)
    assert answer.status_code == 400


async def test_the_house_is_in_order_without_a_chain(home: Home) -> None:
    assert not [finding for finding in await home.cove.examine() if finding.part.startswith("chain")]
