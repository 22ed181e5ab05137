"""A house as an owner sets it up: ``cove serve`` as a process, on a chain that it reaches over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.chain import Ocean
from tests.support.policies import UNCHECKED_FILE, policy_folder
from tests.support.programs import RPC_TOKEN, chain_over_http, cove, running

from cove import wire
from cove.client import CoveClient, Signer
from cove.client.market import (
    AssetDraft,
    Published,
    ServiceDraft,
    mint,
    order,
    provider_encrypt,
    publish,
)

PROVIDER_KEY = "5e7f3f9dcd71f3a1c8a3d1b2c7e1b0d9" * 2
CHECKSUM = "sha256:" + "0" * 64
ALGORITHM = "import os\nopen(os.environ['OUTPUTS'] + '/answer.txt', 'w').write('42')\nprint('published')\n"


@dataclass(frozen=True)
class House:
    """A service, its owner's assets, and a consumer."""

    url: str
    ocean: Ocean
    #: Where consumers work; holds ``consumer.key`` and ``stranger.key``.
    folder: Path
    dataset: Published
    algorithm: Published
    #: Where the owner has ``cove.toml`` and ``policies``.
    owner: Path

    def consumer(self, *arguments: str | Path, key: str = "consumer") -> subprocess.CompletedProcess[str]:
        """Run a consumer's command, in the consumer's folder."""
        variables = {"COVE_URL": self.url, "COVE_ACCOUNT_KEY_FILE": f"{key}.key" if key else ""}
        return cove(*arguments, cwd=self.folder, **variables)

    def pay(self, asset: Published) -> str:
        """Order an asset for the consumer, with the environment's fee, and give the transaction."""
        return asyncio.run(self._pay(asset))

    def submit(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Submit raw code on the dataset, with an order of its own."""
        name = hashlib.sha256(code.encode()).hexdigest()[:12] + ".py"
        (self.folder / name).write_text(code, "utf-8")
        return self.consumer(
            "submit", "--dataset", self.dataset.did, "--order", self.pay(self.dataset), "--raw", name, *arguments
        )

    def finished(self, code: str) -> str:
        """Run raw code to its end and give the job's id."""
        ended = self.submit(code, "--wait", "--json")
        return str(json.loads(ended.stdout)["jobId"])

    async def _pay(self, asset: Published) -> str:
        ocean = self.ocean
        await mint(ocean.publisher, asset.datatoken, ocean.consumer.address)
        fee = await asyncio.to_thread(self._quote)
        return await order(ocean.consumer, asset.datatoken, fee)

    def _quote(self) -> Mapping[str, Any]:
        request = wire.InitializeCompute.model_validate({
            "datasets": [{"documentId": self.dataset.did, "serviceId": "0"}],
            "algorithm": {"documentId": self.algorithm.did, "serviceId": "0"},
            "compute": {"env": "default", "validUntil": int(time.time()) + 3000},
        })  # fmt: skip
        with CoveClient(self.url, Signer.from_file(self.folder / "consumer.key")) as client:
            fee = client.initialize_compute(request).datasets[0].providerFee
        assert fee is not None
        return fee.model_dump()


def settings_text(ocean: Ocean, rpc: str, folder: Path) -> str:
    """Write a settings file as an owner does; the log of whoever wants it is shown live, and nothing is compared."""
    policy_folder(folder, f'{UNCHECKED_FILE}[logs]\nmode = "live"\n')
    return f"""
state_dir = "{folder}/state"
key_file = "{folder}/provider.key"
poll_seconds = 0.5

[listen]
port = 0

[[chains]]
id = {ocean.chain.chain_id}
rpc = "{rpc}"
factory = "{ocean.addresses.factory}"
fee_token = "{ocean.addresses.fee_token}"

[[environments]]
id = "default"
memory = "256MiB"
disk = "64MiB"
max_duration = 60
price_per_minute = "0.1"
live_logs = true

[policies]
folder = "{folder}/policies"

[sending]
allowed = true
private = ["127.0.0.0/8"]

[local.data]
path = "{folder}/data"
publishers = ["{ocean.publisher.address}"]
"""


def write_key(path: Path, key: str) -> None:
    """Write a private key as ``cove keygen`` does."""
    path.touch(0o600)
    path.write_text(key, "ascii")


@pytest.fixture(scope="session")
def rpc(ocean: Ocean) -> Iterator[str]:
    """Give the URL of the session's chain."""
    with chain_over_http(ocean.chain) as url:
        yield url


@pytest.fixture(scope="session")
def house(ocean: Ocean, rpc: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Serve a table and an algorithm; the tests share it, so each starts jobs of its own."""
    folder, consumer = tmp_path_factory.mktemp("owner"), tmp_path_factory.mktemp("consumer")
    (folder / "data").mkdir()
    (folder / "data" / "table.csv").write_text("a\n1\n")
    (folder / "data" / "algorithm.py").write_text(ALGORITHM)
    (folder / "cove.toml").write_text(settings_text(ocean, rpc, folder))
    write_key(folder / "provider.key", PROVIDER_KEY)
    write_key(consumer / "consumer.key", ocean.chain.accounts[2].private_key)
    write_key(consumer / "stranger.key", ocean.chain.accounts[3].private_key)
    with running("serve", "--settings", folder / "cove.toml") as service:
        url = service.line(r"listening on (http://\S+)")[1]
        dataset, algorithm = asyncio.run(_publish(ocean, url))
        yield House(url, ocean, consumer, dataset, algorithm, folder)
        service.signal(signal.SIGTERM)
        assert service.end() == 0
        assert RPC_TOKEN not in service.text + service.words


async def _publish(ocean: Ocean, url: str) -> tuple[Published, Published]:
    encrypt = provider_encrypt(url, ocean.chain.chain_id)
    compute = {"allowRawAlgorithm": True, "publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": []}
    table = ServiceDraft("compute", [_file("table.csv")], url, 86_400, compute=compute)
    code = ServiceDraft("access", [_file("algorithm.py")], url, 86_400)
    container = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": CHECKSUM}
    language = {"language": "python", "version": "1", "container": container}
    drafts = (AssetDraft("A table", [table]), AssetDraft("Code", [code], type="algorithm", algorithm=language))
    dataset, algorithm = [await publish(ocean.publisher, ocean.addresses.factory, draft, encrypt) for draft in drafts]
    return dataset, algorithm


def _file(name: str) -> dict[str, str]:
    return {"type": "local", "root": "data", "path": name}
