"""Who a request is from, and what it was addressed to, with a proxy in front."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from tests.functional.web.conftest import Consumer, Site

from cove.access.limits import LimitOptions, Limits
from cove.core.forwarding import parse_network
from cove.web.app import create_app

COMPUTE = "/api/services/compute"
OPTIONS = LimitOptions(client=1, address=0, outside=0, failures=0, outside_at_once=1, log_streams=1)


def behind(site: Site, *trusted: str, peer: str = "10.0.0.1", options: LimitOptions = OPTIONS) -> httpx2.AsyncClient:
    networks = tuple(map(parse_network, trusted))
    cove = replace(
        site.cove, limits=Limits(options, lambda: 0), options=replace(site.cove.options, trusted_proxies=networks)
    )
    transport = httpx2.ASGITransport(create_app(cove), client=(peer, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://inside:8030")


async def statuses(http: httpx2.AsyncClient, *chains: str) -> list[int]:
    return [(await http.get("/", headers={"X-Forwarded-For": chain})).status_code for chain in chains]


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.1", "198.51.100.7"])
async def test_nobody_is_believed_unless_the_owner_says_so(
    site: Site, peer: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("cove"), "propagate", True)
    assert await statuses(behind(site, peer=peer), "192.0.2.1", "192.0.2.2", "192.0.2.3") == [200, 429, 429]
    (warning,) = [record.getMessage() for record in caplog.records if "X-Forwarded" in record.getMessage()]
    assert warning.startswith(f"{peer} sends")
    assert "listen.trusted_proxies" in warning


async def test_clients_behind_a_proxy_are_counted_apart(site: Site) -> None:
    http = behind(site, "10.0.0.0/8")
    assert await statuses(http, "192.0.2.1", "192.0.2.2", "192.0.2.1") == [200, 200, 429]
    # What the client made up stands on the left of what the proxy added.
    assert await statuses(http, "192.0.2.9, 192.0.2.1", "x, 192.0.2.2, 10.0.0.2") == [429, 429]
    two = httpx2.Headers([("X-Forwarded-For", "192.0.2.8"), ("X-Forwarded-For", "192.0.2.1")])
    assert (await http.get("/", headers=two)).status_code == 429
    assert await statuses(http, "garbage", "\x01", "") == [200, 429, 429]


async def links(http: httpx2.AsyncClient, alice: Consumer, job_id: str, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    (status,) = (await http.get(COMPUTE, params=alice.signed(job_id, jobId=job_id), headers=named)).json()
    return str(status["resultsUrls"][0]).partition("/api/")[0]


async def test_links_lead_to_where_the_proxy_was_asked(site: Site, tmp_path: Path, alice: Consumer) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    said = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "cove.example"}
    free = replace(OPTIONS, client=0)
    assert await links(behind(site, options=free), alice, job.id, **said) == "http://inside:8030"
    http = behind(site, "10.0.0.1", options=free)
    assert await links(http, alice, job.id, **said) == "https://cove.example"
    assert await links(http, alice, job.id, X_Forwarded_Proto="https") == "https://inside:8030"
    for spoiled in ({"X_Forwarded_Proto": "javascript"}, {"X_Forwarded_Host": "a@b/c"}, {"X_Forwarded_Host": ""}):
        assert await links(http, alice, job.id, **spoiled) == "http://inside:8030"
