"""What Cove serves of a metadata cache: published DDOs with what the chain says of them, and a check before publishing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from tests.support.documents import a_document
from tests.support.house import House

from cove.client.market import did_of, set_metadata, set_metadata_state
from cove.crypto.keys import keccak, personal_hash, recover

CACHE = "/api/aquarius/assets/ddo"
OCTETS = {"content-type": "application/octet-stream"}


async def test_a_document_says_what_the_chain_knows_of_it(house: House) -> None:
    asset, publisher = house.dataset, house.ocean.publisher.address
    served = (await house.http.get(f"{CACHE}/{asset.did}")).json()
    assert {name: served[name] for name in asset.ddo} == asset.ddo
    assert served["event"]["tx"] == asset.tx_id
    nft = {name: served["nft"][name] for name in ("address", "owner", "state")}
    assert nft == {"address": asset.nft, "owner": publisher, "state": 0}
    assert [(token["address"], token["serviceId"]) for token in served["datatokens"]] == [(asset.datatoken, "0")]


async def test_what_a_publisher_claims_of_the_chain_is_not_served(house: House) -> None:
    asset, ocean = house.dataset, house.ocean
    claims = {"nft": {"owner": ocean.stranger.address, "state": 0}, "event": {"tx": "0x1"}, "stats": {"orders": 9},
              "datatokens": [{"address": ocean.stranger.address}], "purgatory": {"state": False}}  # fmt: skip
    document = json.dumps({**asset.ddo, **claims}).encode()
    sent = await set_metadata(ocean.publisher, asset.nft, document, ocean.encrypt, url="http://cove.example")
    await set_metadata_state(ocean.publisher, asset.nft, 5)
    served = (await house.http.get(f"{CACHE}/{asset.did}")).json()
    assert served["event"]["tx"] == sent.tx_id
    assert (served["nft"]["owner"], served["nft"]["state"]) == (ocean.publisher.address, 5)
    assert [token["address"] for token in served["datatokens"]] == [asset.datatoken]
    assert (served["stats"], served["purgatory"]) == ({"allocated": 0, "orders": 0, "price": {}}, {"state": False})


async def test_an_unknown_asset_is_said_in_the_words_that_ocean_py_looks_for(house: House) -> None:
    did = "did:op:" + "0" * 64
    answer = await house.http.get(f"{CACHE}/{did}")
    assert answer.status_code == 404
    assert answer.json()["error"] == "There is no such asset."
    assert f"Asset DID {did} not found in Elasticsearch" in answer.text


async def test_a_document_is_checked_before_it_is_published(house: House) -> None:
    plain = json.dumps(house.dataset.ddo, separators=(",", ":")).encode()
    answer = await house.http.post(f"{CACHE}/validate", content=plain, headers=OCTETS)
    assert answer.status_code == 200
    proof, digest = answer.json(), hashlib.sha256(plain).digest()
    assert (proof["hash"], proof["publicKey"]) == ("0x" + digest.hex(), house.cove.vault.address)
    (r,), (s,) = proof["r"], proof["s"]
    signature = bytes.fromhex(r[2:] + s[2:]) + bytes((proof["v"],))
    assert recover(personal_hash(digest), signature) == house.cove.vault.address


async def test_the_proof_is_one_that_the_contract_takes(house: House) -> None:
    """It is written with the document, and the NFT's contract checks the validator's signature."""
    asset, ocean = house.dataset, house.ocean
    proof = (await house.http.post(f"{CACHE}/validate", content=asset.document, headers=OCTETS)).json()
    encrypted = bytes.fromhex((await ocean.encrypt(asset.document))[2:])
    written = (proof["publicKey"], proof["v"], bytes.fromhex(proof["r"][0][2:]), bytes.fromhex(proof["s"][0][2:]))
    function = "setMetaData(uint8,string,string,bytes,bytes,bytes32,(address,uint8,bytes32,bytes32)[])"
    digest = bytes.fromhex(proof["hash"][2:])
    sent = await ocean.publisher.transact(
        asset.nft, function, [0, "http://cove", ocean.vault.address, b"\x02", encrypted, digest, [written]]
    )
    validated = "0x" + keccak(b"MetadataValidated(address,bytes32,uint8,bytes32,bytes32)").hex()
    assert validated in [log["topics"][0] for log in sent.logs]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "did:op:" + "0" * 64}, "id"),
        ({"chainId": 1, "id": did_of("0x" + "5" * 40, 1), "nftAddress": "0x" + "5" * 40}, "chainId"),
        ({"services": []}, "services"),
        ({"metadata": {**a_document()["metadata"], "type": "picture"}}, "metadata.type"),
        ({"metadata": {**a_document()["metadata"], "created": "yesterday"}}, "metadata.created"),
        ({"@context": None}, "@context"),
        ({"version": "3"}, "version"),
    ],
)
async def test_a_document_that_could_not_be_read_is_refused(house: House, changes: dict[str, Any], field: str) -> None:
    plain = json.dumps({**house.dataset.ddo, **changes}).encode()
    answer = await house.http.post(f"{CACHE}/validate", content=plain, headers=OCTETS)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert "hash" not in answer.json()


async def test_everything_that_is_wrong_is_said_at_once(house: House) -> None:
    wrong = {**house.dataset.ddo, "metadata": {"name": "x"}, "services": [{"id": 1}]}
    errors = (await house.http.post(f"{CACHE}/validate", content=json.dumps(wrong), headers=OCTETS)).json()["errors"]
    assert errors["metadata.type"] == ["It is missing."]
    assert errors["services[0].id"] == ["It must be a text in one line."]
    assert {"metadata.author", "metadata.license", "services[0].timeout"} <= errors.keys()


@pytest.mark.parametrize(
    "plain", [b"", b"\xff", b"[]", b"[" * 100_000, json.dumps(a_document(extra="x" * 10)).encode()]
)
async def test_nothing_that_is_sent_to_be_checked_is_our_fault(house: House, plain: bytes) -> None:
    answer = await house.http.post(f"{CACHE}/validate", content=plain, headers=OCTETS)
    assert (answer.status_code, answer.json()["message"]) == (400, "Validation error")


async def test_an_account_without_a_nonce_has_nonce_zero(house: House) -> None:
    # ocean.py makes a number of whatever stands there, and fails on null.
    asked = {"userAddress": "0x" + "7" * 40}
    assert (await house.http.get("/api/services/nonce", params=asked)).json() == {"nonce": "0"}


@pytest.mark.parametrize(("checksum", "given"), [(1, True), (True, True), ("true", True), (0, False), (None, False)])
async def test_ocean_py_asks_for_checksums_with_a_number(house: House, checksum: Any, given: bool) -> None:  # noqa: FBT001 - an example
    asked = {"did": house.dataset.did, "serviceId": "0", "checksum": checksum}
    (entry,) = (await house.http.post("/api/services/fileinfo", json=asked)).json()
    assert entry["valid"]
    assert ("checksum" in entry) is given
