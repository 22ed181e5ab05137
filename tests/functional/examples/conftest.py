"""A Cove as an owner serves it, with assets and orders, for whoever types an example of ``docs/reference/api.md``."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chain import Ocean
from tests.functional.cli.conftest import settings_text, write_key
from tests.support.held import digest, store_held
from tests.support.programs import chain_over_http, environment, running
from tools.reference import EXAMPLES

from cove import wire
from cove.client import CoveClient, Signer, is_final
from cove.client.market import AssetDraft, Published, ServiceDraft, mint, order, provider_encrypt, publish
from cove.core.airlock import file_key
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.results import DiskAirlock
from cove.stores import SqlJobStore
from cove.stores.database import sqlite_url
from cove.stores.reviews import SqlReviewStore

CONTAINER = {"entrypoint": "python3 $ALGO", "image": "cove/host", "checksum": "sha256:" + "0" * 64}
ENDLESS = "import time\nwhile True:\n    time.sleep(1)\n"
TABLE = "age,systolic\n41,128\n56,135\n62,142\n"


@dataclass(frozen=True)
class Place:
    """Where examples are typed: beside their files, with the variables that the page names."""

    url: str
    ocean: Ocean
    key_file: Path
    #: Compute service "0".
    dataset: Published
    #: Access service "0".
    table: Published

    def run(self, example: Path) -> subprocess.CompletedProcess[str]:
        """Run an example as a person would."""
        program = sys.executable if example.suffix == ".py" else "/bin/sh"
        variables = environment(**self._variables(example.stem))
        variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
        return subprocess.run(
            [program, example.name], cwd=EXAMPLES, env=variables, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=180, check=False,
        )  # fmt: skip

    def _variables(self, name: str) -> dict[str, str]:
        account = self.ocean.consumer.address
        given = {
            "COVE_URL": self.url,
            "COVE_ACCOUNT_KEY_FILE": str(self.key_file),
            "ACCOUNT": account,
            "CHAIN": str(self.ocean.chain.chain_id),
            "DATASET": self.dataset.did,
            "TABLE": self.table.did,
            "NFT": self.dataset.nft,
            "PUBLISHED": self.dataset.tx_id,
        }
        match name:
            case "start" | "free_compute":
                given["DATASET_ORDER"] = self._ordered()
            case "download":
                given["TABLE_ORDER"] = asyncio.run(self._order(self.table, self._access_fee()))
            case "stop":
                given["JOB"] = self._job(ENDLESS, until=40)
            case "status" | "result" | "logs" | "streamable_logs" | "delete" | "start_again":
                given["JOB"] = self._job((EXAMPLES / "algorithm.py").read_text("utf-8"), until=70)
            case "reviews" | "review_file" | "review_vote":
                given |= asyncio.run(self._held())
            case "delete_token":
                given["TOKEN"] = self.run(EXAMPLES / "create_token.py").stdout.strip()
            case "auth_token_invalidate":
                given["TOKEN"] = self.run(EXAMPLES / "auth_token.py").stdout.strip()
        return given

    async def _held(self) -> dict[str, str]:
        """Put a held job of somebody else's into the service's folder."""
        state, content = self.key_file.parent / "state", b"Ann,41\nBob,42\n"
        jobs = SqlJobStore(sqlite_url(state / "cove.db"))
        await jobs.start()
        vault = KeyVault(Account.from_file(self.key_file.parent / "provider.key"))
        stranger = self.ocean.stranger.address
        keeps, source = DiskAirlock(state / "airlock"), state / "source"
        job = await store_held(jobs, SqlReviewStore(jobs), keeps, vault, source, stranger, {"rows.csv": content})
        await jobs.close()
        return {"JOB": job.id, "FILE": file_key("output", "rows.csv"), "SHA256": digest(content)}

    def _client(self) -> CoveClient:
        return CoveClient(self.url, Signer.from_file(self.key_file))

    def _job(self, code: str, until: int) -> str:
        """Start a job, and give its id once its status is at least so high."""
        request = wire.StartCompute.model_validate({
            "dataset": {"documentId": self.dataset.did, "serviceId": "0", "transferTxId": self._ordered()},
            "algorithm": {"meta": {"rawcode": code, "container": CONTAINER}},
        })  # fmt: skip
        with self._client() as client:
            job = client.start(request)
            seen = next(status for status in client.watch(job.jobId) if status.status >= until or is_final(status))
            assert seen.status == until, seen
            return job.jobId

    def _ordered(self) -> str:
        request = wire.InitializeCompute.model_validate({
            "datasets": [{"documentId": self.dataset.did, "serviceId": "0"}],
            "algorithm": {"meta": {"rawcode": ENDLESS, "container": CONTAINER}},
            "compute": {"env": "default", "validUntil": int(time.time()) + 60},
        })  # fmt: skip
        with self._client() as client:
            fee = client.initialize_compute(request).datasets[0].providerFee
        assert fee is not None
        return asyncio.run(self._order(self.dataset, fee.model_dump()))

    def _access_fee(self) -> dict[str, Any]:
        return self.ocean.fee(self.table.datatoken, service_id="0", environment=None)

    async def _order(self, asset: Published, fee: dict[str, Any]) -> str:
        await mint(self.ocean.publisher, asset.datatoken, self.ocean.consumer.address)
        return await order(self.ocean.consumer, asset.datatoken, fee)


@pytest.fixture(scope="session")
def place(ocean: Ocean, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Serve, and publish a table twice: for jobs, and for download."""
    folder = tmp_path_factory.mktemp("owner")
    (folder / "data").mkdir()
    (folder / "data" / "table.csv").write_text(TABLE)
    write_key(folder / "provider.key", ocean.chain.accounts[1].private_key)
    write_key(folder / "consumer.key", ocean.chain.accounts[2].private_key)
    with chain_over_http(ocean.chain) as rpc:
        reviewers = f'[review]\nreviewers = ["{ocean.consumer.address}"]\n'
        free = "[environments.free]\ncpus = 0.5\n"
        (folder / "cove.toml").write_text(settings_text(ocean, rpc, folder) + free + reviewers)
        with running("serve", "--settings", folder / "cove.toml") as service:
            url = service.line(r"listening on (http://\S+)")[1]
            dataset, table = asyncio.run(_publish(ocean, url))
            _find(url, dataset, table)
            typed = Place(url, ocean, folder / "consumer.key", dataset, table)
            assert typed.run(EXAMPLES / "create_token.py").returncode == 0  # so that the account has used a nonce
            yield typed
            service.signal(signal.SIGTERM)
            assert service.end() == 0


def _find(url: str, *published: Published) -> None:
    """Wait until the service has seen what was published: it looks at its chain once a second."""
    asked = {"didList": [asset.did for asset in published]}
    deadline = time.monotonic() + 180
    while len(httpx2.post(f"{url}{wire.CACHE_PREFIX}/names", json=asked, timeout=120).raise_for_status().json()) < len(
        published
    ):
        assert time.monotonic() < deadline, "what was published is not indexed"


async def _publish(ocean: Ocean, url: str) -> tuple[Published, Published]:
    encrypt = provider_encrypt(url, ocean.chain.chain_id)
    files = [{"type": "local", "root": "data", "path": "table.csv"}]
    compute = {
        "allowRawAlgorithm": True,
        "allowNetworkAccess": False,
        "publisherTrustedAlgorithms": [],
        "publisherTrustedAlgorithmPublishers": [],
    }
    services = (
        ServiceDraft("compute", files, url, 86_400, compute=compute),
        ServiceDraft("access", files, url, 86_400),
    )
    dataset, table = [
        await publish(ocean.publisher, ocean.addresses.factory, AssetDraft("Patients", [service]), encrypt)
        for service in services
    ]
    return dataset, table
