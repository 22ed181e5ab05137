"""How often clients and accounts may ask, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.functional.web.conftest import Consumer, Site
from tests.support.http_server import Asked, Server, serving

from cove.access.limits import LimitOptions, Limits
from cove.settings import LimitSettings, Settings, UrlSettings
from cove.web.app import create_app
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove

COMPUTE = "/api/services/compute"
FILE_INFO = "/api/services/fileinfo"
SECOND = 1_000_000_000
OPEN = LimitOptions(client=0, address=0, outside=0, failures=0, outside_at_once=64, log_streams=4)


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


@contextlib.contextmanager
def limited(site: Site, clock: Clock | None = None, **changes: int) -> Iterator[Site]:
    """Give the site with other limits."""
    limits = Limits(replace(OPEN, **changes), clock or Clock())
    cove = replace(site.cove, limits=limits)
    yield Site(cove, client(cove, "198.51.100.7"))


def client(cove: Cove, address: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(create_app(cove), raise_app_exceptions=True, client=(address, 50_000))
    return httpx2.AsyncClient(transport=transport, base_url="http://cove.example")


async def test_a_client_that_asks_too_often_is_told_when_to_come_back(site: Site) -> None:
    clock = Clock()
    with limited(site, clock, client=3) as one:
        origin = {"origin": "https://market.example"}
        for _ in range(3):
            assert (await one.http.get("/")).status_code == 200
        refused = await one.http.get("/", headers=origin)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "20")
        assert (refused.json()["code"], refused.json()["hint"]) == (
            "rate_limited", "Try again in 20 s, and less often.",
        )  # fmt: skip
        assert refused.headers["access-control-allow-origin"] == "*"
        assert "Retry-After" in refused.headers["access-control-expose-headers"]
        asked = {**origin, "access-control-request-method": "GET"}
        for _ in range(9):
            assert (await one.http.get("/health")).status_code == 200
            assert (await one.http.options("/", headers=asked)).status_code == 200
        clock.now += 20 * SECOND
        assert (await one.http.get("/")).status_code == 200


async def test_clients_are_networks_not_connections(site: Site) -> None:
    with limited(site, client=1) as one:
        app = httpx2.ASGITransport(one.http._transport.app, client=("2001:db8::1", 1))  # type: ignore[attr-defined]
        statuses = []
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "198.51.100.8", "::ffff:198.51.100.8"):
            app.client = (address, 1)
            async with httpx2.AsyncClient(transport=app, base_url="http://cove.example") as http:
                statuses.append((await http.get("/")).status_code)
        assert statuses == [200, 429, 200, 200, 429]


async def test_nobody_elses_claims_count_against_an_account(site: Site, alice: Consumer) -> None:
    with limited(site, address=3) as one:
        spoiled = alice.signed("x", jobId="0" * 32)
        for _ in range(9):
            assert (await one.http.get(COMPUTE, params=spoiled)).status_code == 400
        good = alice.signed("0" * 32, jobId="0" * 32)
        assert (await one.http.get(COMPUTE, params=good)).status_code == 200
        for _ in range(9):  # and a replay is nobody's proof
            assert (await one.http.get(COMPUTE, params=good)).status_code == 400
        for expected in (200, 200, 429):
            fields = alice.signed("0" * 32, jobId="0" * 32)
            assert (await one.http.get(COMPUTE, params=fields)).status_code == expected


async def test_what_was_refused_for_its_number_is_good_later(site: Site, alice: Consumer, bob: Consumer) -> None:
    clock = Clock()
    with limited(site, clock, address=1) as one:
        first, second = (alice.signed("0" * 32, jobId="0" * 32) for _ in range(2))
        assert (await one.http.get(COMPUTE, params=first)).status_code == 200
        refused = await one.http.get(COMPUTE, params=second)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert (await one.http.get(COMPUTE, params=bob.signed("0" * 32, jobId="0" * 32))).status_code == 200
        clock.now += int(refused.headers["retry-after"]) * SECOND
        assert (await one.http.get(COMPUTE, params=second)).status_code == 200


async def test_wrong_proofs_are_counted_and_what_needs_none_goes_on(site: Site, alice: Consumer) -> None:
    job = await site.add(owner=alice.account.address)
    with limited(site, failures=3) as one:
        for _ in range(9):  # no proof at all is no wrong one, and a stop that signs no nonce is a right one
            assert (await one.http.get("/api/services/computeResult", params={"jobId": job.id})).status_code == 400
            assert (await one.http.put(COMPUTE, json=stop_without_nonce(alice, job.id))).status_code == 200
        for given in ({"signature": "0x" + "1" * 130}, {"signature": "x"}, {}):
            headers = {} if given else {"AuthToken": "a.b.c"}
            fields = {"jobId": job.id, "consumerAddress": alice.account.address, "nonce": "9" * 20, **given}
            assert (await one.http.get(COMPUTE, params=fields, headers=headers)).status_code == 400
        refused = await one.http.get(COMPUTE, params=alice.signed(job.id, jobId=job.id))
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert (await one.http.get(COMPUTE, params={"jobId": job.id})).status_code == 200
        async with client(one.cove, "198.51.100.8") as other:
            assert (await other.get(COMPUTE, params=alice.signed(job.id, jobId=job.id))).status_code == 200


def stop_without_nonce(consumer: Consumer, job_id: str) -> dict[str, Any]:
    fields = consumer.signed("")
    return fields | {"jobId": job_id, "signature": consumer.account.sign_text(f"{fields['consumerAddress']}{job_id}")}


async def test_what_costs_outside_calls_has_a_budget_of_its_own(site: Site) -> None:
    did = "did:op:" + "3" * 64
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "encrypt?chainId=8996", {"content": b"x", "headers": {"content-type": "application/octet-stream"}}),
        ("POST", "fileinfo", {"json": {"type": "url", "url": "http://127.0.0.1/"}}),
        ("GET", "initialize", {"params": {"documentId": did, "serviceId": "0", "consumerAddress": "0x" + "1" * 40}}),
        ("GET", f"../aquarius/assets/ddo/{did}", {}),
        ("POST", "initializeCompute", {"json": {
            "datasets": [{"documentId": did, "serviceId": "0"}], "algorithm": {"documentId": did, "serviceId": "0"},
            "compute": {"env": "default", "validUntil": 2_000_000_000}, "consumerAddress": "0x" + "1" * 40,
        }}),
        ("POST", "decrypt", {"json": {
            "decrypterAddress": "0x" + "1" * 40, "chainId": 8996, "dataNftAddress": "0x" + "5" * 40,
            "transactionId": "0x" + "6" * 64, "nonce": 1, "signature": "0x00",
        }}),
    ]  # fmt: skip
    for method, path, fields in asked:
        with limited(site, outside=1) as one:
            statuses = [
                (await one.http.request(method, f"/api/services/{path}", **fields)).status_code for _ in range(3)
            ]
            assert statuses[0] != 429
            assert statuses[1:] == [429, 429], path
            assert (await one.http.get(COMPUTE, params={"jobId": "0" * 32})).status_code == 200


async def test_a_front_end_that_polls_never_meets_the_defaults(site: Site, alice: Consumer) -> None:
    job = await site.add(owner=alice.account.address)
    assert LimitSettings() == LimitSettings(
        client=1200, address=600, outside=600, failures=30, outside_at_once=64, log_streams=4
    )
    for _ in range(300):
        assert (await site.http.get(COMPUTE, params={"jobId": job.id})).status_code == 200
    for _ in range(100):
        assert (await site.http.get(COMPUTE, params=alice.signed(job.id, jobId=job.id))).status_code == 200


@dataclass
class Slow:
    """A Cove, and a server whose files do not come before ``go_on`` is set."""

    cove: Cove
    server: Server
    #: Counts the requests that wait.
    came: threading.Semaphore
    go_on: threading.Event


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Slow]:
    came, go_on = threading.Semaphore(0), threading.Event()

    def late(connection: socket.socket, asked: Asked) -> None:
        del asked
        came.release()
        go_on.wait(120)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n")

    def endless(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(OSError):
            while asked.method == "GET" and not go_on.is_set():
                connection.sendall(b" ")

    with serving() as server:
        server.handlers |= {"/late": late, "/endless": endless}
        settings = Settings(
            state_dir=tmp_path / "state", key="11" * 32, environments=(),
            url_files=UrlSettings(allowed=(f"127.0.0.1:{server.port}",)),
            limits=LimitSettings(outside_at_once=8),
        )  # fmt: skip
        async with open_cove(settings, loop=False) as cove:
            yield Slow(cove, server, came, go_on)
            go_on.set()


async def test_few_outside_calls_are_under_way_at_one_time(slow: Slow) -> None:
    body = {"type": "url", "url": slow.server.url("/late")}
    app = create_app(slow.cove)
    clients = [
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app, client=(f"198.51.100.{number}", 1)), base_url="http://cove.example"
        )
        for number in range(5)
    ]
    waiting = [asyncio.ensure_future(one.post(FILE_INFO, json=body)) for one in clients[:4] for _ in range(2)]
    for _ in waiting:
        assert await asyncio.to_thread(slow.came.acquire, timeout=120)
    for one in (clients[0], clients[4]):
        refused = await one.post(FILE_INFO, json=body)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert refused.headers["retry-after"] == "1"
        assert (await one.get(COMPUTE, params={"jobId": "0" * 32})).json() == []
    slow.go_on.set()
    for answer in await asyncio.gather(*waiting):
        assert [entry["valid"] for entry in answer.json()] == [True]
    assert (await clients[0].post(FILE_INFO, json=body)).status_code == 200


async def test_a_source_that_never_ends_is_not_read_for_ever(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cove.jobs.looks.SECONDS", 0.3)
    body = {"type": "url", "url": slow.server.url("/endless"), "checksum": True}
    answer = await client(slow.cove, "198.51.100.7").post(FILE_INFO, json=body)
    assert [entry["valid"] for entry in answer.json()] == [False]
