"""The whole service over a real chain, database and sandbox, called in this process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from tests.chain import Ocean
from tests.support.policies import policy_folder

from cove.client import Signer
from cove.client.market import AssetDraft, Published, ServiceDraft, Wallet, mint, order, publish
from cove.ledgers.devchain import DevChain
from cove.settings import ChainSettings, EnvironmentSettings, LocalRootSettings, Settings
from cove.web.app import create_app
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove

PATH = "/api/services/compute"
RAW = {
    "meta": {
        "rawcode": "import os\nopen(os.environ['OUTPUTS'] + '/n', 'w').write('7')\nprint('done')",
        "container": {"entrypoint": "python3 $ALGO", "image": "cove/host", "checksum": "sha256:" + "0" * 64},
    }
}
NONCES = itertools.count(1_700_000_000_000)


class SharedChain:
    """The session's chain, which the service must not close."""

    def __init__(self, chain: DevChain) -> None:
        self.call = chain.call

    async def close(self) -> None:
        """Leave it open."""


@dataclass
class House:
    http: httpx2.AsyncClient
    cove: Cove
    ocean: Ocean
    dataset: Published

    async def start(self, **changes: Any) -> httpx2.Response:
        body: dict[str, Any] = {
            "consumerAddress": self.ocean.consumer.address,
            "nonce": str(next(NONCES)),
            "environment": "default",
            "dataset": {"documentId": self.dataset.did, "serviceId": "0", "transferTxId": "0x" + "9" * 64},
            "algorithm": RAW,
        }
        body |= changes
        if "signature" not in changes:
            did = (body.get("dataset") or {}).get("documentId") or ""
            text = f"{body['consumerAddress']}{body.get('jobId') or ''}{did}{body['nonce']}"
            body["signature"] = signer(self.ocean.consumer).sign(text)
        return await self.http.post(PATH, json=body)

    async def quote(self) -> dict[str, Any]:
        answer = await self.http.post("/api/services/initializeCompute", json={
            "datasets": [{"documentId": self.dataset.did, "serviceId": "0"}],
            "algorithm": RAW,
            "compute": {"env": "default", "validUntil": int(time.time()) + 300},
            "consumerAddress": self.ocean.consumer.address,
        })  # fmt: skip
        assert answer.status_code == 200, answer.text
        return answer.json()["datasets"][0]["providerFee"]

    async def paid(self) -> str:
        fee = await self.quote()
        await mint(self.ocean.publisher, self.dataset.datatoken, self.ocean.consumer.address)
        return await order(self.ocean.consumer, self.dataset.datatoken, fee)

    async def done(self, job_id: str) -> dict[str, Any]:
        async with asyncio.timeout(120):
            while True:
                status = (await self.http.get(PATH, params={"jobId": job_id})).json()[0]
                if status["dateFinished"]:
                    return status
                await self.cove.jobs.wait_change(job_id, 1.0)


def signer(wallet: Wallet) -> Signer:
    return Signer(KEYS[wallet.address])


KEYS: dict[str, str] = {}


@pytest.fixture
async def house(ocean: Ocean, tmp_path: Path) -> AsyncIterator[House]:
    async with opened(ocean, tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def opened(ocean: Ocean, folder: Path, *, fee_token: str = "", **changes: Any) -> AsyncIterator[House]:
    """Open a house with a published table; ``changes`` are settings."""
    KEYS.update({account.address: account.private_key for account in ocean.chain.accounts})
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "table.csv").write_text("a\n1\n")
    fields: dict[str, Any] = {
        "state_dir": folder / "state",
        "key": SecretStr(ocean.chain.accounts[1].private_key),
        "chains": (chain_settings(ocean, fee_token),),
        "environments": (EnvironmentSettings.model_validate({"id": "default", "price_per_minute": "0.5", "free": {}}),),
        "local": {"data": LocalRootSettings(path=folder / "data", publishers=(ocean.publisher.address,))},
        "review": {"reviewers": (ocean.consumer.address,)},
        "policies": policy_folder(folder),
        # Tests ask more often than people; tests of the limits set their own.
        "limits": {"client": 0, "address": 0, "outside": 0, "failures": 0},
    }
    async with open_cove(Settings(**fields | changes), connect=lambda _: SharedChain(ocean.chain)) as cove:
        transport = httpx2.ASGITransport(app=create_app(cove), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://cove") as http:
            yield House(http, cove, ocean, await publish_table(ocean, ocean.publisher))


def chain_settings(ocean: Ocean, fee_token: str = "") -> ChainSettings:
    """Give the settings of the session's chain; what stands for its RPC is not called."""
    return ChainSettings(
        id=ocean.chain.chain_id,
        rpc=SecretStr("http://127.0.0.1:0"),
        factory=ocean.addresses.factory,
        fee_token=fee_token or ocean.addresses.fee_token,
        index_seconds=0.1,
    )


async def publish_table(ocean: Ocean, owner: Wallet) -> Published:
    files = [{"type": "local", "root": "data", "path": "table.csv"}]
    compute = {
        "allowRawAlgorithm": True,
        "allowNetworkAccess": False,
        "publisherTrustedAlgorithms": [],
        "publisherTrustedAlgorithmPublishers": [],
    }
    draft = AssetDraft("A table", [ServiceDraft("compute", files, "http://cove", compute=compute)])
    return await publish(owner, ocean.addresses.factory, draft, ocean.encrypt)
