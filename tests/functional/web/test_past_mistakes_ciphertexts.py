"""Sections 6.8 and 6.9 of the API, over the real parts: copied ciphertexts, and failures that looked like success."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chain import Ocean
from tests.support.house import NONCES, PATH, RAW, House, opened, signer
from tests.support.trade import COMPUTE, Trade, open_trade

from cove.client.market import (
    AssetDraft,
    Published,
    ServiceDraft,
    create_nft,
    order,
    publish,
    set_metadata,
)
from cove.settings import EnvironmentSettings

CONTAINER = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": "sha256:" + "0" * 64}
UNUSABLE = {"files_unusable", "compute_services_not_in_same_provider"}


def coded(code: str) -> dict[str, Any]:
    return {"meta": {"rawcode": code, "container": CONTAINER}}


async def copied(house: House, victim: Published, kind: str = "dataset") -> Trade:
    """Publish a stranger's own asset whose services carry the victim's encrypted file list."""
    ocean = house.ocean
    nft, datatoken = await create_nft(ocean.stranger, ocean.addresses.factory, "Copy")
    ddo = json.loads(victim.document)
    own = "did:op:" + hashlib.sha256(f"{nft}{ocean.chain.chain_id}".encode()).hexdigest()
    ddo |= {"id": own, "nftAddress": nft}
    ddo["metadata"]["type"] = kind
    if kind == "algorithm":
        ddo["metadata"]["algorithm"] = {"language": "python", "version": "1", "container": CONTAINER}
    for service in ddo["services"]:
        service["datatokenAddress"] = datatoken
    document = json.dumps(ddo).encode()
    sent = await set_metadata(ocean.stranger, nft, document, ocean.encrypt, url="http://cove")
    return Trade(house, Published(own, nft, datatoken, ddo, document, sent.tx_id))


async def bought(trade: Trade, index: int) -> str:
    ocean = trade.house.ocean
    fee = ocean.fee(trade.asset.datatoken, service_id="compute", environment="default")
    return await order(ocean.stranger, trade.asset.datatoken, fee, service_index=index, consumer=ocean.stranger.address)


async def test_6_8_a_copied_file_list_is_no_dataset(house: House) -> None:
    victim = await open_trade(house)
    copy = await copied(house, victim.asset)
    stranger = house.ocean.stranger
    for answer in (
        await copy.access(by=stranger),
        await copy.compute(by=stranger),
        await copy.download(await bought(copy, 0), by=stranger),
        await copy.start(await bought(copy, 1), by=stranger),
    ):
        assert answer.status_code == 400
        assert set(answer.json()["error"].values()) <= UNUSABLE, answer.text
        assert "table.csv" not in answer.text
    looked = await house.http.post("/api/services/fileinfo", json={"did": copy.asset.did, "serviceId": "access"})
    assert (looked.status_code, list(looked.json()["errors"])) == (400, ["serviceId"])


async def test_6_8_a_copied_file_list_is_no_algorithm(house: House) -> None:
    """The attack that was seen: the list as an algorithm, whose text is then printed by the run."""
    victim = await open_trade(house)
    copy = await copied(house, victim.asset, "algorithm")
    consumer = house.ocean.consumer
    await house.ocean.give_datatoken(victim.asset.datatoken)
    dataset = {"documentId": victim.asset.did, "serviceId": "compute", "transferTxId": await victim.pay(1)}
    paid = await order(house.ocean.stranger, copy.asset.datatoken, house.ocean.fee(copy.asset.datatoken),
                       consumer=consumer.address)  # fmt: skip
    algorithm = {"documentId": copy.asset.did, "serviceId": "access", "transferTxId": paid}
    answer = await house.start(dataset=dataset, algorithm=algorithm)
    if answer.status_code == 200:
        status = await house.done(answer.json()[0]["jobId"])
        assert status["status"] == 32, status
        assert [entry["filename"] for entry in status["results"]] == ["configuration.log"]
    else:
        assert answer.status_code == 400


async def test_6_8_a_copied_file_list_is_nothing_else_either(house: House) -> None:
    """As an algorithm that is sent along, as a file, as parameters: nobody's ciphertext is opened for who sends it."""
    victim = await open_trade(house)
    sealed = victim.asset.ddo["services"][0]["files"]
    tx = await victim.pay(1)
    dataset = {"documentId": victim.asset.did, "serviceId": "compute", "transferTxId": tx}
    for meta in ({"url": sealed}, {"remote": {"type": "encrypted", "files": sealed}}, {"rawcode": "", "url": sealed}):
        answer = await house.start(dataset=dataset, algorithm={"meta": {**meta, "container": CONTAINER}})
        if answer.status_code == 200:  # what it names is no URL: found out when it is fetched
            assert (await house.done(answer.json()[0]["jobId"]))["status"] == 32
    for file in ({"type": "url", "url": sealed}, {"type": "encrypted", "encryptedFiles": sealed}, {"files": sealed},
                 {"encryptedFiles": sealed}, {"type": "url", "files": sealed}):  # fmt: skip
        answer = await house.http.post("/api/services/fileinfo", json=file)
        assert answer.status_code == 400
        assert "table.csv" not in answer.text


async def decrypted(house: House, nft: str, document: str, flags: int, plain: bytes) -> httpx2.Response:
    wallet, nonce, chain = house.ocean.stranger, str(next(NONCES)), str(house.ocean.chain.chain_id)
    return await house.http.post("/api/services/decrypt", json={
        "decrypterAddress": wallet.address, "chainId": chain, "dataNftAddress": nft, "nonce": nonce,
        "encryptedDocument": document, "flags": flags, "documentHash": "0x" + hashlib.sha256(plain).hexdigest(),
        "signature": signer(wallet).sign(f"{nft}{wallet.address}{chain}{nonce}"),
    })  # fmt: skip


async def test_6_8_decrypt_gives_the_documents_of_their_own_asset_alone(house: House) -> None:
    """The ciphertext of a file list stands in a public document, and its bytes can be guessed: no guess is confirmed."""
    victim = await open_trade(house)
    mine = await copied(house, victim.asset)
    service = victim.asset.ddo["services"][0]
    files = [{"type": "local", "root": "data", "path": "table.csv"}]
    listed = {"datatokenAddress": victim.asset.datatoken, "nftAddress": victim.asset.nft, "files": files}
    guessed = json.dumps(listed, separators=(",", ":")).encode()
    assert house.cove.vault.decrypt(bytes.fromhex(service["files"][2:])) == guessed
    for nft in (mine.asset.nft, victim.asset.nft):
        right, wrong = [await decrypted(house, nft, service["files"], 2, plain) for plain in (guessed, guessed + b" ")]
        assert right.status_code == 400
        assert right.text == wrong.text
    sealed = await house.ocean.encrypt(victim.asset.document)
    other = await decrypted(house, mine.asset.nft, sealed, 2, victim.asset.document)
    assert other.status_code == 400
    own = await decrypted(house, victim.asset.nft, sealed, 2, victim.asset.document)
    assert (own.status_code, own.content) == (201, victim.asset.document)


# ---------------------------------------------------------------------------------------------------- 6.9


async def test_6_9_exit_3_is_no_success(house: House) -> None:
    trade = await open_trade(house)
    dataset = {"documentId": trade.asset.did, "serviceId": "compute", "transferTxId": await trade.pay(1)}
    started = await house.start(dataset=dataset, algorithm=coded("import sys; print('so far'); sys.exit(3)"))
    status = await house.done(started.json()[0]["jobId"])
    assert (status["status"], status["statusText"]) == (70, "Job failed: exit code 3")
    assert (status["outcome"], status["exitCode"]) == ("algorithm_failed", 3)
    assert "algorithm.log" in [entry["filename"] for entry in status["results"]]


async def test_6_9_two_datasets_of_one_file_name_are_both_there(house: House, tmp_path: Path) -> None:
    trade = await open_trade(house)
    (tmp_path / "data" / "other").mkdir()
    (tmp_path / "data" / "other" / "table.csv").write_text("b\n2\n")
    ocean = house.ocean
    files = [{"type": "local", "root": "data", "path": "other/table.csv"}]
    draft = AssetDraft("Other", [ServiceDraft("compute", files, "http://cove", id="compute", compute=COMPUTE)])
    other = Trade(house, await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt))
    await ocean.give_datatoken(other.asset.datatoken)
    free = ocean.fee(other.asset.datatoken, service_id="compute", environment="default")
    second = await order(ocean.consumer, other.asset.datatoken, free)
    code = (
        "import pathlib\nfor path in sorted(pathlib.Path('/data/inputs').rglob('*')):\n"
        "    if path.is_file():\n        print(path.parent.name[-4:], path.read_text().split())"
    )
    started = await house.start(
        dataset={"documentId": trade.asset.did, "serviceId": "compute", "transferTxId": await trade.pay(1)},
        additionalDatasets=[{"documentId": other.asset.did, "serviceId": "compute", "transferTxId": second}],
        algorithm=coded(code),
    )
    assert started.status_code == 200, started.text
    job_id = started.json()[0]["jobId"]
    assert (await house.done(job_id))["statusText"] == "Job completed"
    job = await house.cove.parts.store.get(job_id)
    assert job is not None
    (log,) = [result for result in job.results if result.filename == "algorithm.log"]
    text = b"".join([part async for part in house.cove.parts.results.read(log.key, 0, log.filesize)]).decode()
    assert "['a', '1']" in text
    assert "['b', '2']" in text


@pytest.fixture
async def narrow(ocean: Ocean, tmp_path: Path) -> AsyncIterator[House]:
    """A house where one job runs and one waits."""
    environment = {"id": "default", "price_per_minute": "0.5", "max_jobs": 1, "max_queue": 1}
    async with opened(ocean, tmp_path, environments=(EnvironmentSettings.model_validate(environment),)) as made:
        yield made


async def test_6_9_a_full_queue_refuses_and_a_queued_job_can_be_stopped(narrow: House) -> None:
    trade = await open_trade(narrow)
    long = coded("import time; time.sleep(300)")
    ids: list[str] = []
    answers: list[httpx2.Response] = []
    for _ in range(4):
        dataset = {"documentId": trade.asset.did, "serviceId": "compute", "transferTxId": await trade.pay(1)}
        answers.append(await narrow.start(dataset=dataset, algorithm=long))
        if answers[-1].status_code == 200:
            ids.append(answers[-1].json()[0]["jobId"])
    assert answers[-1].status_code == 429, [answer.status_code for answer in answers]
    assert int(answers[-1].headers["retry-after"]) > 0
    owner = narrow.ocean.consumer
    for job_id in reversed(ids):
        nonce = str(next(NONCES))
        body = {"jobId": job_id, "consumerAddress": owner.address, "nonce": nonce}
        body["signature"] = signer(owner).sign(f"{owner.address}{job_id}{nonce}")
        (stopped,) = (await narrow.http.put(PATH, json=body)).json()
        assert stopped["stopreq"] == 1
        assert (await narrow.done(job_id))["statusText"] == "Job stopped"
    dataset = {"documentId": trade.asset.did, "serviceId": "compute", "transferTxId": await trade.pay(1)}
    assert (await narrow.start(dataset=dataset, algorithm=RAW)).status_code == 200
