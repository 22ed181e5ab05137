"""The published ocean.js 8, which speaks Ocean Node's API, against a Cove that serves, on a real chain."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

from tests.compat.world import (
    ALGORITHM,
    CHAIN_ID,
    CONTAINER,
    ENDLESS,
    PROVIDER_KEY,
    STRANGER,
    TABLE,
    VIEWER,
    World,
    asset,
    key_of,
    raw,
)

from cove import wire
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account

VERSION = "8.6.2"
CUSTOM = {"bound": 7, "name": "Zürich"}


def test_what_is_asked_before_an_order_and_tokens(world: World) -> None:
    secret = {"datatokenAddress": "0x1", "files": [{"type": "url", "url": "https://example.org/Zürich"}]}
    answer = world.scenario(
        "basics8", VERSION, did=world.table.did, serviceId="0", fileUrl=world.files.url("/table.csv"), secret=secret
    )
    vault = KeyVault(Account.from_hex(PROVIDER_KEY))
    assert answer["valid"]
    assert answer["nonces"][1] == answer["nonces"][0] + 1
    for given in (answer["encrypted"], answer["byToken"], answer["short"]):
        assert json.loads(vault.decrypt(bytes.fromhex(given.removeprefix("0x")))) == secret
    assert "Invalid signature" in json.loads(answer["forged"])["errors"]["signature"]
    assert answer["didFiles"] == answer["fileInfo"]
    assert (answer["fileInfo"][0]["valid"], answer["fileInfo"][0]["contentLength"]) == (True, str(len(TABLE)))
    assert answer["missingFile"] == [{"type": "url", "valid": False, "index": 0}]
    (environment,) = answer["environments"]
    wire.NodeEnvironment.model_validate(environment)
    assert (environment["id"], environment["consumerAddress"]) == ("default", vault.address)
    (prices,) = environment["fees"][str(CHAIN_ID)]
    assert prices["feeToken"] == world.addresses.fee_token
    assert prices["prices"][:2] == [{"id": "cpu", "price": 0.1}, {"id": "ram", "price": 0.2}]
    offered = {entry["id"]: entry["max"] for entry in environment["resources"]}
    assert offered == {"cpu": 1, "ram": 0.25, "disk": 0.0625}
    free = {entry["id"]: entry["max"] for entry in environment["free"]["resources"]}
    assert (free, environment["free"]["maxJobDuration"]) == ({"cpu": 0.5, "ram": 0.25, "disk": 0.0625}, 60)
    assert answer["jobs"] == []
    assert answer["document"]["id"] == world.table.did
    assert isinstance(answer["mine"], list)
    assert answer["taken"] == {"success": True}
    assert "Token is deleted" in answer["after"]["error"]


def test_an_asset_is_published_and_its_file_fetched(world: World) -> None:
    answer = world.scenario("publish8", VERSION, factory=world.addresses.factory, file=world.files.url("/table.csv"))
    assert answer["checked"]["valid"]
    assert (answer["published"]["id"], answer["published"]["metadata"]["name"]) == (answer["did"], "Zürich rain")
    assert answer["initialized"]["providerFee"]["providerFeeAmount"] == "0"
    assert (answer["file"]["status"], answer["file"]["text"], answer["again"]) == (200, TABLE.decode(), 400)
    assert answer["byToken"] == TABLE.decode()
    assert answer["invalid"]["value"] is None


def test_a_free_job_with_raw_code(world: World) -> None:
    answer = free(world, {**raw(ALGORITHM), "algocustomdata": CUSTOM})
    assert answer["quoted"]["algorithm"] == {}
    ran_well(world, answer)
    assert answer["job"]["algoDID"] == "raw"


def test_a_free_job_with_a_published_algorithm(world: World) -> None:
    # Front ends send what the DDO says of it along.
    said = {"language": "python", "version": "1", "container": CONTAINER}
    answer = free(world, {**asset(world.algorithm), "meta": said, "algocustomdata": CUSTOM})
    assert answer["quoted"]["algorithm"]["datatoken"] == world.algorithm.datatoken
    assert answer["ordered"]["algorithm"]["validOrder"] == answer["algorithm"]["transferTxId"]
    ran_well(world, answer)
    assert answer["job"]["algoDID"] == world.algorithm.did


def free(world: World, algorithm: dict[str, Any]) -> Any:
    return world.scenario(
        "free8", VERSION, datasets=[asset(world.table)], algorithm=algorithm, feeToken=world.addresses.fee_token,
        viewerKey=key_of(VIEWER), strangerKey=key_of(STRANGER),
    )  # fmt: skip


def ran_well(world: World, answer: dict[str, Any]) -> None:
    (quoted,), (ordered,) = answer["quoted"]["datasets"], answer["ordered"]["datasets"]
    assert (quoted["datatoken"], quoted["chainId"], quoted["validOrder"]) == (world.table.datatoken, CHAIN_ID, False)
    assert quoted["providerFee"]["providerFeeAmount"] == "0"
    assert ordered["validOrder"] == answer["datasets"][0]["transferTxId"]
    assert "providerFee" not in ordered

    (started,), job = answer["started"], answer["job"]
    prefix, _, number = started["jobId"].rpartition("-")
    assert (prefix, len(number)) == ("default", 32)
    assert (started["status"], started["results"], started["isFree"]) == (1, [], True)
    assert started["metadata"] == {"name": "a job", "runs": 1, "good": True}
    assert started["additionalViewers"] == [answer["viewer"]]
    # Less than the least is not given.
    assert [tuple(entry.values()) for entry in started["resources"]] == [("cpu", 0.5), ("ram", 0.25), ("disk", 0.0625)]
    assert (job["status"], job["statusText"], job["jobId"]) == (70, "Job completed", started["jobId"])
    assert job["terminationDetails"] == {"exitCode": 0, "OOMKilled": False}
    assert answer["byBareId"] == answer["byOrder"] == [job]
    assert [entry["jobId"] for entry in answer["byToken"]] == [job["jobId"]]
    (listed,) = [entry for entry in answer["byAccount"] if entry["agreementId"] == job["agreementId"]]
    assert listed["jobId"] != job["jobId"]
    assert "metadata" not in listed

    assert answer["log"] == answer["logByToken"] == "read 1\n"
    results = {entry["filename"]: entry["text"] for entry in answer["results"]}
    assert list(results) == ["configuration.log", "algorithm.log", "outputs.tar", "receipt.json"]
    assert results["algorithm.log"] == "read 1\n"
    archive = results["outputs.tar"].encode("latin1")
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        report = opened.extractfile("outputs/report.json")
        assert report is not None
        files = {world.table.did.removeprefix("did:op:"): TABLE.decode()}
        assert json.loads(report.read()) == {"files": files, "custom": CUSTOM}
    assert answer["rest"].encode("latin1") == archive[512:]
    assert answer["links"] == [200, 400]
    assert answer["ownersToken"] == answer["viewersToken"] == {"status": 200, "length": len(archive)}
    assert (answer["viewersSignature"], answer["strangers"]) == (200, 404)
    assert answer["viewersStop"] == []

    for call, code in (
        ("tooMuch", "resource_out_of_range"),
        ("unknown", "resource_unknown"),
        ("output", "leave the output out"),
        ("paid", "payment_refused"),
        ("unordered", "order_invalid"),
    ):
        assert code in answer[call]["error"]


def test_a_job_is_stopped(world: World) -> None:
    answer = world.scenario(
        "stop8", VERSION, dataset=asset(world.table), algorithm=raw(ENDLESS), feeToken=world.addresses.fee_token
    )
    assert answer["begun"] == "begun\n"
    assert [(entry["jobId"], entry["stopRequested"]) for entry in answer["stopped"]] == [(answer["jobId"], True)]
    assert (answer["job"]["status"], answer["job"]["statusText"]) == (70, "Job stopped")
    assert [entry["jobId"] for entry in answer["again"]] == [answer["jobId"]]


def test_a_job_that_is_paid_through_the_escrow_contract(world: World) -> None:
    answer = world.scenario(
        "paid8", VERSION, datasets=[asset(world.table)], algorithm=raw(ALGORITHM), feeToken=world.addresses.fee_token
    )
    payment = answer["quoted"]["payment"]
    a_minute = 15 * 10**16  # one processor, and a quarter of a GiB
    assert (payment["amount"], payment["minLockSeconds"]) == (str(2 * a_minute), 120 + 60 + 3600)
    assert payment["payee"] == answer["environment"]["consumerAddress"]
    assert "payment_refused" in answer["poor"]["error"]
    assert "lets this provider lock nothing" in answer["unauthorized"]["error"]
    assert answer["before"] == {"available": str(2 * a_minute), "locked": "0"}
    started, job = answer["started"], answer["job"]
    assert (started["isFree"], started["payment"]["state"]) == (False, "locked")
    assert started["payment"]["lockTx"].startswith("0x")
    assert answer["during"] == {"available": "0", "locked": str(2 * a_minute)}
    assert (job["statusText"], job["payment"]["claimed"]) == ("Job completed", str(a_minute))
    assert job["payment"]["claimTx"].startswith("0x")
    assert answer["after"] == {"available": str(a_minute), "locked": "0"}
    assert "needs" in answer["again"]["error"]
