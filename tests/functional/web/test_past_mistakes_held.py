"""Section 6.4 of the API: nothing that an anonymous caller can send holds the service, tried on a serving process."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from tests.support.served import Served, served
from tests.support.trade import packed

from cove.client.market import NO_ADDRESS

__all__ = ["served"]

FILEINFO = "/api/services/fileinfo"
QUICK = 25.0
"""Seconds; 0.01 on a quiet machine, 2 on a very busy one, 30 or 120 where a worker is held."""


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with served.http() as client:
        yield client


async def slowest(ask: Callable[[], Awaitable[httpx2.Response]], times: int = 10) -> float:
    """Give the seconds of the slowest of a few answers, one after the other."""
    worst = 0.0
    for _ in range(times):
        began = time.monotonic()
        assert (await ask()).status_code == 200
        worst = max(worst, time.monotonic() - began)
    return worst


def made_up() -> str:
    return "0x" + secrets.token_hex(32)


async def test_6_4_a_made_up_transaction_is_answered_at_once(served: Served, http: httpx2.AsyncClient) -> None:
    asset = await served.publish([{"type": "url", "url": served.outside.url(), "method": "GET"}])
    served.outside.serve(b"a")
    asked = {"documentId": asset.did, "serviceId": "access", "consumerAddress": served.ocean.stranger.address}
    began = time.monotonic()
    answer = await http.get("/api/services/initialize", params={**asked, "transferTxId": made_up()})
    assert time.monotonic() - began < QUICK
    assert answer.status_code == 200
    assert answer.json().get("validOrder") is None


async def test_6_4_two_hundred_of_them_at_once_leave_status_quick(served: Served, http: httpx2.AsyncClient) -> None:
    asset = await served.publish([{"type": "url", "url": served.outside.url(), "method": "GET"}])
    served.outside.serve(b"a")
    body = {
        "datasets": [{"documentId": asset.did, "serviceId": "compute"}],
        "algorithm": {"meta": {"rawcode": "x", "container": {
            "entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": "sha256:" + "0" * 64}}},
        "compute": {"env": "default", "validUntil": int(time.time()) + 300},
        "consumerAddress": served.ocean.stranger.address,
    }  # fmt: skip

    async def ask() -> int:
        dataset = {**body["datasets"][0], "transferTxId": made_up()}  # type: ignore[index]
        return (await http.post("/api/services/initializeCompute", json={**body, "datasets": [dataset]})).status_code

    flood = [asyncio.create_task(ask()) for _ in range(200)]
    worst = await slowest(lambda: http.get("/api/services/compute", params={"jobId": "0" * 32}))
    answers = await asyncio.gather(*flood)
    assert 200 in answers
    assert set(answers) <= {200, 429}  # one client may have a bounded number of outside calls under way
    assert worst < QUICK


async def test_6_4_a_transaction_that_is_not_mined_is_not_waited_for_long(
    served: Served, http: httpx2.AsyncClient
) -> None:
    """The chain knows it: the service waits a little for it, and for nobody else's request meanwhile."""
    asset = await served.publish([{"type": "url", "url": served.outside.url(), "method": "GET"}])
    served.outside.serve(b"a")
    ocean = served.ocean
    await ocean.give_datatoken(asset.datatoken)
    fee = "(address,address,uint256,uint8,bytes32,bytes32,uint256,bytes)"
    await ocean.chain.call("evm_setAutomine", [False])
    ordering = asyncio.create_task(ocean.consumer.transact(
        asset.datatoken, f"startOrder(address,uint256,{fee},(address,address,uint256))",
        [ocean.consumer.address, 0, packed(ocean.fee(asset.datatoken)), (NO_ADDRESS, NO_ADDRESS, 0)],
    ))  # fmt: skip
    try:
        async with asyncio.timeout(120):
            while not (waiting := await _pending(served)):
                pass
        asked = {"documentId": asset.did, "serviceId": "access", "consumerAddress": ocean.consumer.address}
        began = time.monotonic()
        asking = asyncio.create_task(http.get("/api/services/initialize", params={**asked, "transferTxId": waiting}))
        assert await slowest(lambda: http.get("/health")) < QUICK
        assert "providerFee" in (await asking).json()
        assert time.monotonic() - began < QUICK
    finally:
        await ocean.chain.call("evm_setAutomine", [True])
        await ocean.chain.call("evm_mine")
        await ordering


async def _pending(served: Served) -> str:
    found: Any = await served.ocean.chain.call("txpool_content")
    own = found["pending"].get(served.ocean.consumer.address) or found["pending"].get(
        served.ocean.consumer.address.lower()
    )
    return "" if not own else str(next(iter(own.values()))["hash"])


async def test_6_4_a_call_to_itself_ends(served: Served, http: httpx2.AsyncClient) -> None:
    """The service's own address, which its owner allowed, as a file: directly, and as a published asset's."""
    own = f"{served.url}/api/services/computeEnvironments"
    answers = await asyncio.gather(
        *(http.post(FILEINFO, json={"type": "url", "url": own, "method": "GET"}) for _ in range(15))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()[0]["valid"] for answer in answers} == {True}
    asset = await served.publish([{"type": "url", "url": own, "method": "GET"}])
    chained = (
        f"{served.url}/api/services/initialize?documentId={asset.did}&serviceId=access"
        f"&consumerAddress={served.ocean.stranger.address}"
    )
    outer = await served.publish([{"type": "url", "url": chained, "method": "GET"}])
    asked = {"documentId": outer.did, "serviceId": "access", "consumerAddress": served.ocean.stranger.address}
    began = time.monotonic()
    answers = await asyncio.gather(*(http.get("/api/services/initialize", params=asked) for _ in range(12)))
    # What would go on to look outside does not answer to its own service.
    assert {str(answer.json()["error"]) for answer in answers} == {"{'fileIndex': 'file_unavailable'}"}
    assert time.monotonic() - began < QUICK
    assert (await http.get("/health")).status_code == 200


async def test_6_4_silent_servers_hold_no_thread_that_others_need(served: Served, http: httpx2.AsyncClient) -> None:
    """What strangers make the service look at waits apart: jobs, downloads and results go on."""
    served.outside.hang(b"", "/silent")
    served.outside.serve(b"paid for", "/file")
    asset = await served.publish([{"type": "url", "url": served.outside.url("/file"), "method": "GET"}])
    silent = {"type": "url", "url": served.outside.url("/silent"), "method": "GET"}
    flood = [asyncio.create_task(http.post(FILEINFO, json=silent)) for _ in range(100)]
    refused = await asyncio.wait_for(_first_refusal(flood), 120)
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["code"] == "too_many_requests"
    # encrypting, a document from the chain (opened in a thread) and status are what everybody needs
    assert await slowest(lambda: http.get("/api/services/compute", params={"jobId": "0" * 32})) < QUICK
    assert await slowest(lambda: http.get(f"/api/aquarius/assets/ddo/{asset.did}"), 3) < QUICK
    for task in flood:
        task.cancel()
    served.outside.closing.set()
    await asyncio.gather(*flood, return_exceptions=True)
    served.outside.closing.clear()


async def _first_refusal(tasks: list[asyncio.Task[httpx2.Response]]) -> httpx2.Response:
    for done in asyncio.as_completed(tasks):
        answer = await done
        if answer.status_code == 429:
            return answer
    raise AssertionError(json.dumps([task.result().status_code for task in tasks]))
