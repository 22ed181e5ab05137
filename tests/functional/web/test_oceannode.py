"""Ocean Node's API: free jobs are held to every rule that the Provider API holds its own to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chain import Ocean
from tests.functional.web.test_environments import environment
from tests.support import catalogue
from tests.support.house import KEYS, NONCES, RAW, House, opened, signer

from cove.client.market import AssetDraft, ServiceDraft, mint, order, publish
from cove.core.errors import SettingsWrong
from cove.crypto.keys import Account, keccak, personal_hash
from cove.settings import EnvironmentSettings
from cove.wire import NodeEnvironment, StatusObject

SERVICES = "/api/services"
FREE = f"{SERVICES}/freeCompute"
NOBODY = "0x" + "e" * 40


def terms(**changes: Any) -> dict[str, Any]:
    return environment(free={}, **changes)


async def bought(house: House) -> dict[str, str]:
    """Give the house's dataset with an order of it that pays nothing for an environment."""
    ocean, token = house.ocean, house.dataset.datatoken
    await mint(ocean.publisher, token, ocean.consumer.address)
    tx = await order(ocean.consumer, token, ocean.fee(token, service_id="0", environment=None))
    return {"documentId": house.dataset.did, "serviceId": "0", "transferTxId": tx}


async def start(house: House, dataset: dict[str, str], path: str = FREE, **changes: Any) -> httpx2.Response:
    account, nonce = house.ocean.consumer, str(next(NONCES))
    command = "freeStartCompute" if path == FREE else "startCompute"
    signature = signer(account).sign(f"{account.address}{nonce}{command}")
    proof = {"consumerAddress": account.address, "nonce": nonce, "signature": signature}
    body = {**proof, "environment": "default", "datasets": [dataset], "algorithm": RAW, **changes}
    return await house.http.post(path, json=body)


def refusal(answer: httpx2.Response) -> dict[str, str]:
    assert answer.status_code == 400, answer.text
    return dict(answer.json()["error"])


async def test_a_free_job_runs_with_what_it_asked_for(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **terms(memory="2GiB", cpus=2.0)) as house:
        body = {"resources": [{"id": "ram", "amount": 1.5}], "maxJobDuration": 20, "queueMaxWaitTime": 60}
        answer = await start(house, await bought(house), metadata={"name": "x"}, **body)
        assert answer.status_code == 200, answer.text
        (job,) = answer.json()
        StatusObject.model_validate(job)
        assert job["jobId"].startswith("default-")
        assert (job["maxJobDuration"], job["metadata"], job["queueWaitUntil"] is not None) == (20, {"name": "x"}, True)
        assert job["resources"] == [
            {"id": "cpu", "amount": 1}, {"id": "ram", "amount": 1.5}, {"id": "disk", "amount": 1.0}
        ]  # fmt: skip
        ended = await house.done(job["jobId"])
        assert (ended["statusText"], ended["jobId"]) == ("Job completed", job["jobId"])
        assert [one["filename"] for one in ended["results"] if one["type"] == "output"] == ["outputs.tar"]


async def test_an_environment_without_a_free_tier(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment()) as house:
        assert refusal(await start(house, await bought(house))) == {"environment": "not_free"}
        (listed,) = (await house.http.get(f"{SERVICES}/computeEnvironmentList")).json()
        NodeEnvironment.model_validate(listed)
        assert "free" not in listed


async def test_what_costs_nothing_is_free_in_both(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment(price_per_minute="0")) as house:
        (listed,) = (await house.http.get(f"{SERVICES}/computeEnvironmentList")).json()
        assert listed["free"]["resources"] == listed["resources"]
        assert (await start(house, await bought(house))).status_code == 200


async def test_how_many_free_jobs_run_at_a_time_is_shown(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment(free={"max_jobs": 1}, max_jobs=3)) as house:
        (listed,) = (await house.http.get(f"{SERVICES}/computeEnvironmentList")).json()
        NodeEnvironment.model_validate(listed)
        assert (listed["maxJobs"], listed["free"]["maxJobs"]) == (3, 1)
        assert [(whole["total"], free["total"]) for whole, free in zip(
            listed["resources"], listed["free"]["resources"], strict=True
        )] == [(3, 1)] * 3  # fmt: skip
    with pytest.raises(ValueError, match="free.max_jobs is more than max_jobs"):
        environment(free={"max_jobs": 2}, max_jobs=1)


async def test_free_jobs_that_wait_leave_the_rest_of_the_queue_to_others(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment(free={"max_queue": 0}, max_queue=1)) as house:
        full = await start(house, await bought(house))
        assert (full.status_code, full.headers["retry-after"]) == (429, "60")
        assert "The queue for free jobs of environment default is full." in full.text
        dataset = {"documentId": house.dataset.did, "serviceId": "0", "transferTxId": await house.paid()}
        (status,) = (await house.start(dataset=dataset)).json()
        assert (await house.done(status["jobId"]))["status"] == 70
    with pytest.raises(ValueError, match="free.max_queue is more than max_queue"):
        environment(free={"max_queue": 2}, max_queue=1)


async def test_a_paid_start_is_refused(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **terms()) as house:
        payment = {"chainId": ocean.chain.chain_id, "token": ocean.addresses.fee_token, "resources": []}
        answer = await start(house, await bought(house), f"{SERVICES}/compute", payment=payment)
        assert refusal(answer) == {"payment": "payment_not_offered"}


async def test_a_price_needs_an_escrow_contract(ocean: Ocean, tmp_path: Path) -> None:
    price = {"chain": ocean.chain.chain_id, "token": ocean.addresses.fee_token, "cpu": "1"}
    with pytest.raises(SettingsWrong, match="price on chain 8996, which has no escrow"):
        async with opened(ocean, tmp_path, **environment(prices=(price,))):
            pytest.fail("it opened")


async def test_no_order_no_job(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **terms()) as house:
        dataset = {"documentId": house.dataset.did, "serviceId": "0"}
        assert refusal(await start(house, dataset)) == {"dataset.transferTxId": "missing"}
        unknown = {**dataset, "transferTxId": "0x" + "9" * 64}
        assert refusal(await start(house, unknown)) == {"dataset.serviceId": "order_invalid"}


async def test_only_whom_the_lists_name(ocean: Ocean, tmp_path: Path) -> None:
    shut = {"addresses": [NOBODY]}
    for number, fields in enumerate((environment(free={"access": shut}), terms(access=shut))):
        (folder := tmp_path / str(number)).mkdir()
        async with opened(ocean, folder, **fields) as house:
            refused = refusal(await start(house, await bought(house)))
            assert refused == {"environment": "consumer_not_allowed"}
            (listed,) = (await house.http.get(f"{SERVICES}/computeEnvironmentList")).json()
            access = listed.get("access") or listed["free"].get("access")
            assert access["addresses"][0].lower() == NOBODY


async def test_only_algorithms_that_are_trusted(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **terms()) as house:
        trusts = {
            "allowRawAlgorithm": False,
            "publisherTrustedAlgorithms": [
                {"did": "did:op:" + "1" * 64, "filesChecksum": "", "containerSectionChecksum": ""}
            ],
            "publisherTrustedAlgorithmPublishers": [],
        }
        files = [{"type": "local", "root": "data", "path": "table.csv"}]
        services = [ServiceDraft("compute", files, "http://cove", compute=trusts)]
        house.dataset = await publish(
            ocean.publisher, ocean.addresses.factory, AssetDraft("T", services), ocean.encrypt
        )
        assert refusal(await start(house, await bought(house))) == {"dataset": "no_raw_algo_allowed"}


async def test_a_proof_is_good_for_one_command_and_once(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **terms()) as house:
        dataset, account = await bought(house), ocean.consumer
        nonce = str(next(NONCES))
        for command in ("startCompute", "stopCompute", "", "freeStartCompute ", "freeStartComputE"):
            signature = signer(account).sign(f"{account.address}{nonce}{command}")
            answer = await start(house, dataset, nonce=nonce, signature=signature)
            assert "Invalid signature" in answer.json()["errors"]["signature"]
        signature = signer(account).sign(f"{account.address}{nonce}freeStartCompute")
        assert (await start(house, dataset, nonce=nonce, signature=signature)).status_code == 200
        again = await start(house, dataset, nonce=nonce, signature=signature)
        assert "nonce was used before" in again.json()["errors"]["signature"]


async def test_a_signature_over_a_hash_that_lost_its_zeros(ocean: Ocean, tmp_path: Path) -> None:
    """The published library signs the bytes of a number: about one hash in 256 is a byte shorter then."""
    async with opened(ocean, tmp_path, **terms()) as house:
        address = ocean.consumer.address
        for nonce in map(str, NONCES):
            digest = keccak(f"{address}{nonce}freeStartCompute".encode())
            if digest[0] == 0:
                break
        stripped = Account.from_hex(KEYS[address]).sign(personal_hash(digest.lstrip(b"\0")))
        answer = await start(house, await bought(house), nonce=nonce, signature="0x" + stripped.hex())
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"metadata": {"a": {"b": 1}}}, "metadata"),
        ({"metadata": {"a": "x" * 5000}}, "metadata"),
        ({"additionalViewers": ["0x1"]}, "additionalViewers[0]"),
        ({"maxJobDuration": 0}, "maxJobDuration"),
        ({"queueMaxWaitTime": 0}, "queueMaxWaitTime"),
        ({"resources": [{"id": "cpu", "amount": "-1"}]}, "resources[0].amount"),
        ({"resources": [{"id": "cpu", "amount": "1e3"}]}, "resources[0].amount"),
        ({"resources": [{"id": "cpu"}]}, "resources[0].amount"),
        ({"output": "0x00"}, "output"),
        ({"outputBucketId": "1"}, "output"),
        ({"datasets": []}, "datasets"),
        ({"algorithm": None}, "algorithm"),
    ],
)
async def test_what_has_no_good_form_costs_nothing(house: House, wrong: dict[str, Any], field: str) -> None:
    nonce = str(next(NONCES))
    account = house.ocean.consumer
    signature = signer(account).sign(f"{account.address}{nonce}freeStartCompute")
    answer = await start(
        house, {"documentId": house.dataset.did, "serviceId": "0"}, **wrong, nonce=nonce, signature=signature
    )
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert await house.cove.nonces.last(account.address) != nonce


async def test_a_token_that_needs_no_nonce(house: House) -> None:
    account, nonce = house.ocean.consumer, str(next(NONCES))
    signature = signer(account).sign(f"{account.address}{nonce}createAuthToken")
    body = {"address": account.address, "nonce": nonce, "signature": signature}
    made = (await house.http.post(f"{SERVICES}/auth/token", json=body)).json()["token"]
    headers = {"Authorization": made}
    unproven = await start(house, await bought(house), nonce=None, signature=None)
    assert set(unproven.json()["errors"]) == {"nonce", "signature"}
    unsigned = {"consumerAddress": account.address, "environment": "default", "algorithm": RAW}
    answer = await house.http.post(FREE, json={**unsigned, "datasets": [await bought(house)]}, headers=headers)
    assert answer.status_code == 200, answer.text
    other = {**unsigned, "consumerAddress": house.ocean.stranger.address}
    refused = await house.http.post(FREE, json={**other, "datasets": [await bought(house)]}, headers=headers)
    assert refused.json()["errors"] == {"signature": "Token is invalid."}
    # The Provider API wants a nonce beside any token.
    older = await house.http.post(
        f"{SERVICES}/compute", json={**unsigned, "dataset": await bought(house)}, headers=headers
    )
    assert list(older.json()["errors"]) == ["nonce"]


async def test_the_root_document_leads_clients_to_their_own_list(house: House) -> None:
    plain = await house.http.get("/")
    older, newer = plain.json(), (await house.http.get("/", headers={"Authorization": "undefined"})).json()
    assert "Authorization" in plain.headers["vary"]
    assert older["serviceEndpoints"]["computeEnvironments"] == ["GET", f"{SERVICES}/computeEnvironments"]
    assert newer["serviceEndpoints"]["computeEnvironments"] == ["GET", f"{SERVICES}/computeEnvironmentList"]
    proxied = (await house.http.get("/", headers={"Authorization": "Basic eDp5"})).json()
    assert proxied == older


async def test_grants_pay_in_the_free_tier(tmp_path: Path) -> None:
    free = (EnvironmentSettings.model_validate({"id": "default", "price_per_minute": "0.5", "free": {}}),)
    async with catalogue.opened(tmp_path, environments=free) as home:
        grant, consumer, nonce = await home.grant(), catalogue.CONSUMER, str(next(catalogue.NONCES))
        body = {
            "consumerAddress": consumer.address,
            "nonce": nonce,
            "signature": consumer.sign(f"{consumer.address}{nonce}freeStartCompute"),
            "datasets": [{"documentId": home.dataset, "serviceId": "0", "transferTxId": grant}],
            "algorithm": catalogue.RAW,
        }
        answer = await home.http.post(FREE, json=body)
        assert answer.status_code == 200, answer.text
        assert json.loads(answer.text)[0]["agreementId"] == grant
        assert [(one.id, one.used) for one in await home.desk.list()] == [(grant, 1)]


async def test_a_finished_free_job_runs_again_while_there_is_a_free_tier(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **terms()) as house:
        (job,) = (await start(house, await bought(house))).json()
        await house.done(job["jobId"])
        answer = await house.start(jobId=job["jobId"], dataset=None, algorithm=None)
        assert answer.status_code == 200, answer.text
        assert (answer.json()[0]["attempt"], answer.json()[0]["jobId"]) == (2, job["jobId"])
