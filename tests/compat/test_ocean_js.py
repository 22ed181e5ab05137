"""The published ocean.js against a Cove that serves, on a real chain; one Node process per scenario."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from tests.compat.world import (
    ALGORITHM,
    BOOK,
    CHAIN_ID,
    ENDLESS,
    OTHER_TABLE,
    PROVIDER_KEY,
    TABLE,
    VERSIONS,
    World,
    asset,
    raw,
)

from cove.client import Signer
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account

CUSTOM = {"bound": 7, "name": "Zürich"}
FEE_TOKENS_FOR_5_MINUTES = 5 * 10**17


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_is_asked_before_an_order(world: World, version: str) -> None:
    secret = {"datatokenAddress": "0x1", "files": [{"type": "url", "url": "https://example.org/Zürich"}]}
    answer = world.scenario(
        "basics", version, did=world.table.did, serviceId="0", fileUrl=world.files.url("/table.csv"), secret=secret,
        nobody=Signer("0x" + hashlib.sha256(version.encode()).hexdigest()).address,
    )  # fmt: skip
    assert answer["valid"] is True
    assert answer["elsewhere"].get("value") is False
    file = {"type": "url", "valid": True, "index": 0, "contentLength": "4", "filename": "table.csv"}
    file |= {"contentType": "text/csv", "checksum": hashlib.sha256(TABLE).hexdigest(), "checksumType": "sha256"}
    assert answer["didFiles"] == answer["fileInfo"] == [file]
    assert answer["missingFile"] == [{"type": "url", "valid": False, "index": 0}]
    (environment,) = answer["environments"][str(CHAIN_ID)]
    vault = KeyVault(Account.from_hex(PROVIDER_KEY))
    assert (environment["id"], environment["priceMin"], environment["consumerAddress"]) == (
        "default",
        0.1,
        vault.address,
    )
    assert json.loads(vault.decrypt(bytes.fromhex(answer["encrypted"].removeprefix("0x")))) == secret
    assert list(answer["slash"]) == [str(CHAIN_ID)]
    # 2.x reads it with toString(), which null has not.
    assert answer["nonce"].get("value") == ("0" if version == "2.7.0" else 0)
    assert answer["document"]["value"]["id"] == world.table.did


def test_an_asset_is_published_with_nothing_but_a_provider(world: World, version: str) -> None:
    answer = world.scenario("publish", version, factory=world.addresses.factory, file=world.files.url("/table.csv"))
    vault, did = KeyVault(Account.from_hex(PROVIDER_KEY)), answer["did"]
    assert answer["first"]["checked"]["valid"]
    assert answer["first"]["checked"]["proof"]["validatorAddress"] == vault.address
    published, updated = answer["published"], answer["updated"]
    assert (published["id"], published["metadata"]["name"]) == (did, f"Rain {version}")
    assert (updated["metadata"]["name"], updated["event"]["txid"]) == (f"Snow {version}", answer["second"]["tx"])
    owner = {"owner": answer["account"], "state": 0, "name": "An NFT", "tokenURI": "data:,uri"}
    assert {name: updated["nft"][name] for name in owner} == owner
    token = {"address": answer["datatoken"], "name": "A token", "symbol": "TKN", "serviceId": "0"}
    assert updated["datatokens"] == [token]
    assert (answer["found"]["hits"]["total"]["value"], answer["found"]["hits"]["hits"][0]["_source"]) == (1, updated)
    assert answer["metadata"] == updated["metadata"]
    assert answer["hidden"] == answer["missing"]["error"] == "HTTP request failed"
    assert answer["invalid"]["valid"] is False
    assert "metadata.author" in answer["invalid"]["errors"]["errors"]
    assert "querySearch failed: 400" in answer["refused"]["error"]


def test_a_job_with_raw_code(world: World, version: str) -> None:
    answer = world.scenario(
        "compute", version, datasets=[asset(world.table)], algorithm={**raw(ALGORITHM), "algocustomdata": CUSTOM}
    )
    (quoted,) = answer["quoted"]["datasets"]
    assert quoted["datatoken"] == world.table.datatoken
    assert int(quoted["providerFee"]["providerFeeAmount"]) == pytest.approx(FEE_TOKENS_FOR_5_MINUTES, rel=0.05)
    assert "algorithm" not in answer["quoted"]
    ran_well(answer, {world.table.did: TABLE})
    assert answer["job"]["algoDID"] == "raw"


def test_a_job_with_a_published_algorithm(world: World, version: str) -> None:
    answer = world.scenario(
        "compute",
        version,
        datasets=[asset(world.table)],
        algorithm={**asset(world.algorithm), "algocustomdata": CUSTOM},
    )
    amounts = [int(item["providerFee"]["providerFeeAmount"]) for item in items_of(answer["quoted"])]
    assert amounts == [pytest.approx(FEE_TOKENS_FOR_5_MINUTES, rel=0.05), 0]
    ran_well(answer, {world.table.did: TABLE})
    assert answer["job"]["algoDID"] == world.algorithm.did


def test_a_job_with_two_datasets(world: World, version: str) -> None:
    given = {
        "datasets": [asset(world.table), asset(world.other)],
        "algorithm": {**asset(world.algorithm), "algocustomdata": CUSTOM},
    }
    answer = world.scenario("compute", version, **given)
    assert len(items_of(answer["quoted"])) == 3
    # Up to 3.2 the library drops all datasets but the first from what it sends.
    others = {world.other.did: OTHER_TABLE} if version == "3.4.6" else {}
    ran_well(answer, {world.table.did: TABLE, **others})


def items_of(quoted: dict[str, Any]) -> list[dict[str, Any]]:
    return [*quoted["datasets"], *([quoted["algorithm"]] if "algorithm" in quoted else [])]


def ran_well(answer: dict[str, Any], read: dict[str, bytes]) -> None:
    """Check everything that a job which ended well was asked for."""
    orders = [entry["transferTxId"] for entry in (*answer["datasets"], answer["algorithm"]) if "transferTxId" in entry]
    assert [item["validOrder"] for item in items_of(answer["ordered"])] == orders
    assert not any("providerFee" in item for item in items_of(answer["ordered"]))

    (started,), job = answer["started"], answer["job"]
    assert (started["status"], started["results"], started["dateFinished"]) == (1, "", None)
    assert answer["seen"][-1] == job["status"] == 70
    assert job["statusText"] == "Job completed"
    assert (job["jobId"], job["agreementId"], job["inputDID"]) == (started["jobId"], orders[0], list(read))
    assert answer["byBoth"] == [job]
    for found in (answer["byAccount"], answer["byDocument"]):
        (same,) = [entry for entry in found if entry["agreementId"] == orders[0]]
        assert (same["status"], same["jobId"] == job["jobId"]) == (70, False)
    listed = {entry["filename"]: entry for entry in answer["listed"]}
    assert list(listed) == ["configuration.log", "algorithm.log", "output-2", "outputs.tar", "receipt.json"]
    assert listed["output-2"]["disposition"] == "attachment;filename=report.json"

    assert [result["index"] for result in job["results"]] == list(range(len(job["results"])))
    results = {result["filename"]: result for result in answer["results"]}
    assert list(results) == ["configuration.log", "algorithm.log", "report.json", "outputs.tar", "receipt.json"]
    assert {result["status"] for result in results.values()} == {200}
    assert results["report.json"]["disposition"] == "attachment;filename=report.json"
    files = {did.removeprefix("did:op:"): content.decode() for did, content in read.items()}
    assert json.loads(results["report.json"]["text"]) == {"files": files, "custom": CUSTOM}
    assert results["algorithm.log"]["text"] == f"read {len(read)}\n"
    assert [entry["text"] for entry in answer["listed"]] == [entry["text"] for entry in answer["results"]]
    first, second = answer["twice"]
    assert (first["status"], second["status"]) == (200, 400)
    assert "nonce was used before" in json.loads(second["text"])["errors"]["signature"]

    assert [(entry["jobId"], entry["removed"]) for entry in answer["deleted"]] == [(job["jobId"], 1)]
    assert answer["after"] == []


def test_an_order_whose_fee_is_paid_anew(world: World, version: str) -> None:
    given = {"datasets": [asset(world.table), asset(world.other)], "algorithm": raw(ALGORITHM)}
    answer = world.scenario("reuse", version, environment="default", **given)
    assert answer["free"]["providerFee"]["providerFeeAmount"] == "0"
    assert answer["unpaid"]["validOrder"] == answer["dataset"]["transferTxId"]
    assert int(answer["unpaid"]["providerFee"]["providerFeeAmount"]) > 0
    assert answer["paid"]["transferTxId"] != answer["dataset"]["transferTxId"]
    assert (answer["job"]["statusText"], answer["job"]["inputDID"]) == ("Job completed", [world.other.did])


def test_a_job_is_stopped_and_deleted(world: World, version: str) -> None:
    answer = world.scenario("stop", version, dataset=asset(world.table), algorithm=raw(ENDLESS), environment="default")
    job_id, job = answer["jobId"], answer["job"]
    assert [(entry["jobId"], entry["stopreq"]) for entry in answer["stopped"]] == [(job_id, 1)]
    assert (job["status"], job["statusText"]) == (70, "Job stopped")
    assert [entry["jobId"] for entry in answer["again"]] == [job_id]
    assert [(entry["jobId"], entry["removed"]) for entry in answer["deleted"]] == [(job_id, 1)]
    assert answer["gone"] == []


def test_a_file_is_ordered_and_downloaded(world: World, version: str) -> None:
    answer = world.scenario("download", version, did=world.book.did, serviceId="0")
    assert answer["initialized"]["datatoken"] == world.book.datatoken
    assert (answer["initialized"]["providerFee"]["providerFeeAmount"]) == "0"
    assert (answer["filename"], answer["text"], answer["withData"]) == ("book.txt", BOOK.decode(), BOOK.decode())
    assert answer["withFee"]["value"]["providerFee"]["validUntil"] > 0
    assert answer["again"]["status"] == 400


def test_what_is_refused_is_said(world: World, version: str, strangers_job: tuple[str, str]) -> None:
    order_tx, other_job = strangers_job
    dataset = {**asset(world.table), "transferTxId": order_tx}
    answer = world.scenario(
        "errors", version, dataset=dataset, algorithm=raw(ALGORITHM), environment="default", otherJob=other_job,
        book=world.book.did,
    )  # fmt: skip
    for call, code in (
        ("initializeUnknown", "did_not_found"),
        ("quoteUnknown", "did_not_found"),
        ("quoteNoEnvironment", "environment"),
    ):
        # 3.x throws the body as text; 2.x gives it as if it were an answer.
        body = answer[call]["value"] if version == "2.7.0" else json.loads(answer[call]["error"])
        assert code in json.dumps(body["error"])
    assert ("did_not_found" in answer["filesUnknown"]["error"]) is (version != "2.7.0")
    for call, code in (
        ("startUnknown", "did_not_found"),
        ("startNowhere", "environment"),
        ("startNoOrder", "order_invalid"),
        ("startForeignOrder", "order_invalid"),
    ):
        assert answer[call]["value"] is None
        assert code in answer[call]["said"][0]
    for call in ("stopForeign", "deleteForeign", "statusForeign", "statusUnknown"):
        assert answer[call] == []
    assert answer["resultForeign"]["status"] == 404
    for call, text in (("resultForged", "Invalid signature provided."), ("downloadForeign", "order_invalid")):
        assert answer[call]["status"] == 400
        assert text in answer[call]["text"]
