"""A Cove as its owner runs it: a process of its own that logs everything, on a chain that it reaches over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.chain import Ocean
from tests.support.http_server import Server, serving
from tests.support.ports import free_port
from tests.support.programs import Running, chain_over_http, running
from tests.support.trade import COMPUTE

from cove.client.market import AssetDraft, Published, ServiceDraft, provider_encrypt, publish

PROVIDER_KEY = "5e7f3f9dcd71f3a1c8a3d1b2c7e1b0d9" * 2


@dataclass(frozen=True)
class Served:
    """The process, and what stands around it."""

    url: str
    service: Running
    ocean: Ocean
    #: A server of somebody else, which the service may reach.
    outside: Server

    def http(self) -> httpx2.AsyncClient:
        """Give a client that waits as long as it takes."""
        limits = httpx2.Limits(max_connections=500)
        return httpx2.AsyncClient(base_url=self.url, timeout=60, limits=limits, trust_env=False)

    async def publish(self, files: Sequence[dict[str, object]], *, timeout: int = 3600) -> Published:
        """Publish files as an access service (index 0) and a compute service (index 1)."""
        services = (
            ServiceDraft("access", files, self.url, timeout, "access"),
            ServiceDraft("compute", files, self.url, timeout, "compute", COMPUTE),
        )
        encrypt = provider_encrypt(self.url, self.ocean.chain.chain_id)
        draft = AssetDraft("Files", services)
        return await publish(self.ocean.publisher, self.ocean.addresses.factory, draft, encrypt)


def _settings(ocean: Ocean, rpc: str, folder: Path, port: int, outside: Server, *, more: str) -> str:
    return f"""
state_dir = "{folder}/state"
key = "{PROVIDER_KEY}"
log_level = "debug"
poll_seconds = 0.5
[listen]
port = {port}
[[chains]]
id = {ocean.chain.chain_id}
rpc = "{rpc}"
factory = "{ocean.addresses.factory}"
fee_token = "{ocean.addresses.fee_token}"
[[environments]]
id = "default"
memory = "256MiB"
disk = "64MiB"
max_duration = 3600
price_per_minute = "0.1"
[url_files]
allowed = ["127.0.0.1:{port}", "127.0.0.1:{outside.port}"]
{more}
"""


@contextlib.contextmanager
def served_at(ocean: Ocean, folder: Path, more: str = "") -> Iterator[Served]:
    """Serve from a folder; ``more`` are tables of settings."""
    port = free_port()
    with serving() as outside, chain_over_http(ocean.chain) as rpc:
        (folder / "cove.toml").write_text(_settings(ocean, rpc, folder, port, outside, more=more))
        with running("serve", "--settings", folder / "cove.toml") as service:
            url = service.line(r"listening on (http://\S+)")[1]
            asyncio.run(_answers(url))
            yield Served(url, service, ocean, outside)


@pytest.fixture(scope="module")
def served(ocean: Ocean, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_at(ocean, tmp_path_factory.mktemp("served")) as made:
        yield made


async def _answers(url: str) -> None:
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=120) as http:
        assert (await http.get("/health")).status_code == 200
