"""Start, status, stop and delete over HTTP: who may see and do what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.functional.web.conftest import CONTENT

from cove.web.app import create_app
from cove.wire import StatusObject

if TYPE_CHECKING:
    from tests.functional.web.conftest import Consumer, Site

COMPUTE = "/api/services/compute"
DID = "did:op:" + "3" * 64


async def test_an_unsigned_status_by_id_is_full_but_for_links(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    answer = await site.http.get(COMPUTE, params={"jobId": job.id})
    assert answer.status_code == 200
    (status,) = answer.json()
    StatusObject.model_validate(status)
    assert (status["status"], status["statusText"], status["jobId"]) == (70, "Job completed", job.id)
    assert [result["filename"] for result in status["results"]] == ["algorithm.log", "a/my sum.bin"]
    assert (status["algorithmLogUrl"], status["resultsUrls"]) == (None, [])
    assert isinstance(status["dateCreated"], str)
    assert "." in status["dateFinished"]


async def test_a_waiting_job_says_how_it_stands(site: Site, alice: Consumer) -> None:
    await site.add(owner=alice.account.address)
    job = await site.add(owner=alice.account.address)
    (status,) = (await site.http.get(COMPUTE, params={"jobId": job.id})).json()
    StatusObject.model_validate(status)
    assert (status["status"], status["results"], status["dateFinished"], status["queuePosition"]) == (1, "", None, 2)
    assert status["progress"]["phase"] == "accepted"


async def test_an_address_alone_shows_no_names_reasons_or_ids(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address, reason="exit_code_3")
    for params in (
        {"consumerAddress": alice.account.address.lower()},
        {"consumerAddress": alice.account.address, "agreementId": job.agreement_id.removeprefix("0x")},
        {"consumerAddress": alice.account.address, "documentId": DID},
    ):
        answer = await site.http.get(COMPUTE, params=params)
        (status,) = answer.json()
        StatusObject.model_validate(status)
        assert [result["filename"] for result in status["results"]] == ["algorithm.log", "output-1"]
        assert {result["filesize"] for result in status["results"]} == {
            result["sha256"] for result in status["results"]
        }
        assert not any(hidden in answer.text for hidden in (job.id, "exit_code_3", "my sum", job.results[1].sha256))


async def handle_of(site: Site, owner: Consumer) -> str:
    (status,) = (await site.http.get(COMPUTE, params={"consumerAddress": owner.account.address})).json()
    return str(status["jobId"])


async def test_a_handle_is_as_good_as_the_id_for_the_owner(site: Site, alice: Consumer, tmp_path: Path) -> None:
    """What market front ends do: list by address, and then ask, signed, for what they found there."""
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    handle = await handle_of(site, alice)
    assert handle != job.id
    result = alice.signed(f"{handle}1", jobId=handle, index=1)
    answer = await site.http.get("/api/services/computeResult", params=result)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    (status,) = (await site.http.get(COMPUTE, params=alice.signed(handle, jobId=handle))).json()
    assert (status["jobId"], status["results"][1]["filename"]) == (job.id, "a/my sum.bin")
    (stopped,) = (await site.http.put(COMPUTE, json=alice.signed(handle, jobId=handle))).json()
    assert stopped["jobId"] == job.id
    deleted = await site.http.request("DELETE", COMPUTE, json=alice.signed(handle, jobId=handle))
    assert [entry["removed"] for entry in deleted.json()] == [1]
    assert (await site.http.get(COMPUTE, params={"jobId": handle})).json() == []


async def test_a_handle_opens_nothing_to_others(site: Site, alice: Consumer, bob: Consumer, tmp_path: Path) -> None:
    await site.add_finished(tmp_path, owner=alice.account.address, reason="exit_code_3")
    handle = await handle_of(site, alice)
    (status,) = (await site.http.get(COMPUTE, params={"jobId": handle})).json()
    assert (status["jobId"], status.get("reason")) == (handle, None)
    assert [result["filename"] for result in status["results"]] == ["algorithm.log", "output-1"]
    result = bob.signed(f"{handle}1", jobId=handle, index=1)
    refused = await site.http.get("/api/services/computeResult", params=result)
    assert (refused.status_code, refused.json()["error"]) == (404, "There is no such job.")
    assert (await site.http.get(COMPUTE, params=bob.signed(handle, jobId=handle))).json() == []
    assert (await site.http.put(COMPUTE, json=bob.signed(handle, jobId=handle))).json() == []
    assert (await site.http.request("DELETE", COMPUTE, json=bob.signed(handle, jobId=handle))).json() == []


async def test_a_restarted_job_is_not_stopped_by_an_old_signature_over_its_handle(site: Site, alice: Consumer) -> None:
    """Such a signature covers the job alone, so it must be good for the first attempt only, by whatever name."""
    await site.add(owner=alice.account.address, attempt=2)
    handle = await handle_of(site, alice)
    address = alice.account.address
    signature = alice.account.sign_text(f"{address}{handle}")
    asked = {"consumerAddress": address, "jobId": handle, "nonce": "5", "signature": signature}
    assert (await site.http.put(COMPUTE, json=asked)).status_code == 400


@pytest.mark.parametrize("params", [{"documentId": DID}, {"documentId": "did%3Aop%3A" + "3" * 64}])
async def test_a_document_alone_shows_nobodys_jobs(site: Site, params: dict[str, str]) -> None:
    await site.add()
    assert (await site.http.get(COMPUTE, params=params)).json() == []


async def test_a_signed_status_has_links_that_work_as_they_are(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    answer = await site.http.get(COMPUTE, params=alice.signed(job.id, jobId=job.id))
    (status,) = answer.json()
    assert (await site.http.get(status["algorithmLogUrl"])).content == b"<script>\n"
    (link,) = status["resultsUrls"]
    assert len((await site.http.get(link)).content) == job.results[1].filesize
    assert urlsplit(link).netloc == "cove.example"


async def test_a_link_opens_its_own_file_alone(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    other = await site.add_finished(tmp_path, owner=alice.account.address)
    (status,) = (await site.http.get(COMPUTE, params=alice.signed(job.id, jobId=job.id))).json()
    link = httpx2.URL(status["algorithmLogUrl"])
    for change in ({"index": "1"}, {"jobId": other.id}, {"expires": "99999999999"}, {"link": "00"}, {"link": "ü"}):
        answer = await site.http.get(link.copy_merge_params(change))
        assert answer.status_code == 400, change
    await site.cove.parts.store.save(replace(job, delete_requested_at=1.0))
    assert (await site.http.get(link)).status_code == 400


async def test_nobody_sees_the_jobs_of_another(site: Site, alice: Consumer, bob: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    signed = bob.signed(job.id, jobId=job.id)
    assert (await site.http.get(COMPUTE, params=signed)).json() == []
    assert (await site.http.put(COMPUTE, json=bob.signed(job.id, jobId=job.id))).json() == []
    assert (await site.http.request("DELETE", COMPUTE, json=bob.signed(job.id, jobId=job.id))).json() == []
    unsigned = {"jobId": job.id, "consumerAddress": bob.account.address}
    assert (await site.http.get(COMPUTE, params=unsigned)).json() == []


async def test_an_unknown_job_is_an_empty_list(site: Site) -> None:
    answer = await site.http.get(COMPUTE, params={"jobId": "0" * 32})
    assert (answer.status_code, answer.json()) == (200, [])


async def test_a_status_of_nothing_is_refused(site: Site) -> None:
    answer = await site.http.get(COMPUTE)
    assert answer.status_code == 400
    assert answer.json()["message"] == "Validation error"


async def test_a_provider_may_want_a_signature_always(site: Site, alice: Consumer) -> None:
    job = await site.add(owner=alice.account.address)
    cove = replace(site.cove, options=replace(site.cove.options, public_status=False))
    transport = httpx2.ASGITransport(create_app(cove))
    async with httpx2.AsyncClient(transport=transport, base_url="http://cove.example") as http:
        assert (await http.get(COMPUTE, params={"jobId": job.id})).status_code == 400
        assert (await http.get(COMPUTE, params={"jobId": job.id, "signature": "0x00"})).status_code == 400
        assert len((await http.get(COMPUTE, params=alice.signed(job.id, jobId=job.id))).json()) == 1


async def test_a_job_is_stopped_by_a_body_and_by_a_query(site: Site, alice: Consumer) -> None:
    for send in ("json", "params"):
        job = await site.add(owner=alice.account.address)
        fields = alice.signed(f"{job.id}{DID}", jobId=job.id, documentId=DID)
        (status,) = (await site.http.request("PUT", COMPUTE, **{send: fields})).json()
        assert (status["jobId"], status["stopreq"]) == (job.id, 1)


async def test_a_job_that_was_deleted_says_so_once(site: Site, alice: Consumer) -> None:
    job = await site.add(owner=alice.account.address)
    answer = await site.http.request("DELETE", COMPUTE, json=alice.signed(job.id, jobId=job.id))
    assert [status["removed"] for status in answer.json()] == [1]
    assert (await site.http.get(COMPUTE, params={"jobId": job.id})).json() == []


async def test_not_every_job_is_deleted_by_one_slip(site: Site, alice: Consumer) -> None:
    await site.add(owner=alice.account.address)
    answer = await site.http.request("DELETE", COMPUTE, json=alice.signed(""))
    assert answer.status_code == 400
    assert (await site.http.put(COMPUTE, json=alice.signed(""))).json()[0]["stopreq"] == 1


async def test_a_nonce_works_once(site: Site, alice: Consumer) -> None:
    job = await site.add(owner=alice.account.address)
    fields = alice.signed(job.id, jobId=job.id)
    assert (await site.http.put(COMPUTE, json=fields)).status_code == 200
    again = await site.http.put(COMPUTE, json=fields)
    assert again.status_code == 400
    assert "nonce" in again.json()["errors"]["signature"]
    lower = await site.http.put(COMPUTE, json={**fields, "consumerAddress": alice.account.address.lower()})
    assert lower.status_code == 400
    nonce = await site.http.get("/api/services/nonce", params={"userAddress": alice.account.address.lower()})
    assert nonce.json() == {"nonce": "1"}


async def test_what_fails_never_changes_the_nonce(site: Site, alice: Consumer, bob: Consumer) -> None:
    job = await site.add(owner=alice.account.address)
    good = alice.signed(job.id, jobId=job.id)
    for change in (
        {"signature": bob.signed(job.id)["signature"]},
        {"signature": "0x" + "00" * 65},
        {"signature": "0x" + "0" * 9000},
        {"nonce": "2"},
        {"nonce": "1e3"},
        {"jobId": "x"},
        {"documentId": "did:op:1"},
        {"agreementId": "1"},
    ):
        answer = await site.http.put(COMPUTE, json={**good, **change})
        assert answer.status_code == 400, change
    assert await site.cove.nonces.last(alice.account.address) is None


async def test_a_start_of_bad_form_costs_no_nonce(site: Site, alice: Consumer) -> None:
    def asked(**changes: Any) -> dict[str, Any]:
        dataset = {"documentId": DID, "serviceId": "1", "transferTxId": "0x" + "4" * 64}
        fields = alice.signed(DID, dataset=dataset, algorithm={"meta": {"rawcode": "x"}}, environment="default")
        return {**fields, **changes}

    worse: dict[str, object]
    for worse, field in (
        ({"dataset": {"documentId": "did:op:1"}}, "dataset.documentId"),
        ({"additionalDatasets": [{"transferTxId": "1"}]}, "datasets[1].transferTxId"),
        ({"algorithm": {"documentId": "did:op:1"}}, "algorithm.documentId"),
        ({"algorithm": None}, "algorithm"),
        ({"jobId": "1"}, "jobId"),
        ({"signature": ""}, "signature"),
        ({"consumerAddress": "0x1"}, "consumerAddress"),
    ):
        answer = await site.http.post(COMPUTE, json=asked(**worse))
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert await site.cove.nonces.last(alice.account.address) is None
    refused = await site.http.post(COMPUTE, json=asked(environment="none"))
    assert refused.status_code == 400
    assert "error" in refused.json()
    assert await site.cove.nonces.last(alice.account.address) == str(alice.nonce)


async def test_a_job_is_run_again_by_its_owner(site: Site, alice: Consumer, bob: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address, expires_at=0.0)
    theirs = await site.http.post(COMPUTE, json=bob.signed(job.id, jobId=job.id))
    assert theirs.status_code == 404
    (status,) = (await site.http.post(COMPUTE, json=alice.signed(job.id, jobId=job.id))).json()
    assert (status["jobId"], status["attempt"], status["status"]) == (job.id, 2, 1)
    running = await site.http.post(COMPUTE, json=alice.signed(job.id, jobId=job.id))
    assert running.json()["error"] == {"jobId": "running"}


async def test_a_chain_that_does_not_answer_is_named(site: Site, alice: Consumer) -> None:
    dataset = {"documentId": DID, "serviceId": "1", "transferTxId": "0x" + "4" * 64}
    container = {"entrypoint": "python3 $ALGO", "image": "cove/host", "checksum": "sha256:" + "0" * 64}
    meta = {"rawcode": "x", "container": container}
    fields = alice.signed(DID, dataset=dataset, algorithm={"meta": meta}, environment="default")
    answer = await site.http.post(COMPUTE, json=fields)
    assert answer.status_code == 503, answer.text
    assert "8996" in answer.text
    assert fields["signature"] not in answer.text


async def test_environments_stand_under_their_chain(site: Site) -> None:
    answer = await site.http.get("/api/services/computeEnvironments", params={"chainId": 8996})
    (environment,) = answer.json()["8996"]
    assert (environment["id"], environment["priceMin"], environment["maxJobs"]) == ("default", 0.5, 2)
    assert environment["feeToken"] == "0x" + "1" * 40
