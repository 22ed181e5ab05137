"""A second Cove on the same chain, with its own key and folder, served on loopback: another provider."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from tests.chain import Ocean
from tests.support.house import RAW, House, SharedChain, chain_settings

from cove.cli.server import run_server
from cove.client.market import COMPRESSED, AssetDraft, Published, ServiceDraft, mint, order, publish
from cove.settings import LocalRootSettings, Settings
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove


@dataclass
class Neighbour:
    """The other provider."""

    cove: Cove
    url: str
    ocean: Ocean
    data: Path

    def put(self, name: str, content: bytes) -> Mapping[str, object]:
        """Put a file where this provider serves it from."""
        (self.data / name).write_bytes(content)
        return {"type": "local", "root": "data", "path": name}

    async def encrypt(self, plain: bytes) -> str:
        """Encrypt to this provider, as its endpoint does."""
        return "0x" + self.cove.vault.encrypt(plain).hex()

    async def publish(
        self, files: Sequence[Mapping[str, object]], *, endpoint: str = "", kind: str = "access", **more: Any
    ) -> Published:
        """Publish an asset whose files this provider keeps; its DDO is readable by everybody."""
        compute = {"allowRawAlgorithm": True} if kind == "compute" else None
        service = ServiceDraft(kind, files, endpoint or self.url, 3600, compute=compute)
        draft = AssetDraft("Elsewhere", [service], **more)
        return await publish(self.ocean.publisher, self.ocean.addresses.factory, draft, self.encrypt, flags=COMPRESSED)


@contextlib.asynccontextmanager
async def open_neighbour(ocean: Ocean, folder: Path) -> AsyncIterator[Neighbour]:
    """Open and serve it below a folder."""
    data = folder / "data"
    data.mkdir(parents=True)
    settings = Settings(
        state_dir=folder / "state",
        key=SecretStr(secrets.token_hex(32)),
        chains=(chain_settings(ocean),),
        environments=(),
        local={"data": LocalRootSettings(path=data, publishers=("*",))},
    )
    async with open_cove(settings, connect=lambda _: SharedChain(ocean.chain)) as cove:
        stop: asyncio.Event = asyncio.Event()
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(run_server(cove, "127.0.0.1", 0, started=started.set_result, stop=stop))
        try:
            yield Neighbour(cove, await started, ocean, data)
        finally:
            stop.set()
            await server


def algorithm_terms() -> dict[str, Any]:
    """Give the metadata of an algorithm that runs on this host's Python."""
    container: dict[str, str] = RAW["meta"]["container"]  # type: ignore[assignment]
    return {"language": "python", "version": "1", "container": {**container, "tag": ""}}


def item(asset: Published, tx: str | None = None) -> dict[str, Any]:
    """Name an asset's first service in a request."""
    named = {"documentId": asset.did, "serviceId": "0"}
    return named if tx is None else {**named, "transferTxId": tx}


async def quotes(
    house: House, others: Sequence[Mapping[str, Any]], algorithm: Mapping[str, Any], **changes: Any
) -> dict[str, Any]:
    """Ask what a job of the house's table, and of further datasets, needs to be paid."""
    answer = await house.http.post("/api/services/initializeCompute", json={
        "datasets": [changes.pop("main", item(house.dataset)), *others],
        "algorithm": algorithm,
        "compute": {"env": "default", "validUntil": int(house.cove.clock.now()) + 300},
        "consumerAddress": house.ocean.consumer.address,
    })  # fmt: skip
    assert answer.status_code == changes.get("status", 200), answer.text
    found: dict[str, Any] = json.loads(answer.text)
    return found


async def bought(
    house: House, asset: Published, fee: Mapping[str, Any], consumer: str | None = None, *, service_index: int = 0
) -> str:
    """Order a service of an asset for the house's own account, or for another consumer."""
    wallet = house.ocean.consumer
    await mint(house.ocean.publisher, asset.datatoken, wallet.address)
    account = consumer or house.cove.vault.address
    return await order(wallet, asset.datatoken, fee, service_index=service_index, consumer=account)
