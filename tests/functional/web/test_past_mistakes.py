"""Section 6 of the API: what went wrong in the systems before, each tried here or where the table says.

=====  ==================================================================================================
6.1    An attacker's token, a contract that emits the events, a fee that was not paid:
       tests/functional/chain/test_orders.py::test_an_order_on_the_attackers_own_token_opens_nothing
       tests/functional/chain/test_orders.py::test_a_contract_that_merely_emits_the_events_opens_nothing
       tests/functional/chain/test_orders.py::test_a_fee_in_no_token_moves_nothing
       tests/functional/chain/test_orders.py::test_a_fee_paid_in_a_foreign_token_is_not_the_fee
       tests/unit/core/test_order_forgeries.py::test_forged_logs_and_the_order_of_the_list_change_no_verdict
       tests/functional/web/test_order_ways.py::test_none_of_them_opens_for_a_stranger_or_for_another_asset
6.2    Replays: fractions, lower case, a second worker, a token that was revoked:
       tests/functional/stores/test_nonce_processes.py::test_no_schedule_makes_two_processes_take_one_nonce
       tests/functional/stores/test_nonce_processes.py::test_two_processes_sent_the_same_requests_do_each_once
       tests/functional/web/test_compute.py::test_what_fails_never_changes_the_nonce
       tests/functional/web/test_past_mistakes.py::test_6_2_one_nonce_serves_one_request_of_all_endpoints
       tests/functional/web/test_past_mistakes.py::test_6_2_a_replayed_creation_does_not_restore_a_revoked_token
6.3    Spellings, names resolved twice, redirects:
       tests/functional/sources/test_url_spellings.py::test_no_spelling_of_a_private_address_is_connected_to
       tests/functional/sources/test_url_spellings.py::test_a_name_that_changes_between_check_and_connect_leads_where_it_was_checked
       tests/functional/sources/test_url_spellings.py::test_a_redirect_leads_to_no_spelling_of_this_host
6.4    Made-up transactions, calls to itself, silent servers:
       tests/functional/web/test_past_mistakes_held.py::test_6_4_a_made_up_transaction_is_answered_at_once
       tests/functional/web/test_past_mistakes_held.py::test_6_4_two_hundred_of_them_at_once_leave_status_quick
       tests/functional/web/test_past_mistakes_held.py::test_6_4_a_transaction_that_is_not_mined_is_not_waited_for_long
       tests/functional/web/test_past_mistakes_held.py::test_6_4_a_call_to_itself_ends
       tests/functional/web/test_past_mistakes_held.py::test_6_4_silent_servers_hold_no_thread_that_others_need
6.5    Decompression, bodies, headers, parsing:
       tests/functional/web/test_past_mistakes_bombs.py::test_6_5_a_small_document_does_not_become_a_large_one
       tests/functional/web/test_past_mistakes_bombs.py::test_6_5_a_bomb_on_the_chain_is_no_asset
       tests/functional/web/test_past_mistakes_bombs.py::test_6_5_a_packed_body_is_never_unpacked
       tests/functional/web/test_past_mistakes_bombs.py::test_6_5_huge_headers_are_cut_off
       tests/functional/web/test_past_mistakes_bombs.py::test_6_5_no_json_takes_long_or_breaks_anything
       tests/functional/web/test_past_mistakes_bombs.py::test_6_5_no_query_takes_long_or_breaks_anything
6.6    A client's mistake is a 400, and no secret is said:
       tests/functional/web/test_past_mistakes_bombs.py::test_6_6_no_secret_is_in_a_log_or_an_error
       tests/functional/web/test_app.py::test_no_body_is_our_fault
       tests/unit/web/test_errors.py::test_a_bug_tells_nothing_of_the_request
6.7    Headers of a result, ranges, indexes:
       tests/functional/web/test_past_mistakes.py::test_6_7_a_result_has_these_headers_and_no_signature
       tests/functional/web/test_results.py::test_a_broken_download_is_resumed
       tests/functional/web/test_results.py::test_an_index_that_is_no_number_is_refused
       tests/functional/web/test_download.py::test_a_part_of_a_file_can_be_asked_for
       tests/functional/web/test_download.py::test_an_index_that_is_none_is_refused_before_anything
6.8    Tokens and ciphertexts of others:
       tests/functional/web/test_past_mistakes.py::test_6_8_another_users_token_opens_nothing_anywhere
       tests/functional/web/test_past_mistakes.py::test_6_8_spoofed_parameters_show_nobodys_jobs
       tests/functional/web/test_past_mistakes_ciphertexts.py::test_6_8_a_copied_file_list_is_no_dataset
       tests/functional/web/test_past_mistakes_ciphertexts.py::test_6_8_a_copied_file_list_is_no_algorithm
       tests/functional/web/test_past_mistakes_ciphertexts.py::test_6_8_a_copied_file_list_is_nothing_else_either
       tests/functional/web/test_past_mistakes_ciphertexts.py::test_6_8_decrypt_gives_the_documents_of_their_own_asset_alone
6.9    Failures, the queue, quotas, names, the archive:
       tests/functional/web/test_past_mistakes_ciphertexts.py::test_6_9_exit_3_is_no_success
       tests/functional/web/test_past_mistakes_ciphertexts.py::test_6_9_a_full_queue_refuses_and_a_queued_job_can_be_stopped
       tests/functional/web/test_past_mistakes_ciphertexts.py::test_6_9_two_datasets_of_one_file_name_are_both_there
       tests/functional/jobs/test_endings.py::test_no_more_run_at_a_time_than_allowed_and_in_the_order_in_which_they_came
       tests/functional/jobs/test_endings.py::test_a_job_that_is_ready_and_waits_can_be_stopped
       tests/functional/jobs/test_endings.py::test_a_run_that_fills_its_own_disk_harms_nobody
       tests/contract/engines/test_attacks_excess.py::test_huge_and_sparse_files_take_no_more_than_the_limit
       tests/functional/web/test_past_mistakes.py::test_6_9_the_archive_of_all_outputs_freezes_nobody
6.10   Proxies:
       tests/functional/web/test_past_mistakes.py::test_6_10_nothing_that_a_caller_says_of_itself_is_believed
=====  ==================================================================================================
"""

from __future__ import annotations

import ast
import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest
from tests.functional.web.conftest import Consumer, Site

API = "/api/services"
COMPUTE, RESULT = f"{API}/compute", f"{API}/computeResult"
MAKE, TAKE_BACK = f"{API}/createAuthToken", f"{API}/deleteAuthToken"
ROOT = Path(__file__).parents[3]
DID, NFT, TX = "did:op:" + "3" * 64, "0x" + "5" * 40, "0x" + "6" * 64


def test_the_table_names_tests_that_exist_for_every_point() -> None:
    named = re.findall(r"(tests/\S+\.py)::(\w+)", __doc__ or "")
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in defined, f"{path}::{name}"
    assert re.findall(r"^6\.(\d+) ", __doc__ or "", re.MULTILINE) == [str(point) for point in range(1, 11)]


def every_request(
    consumer: Consumer, job_id: str, nonce: str, **more: str
) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Give one request of each endpoint that takes a nonce, signed: method, path, where its fields go, and they."""
    me = consumer.account.address

    def signed(text: str, who: str = "consumerAddress", **fields: Any) -> dict[str, Any]:
        return {who: me, "nonce": nonce, "signature": consumer.account.sign_text(text), **fields, **more}

    access = {"documentId": DID, "serviceId": "1", "transferTxId": TX, "fileIndex": "0"}
    start = {"dataset": {"documentId": DID, "serviceId": "1", "transferTxId": TX}, "environment": "default"}
    decrypt = {"chainId": "8996", "dataNftAddress": NFT, "transactionId": TX}
    later = str(int(time.time()) + 600)
    return [
        ("GET", COMPUTE, "params", signed(f"{me}{job_id}{nonce}", jobId=job_id)),
        ("PUT", COMPUTE, "json", signed(f"{me}{job_id}{nonce}", jobId=job_id)),
        ("GET", RESULT, "params", signed(f"{me}{job_id}0{nonce}", jobId=job_id, index="0")),
        ("GET", f"{API}/download", "params", signed(f"{DID}{nonce}", **access)),
        ("POST", COMPUTE, "json", signed(f"{me}{DID}{nonce}", algorithm={"meta": {"rawcode": "x"}}, **start)),
        ("POST", f"{API}/decrypt", "json", signed(f"{TX}{me}8996{nonce}", "decrypterAddress", **decrypt)),
        ("GET", MAKE, "params", signed(f"{me}{nonce}", "address", expiration=later)),
        ("DELETE", TAKE_BACK, "json", signed(f"{me}{nonce}", "address", token="x")),
        ("DELETE", COMPUTE, "json", signed(f"{me}{job_id}{nonce}", jobId=job_id)),
    ]


async def test_6_2_one_nonce_serves_one_request_of_all_endpoints(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    taken = await site.http.get(COMPUTE, params={
        "consumerAddress": alice.account.address, "jobId": job.id, "nonce": "7",
        "signature": alice.account.sign_text(f"{alice.account.address}{job.id}7"),
    })  # fmt: skip
    assert taken.status_code == 200
    for nonce in ("7", "7.0", "07.000", "6.99", "0"):
        for method, path, where, fields in every_request(alice, job.id, nonce):
            if path.endswith("download"):  # its signed text leaves the address out, so that a replay may respell it
                fields["consumerAddress"] = fields["consumerAddress"].lower()
            answer = await site.http.request(method, path, **{where: fields})
            assert answer.status_code == 400, (method, path, nonce, answer.text)
            assert "signature" in answer.json()["errors"], (method, path, nonce, answer.text)
    assert await site.cove.nonces.last(alice.account.address) == "7"
    assert await site.cove.parts.store.get(job.id) == job


async def test_6_2_a_replayed_creation_does_not_restore_a_revoked_token(
    site: Site, alice: Consumer, tmp_path: Path
) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    expiration = str(int(time.time()) + 600)

    def asked(**fields: Any) -> dict[str, Any]:
        signed = alice.signed("", **fields)
        return {"address": signed.pop("consumerAddress"), **signed}

    creation = asked(expiration=expiration)
    token = (await site.http.get(MAKE, params=creation)).json()["token"]
    assert (await site.http.request("DELETE", TAKE_BACK, json=asked(token=token))).status_code == 200
    for spelling in ({}, {"nonce": creation["nonce"] + ".0"}, {"address": creation["address"].lower()}):
        assert (await site.http.get(MAKE, params={**creation, **spelling})).status_code == 400
    renewed = (await site.http.get(MAKE, params=asked(expiration=expiration))).json()["token"]
    for given, status in ((token, 400), (renewed, 200)):
        fields = alice.signed("", jobId=job.id, index="0")
        del fields["signature"]
        assert (await site.http.get(RESULT, params=fields, headers={"AuthToken": given})).status_code == status


async def test_6_7_a_result_has_these_headers_and_no_signature(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    for headers in ({}, {"Range": "bytes=0-3"}):
        fields = alice.signed(f"{job.id}0", jobId=job.id, index="0")
        answer = await site.http.get(RESULT, params=fields, headers={**headers, "Origin": "http://market.example"})
        assert answer.status_code in {200, 206}
        assert set(answer.headers) <= {
            "accept-ranges", "access-control-allow-origin", "access-control-expose-headers", "cache-control",
            "content-disposition", "content-length", "content-range", "content-security-policy", "content-type", "etag",
            "vary", "x-content-type-options",
        }  # fmt: skip
        assert "0x" not in str(answer.headers)
        assert ("content-range" in answer.headers) == (answer.status_code == 206)


async def test_6_8_another_users_token_opens_nothing_anywhere(
    site: Site, alice: Consumer, bob: Consumer, tmp_path: Path
) -> None:
    """Bob's token with Alice's address, and with his own for her job."""
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    made = bob.signed("", expiration=str(int(time.time()) + 600))
    token = (await site.http.get(MAKE, params={"address": made.pop("consumerAddress"), **made})).json()["token"]
    for headers in ({"AuthToken": token}, {"Authorization": f"Bearer {token}"}, {"Authorization": token}):
        for method, path, where, fields in every_request(alice, job.id, "5"):
            del fields["signature"]
            answer = await site.http.request(method, path, headers=headers, **{where: fields})
            assert answer.status_code == 400, (method, path, answer.text)
            assert "signature" in answer.json()["errors"]
    assert await site.cove.nonces.last(alice.account.address) is None
    for number, (method, path, where, fields) in enumerate(every_request(bob, job.id, "")[:3], 10):
        own = {**fields, "nonce": str(number)}
        del own["signature"]
        answer = await site.http.request(method, path, headers={"AuthToken": token}, **{where: own})
        assert (answer.status_code, answer.text) == (200, "[]") or answer.status_code == 404, (path, answer.text)
    assert await site.cove.parts.store.get(job.id) == job


async def test_6_8_spoofed_parameters_show_nobodys_jobs(
    site: Site, alice: Consumer, bob: Consumer, tmp_path: Path
) -> None:
    """Bob signs for himself and names Alice beside it: twice, in the body, in another spelling."""
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    hers = alice.account.address
    for query in (
        f"consumerAddress={hers}", f"owner={hers}", f"consumeraddress={hers}", f"providerAddress={hers}", "jobId=&owner=",
    ):  # fmt: skip
        signed = bob.signed("")
        pairs = "&".join(f"{name}={value}" for name, value in signed.items())
        for text in (f"{query}&{pairs}", f"{pairs}&{query}"):
            answer = await site.http.get(f"{COMPUTE}?{text}")
            assert job.id not in answer.text, text
    assert (await site.http.get(COMPUTE, params={"consumerAddress": "%"})).status_code == 400
    assert (await site.http.get(COMPUTE, params={"consumerAddress": "*"})).status_code == 400


async def test_6_9_the_archive_of_all_outputs_freezes_nobody(site: Site, alice: Consumer, tmp_path: Path) -> None:
    """It is a tar that is written while it is sent: nothing is packed before the first byte."""
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    fetching = [
        asyncio.create_task(site.http.get(RESULT, params=alice.signed(f"{job.id}1", jobId=job.id, index="1")))
        for _ in range(20)
    ]

    async def seconds() -> float:
        began = time.monotonic()
        assert (await site.http.get("/health")).status_code == 200
        return time.monotonic() - began

    assert max(await asyncio.gather(*(seconds() for _ in range(20)))) < 25  # 0.1 on a quiet machine
    await asyncio.gather(*fetching)
    assert all(len(task.result().content) == job.results[1].filesize for task in fetching if task.result().is_success)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto"])
async def test_6_10_nothing_that_a_caller_says_of_itself_is_believed(
    site: Site, alice: Consumer, tmp_path: Path, name: str
) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    headers = {name: "for=127.0.0.1;host=evil.example;proto=https" if name == "Forwarded" else "evil.example"}
    (status,) = (await site.http.get(COMPUTE, params=alice.signed(job.id, jobId=job.id), headers=headers)).json()
    assert status["algorithmLogUrl"].startswith("http://cove.example/")
    assert "evil" not in str(status)
    refused = await site.http.get(COMPUTE, headers=headers)
    assert refused.status_code == 400
