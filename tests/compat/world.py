"""A chain of anvil's, Ocean's contracts and assets on it, and a way to run a scenario of ocean.js."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from eth_account import Account
from tests.support.escrow import Escrowed, deploy_escrow
from tests.support.http_server import Server
from tests.support.policies import UNCHECKED_FILE, policy_folder
from tests.support.programs import Running, environment

from cove import wire
from cove.client import CoveClient, Signer
from cove.client.market import (
    AssetDraft,
    OceanAddresses,
    Published,
    ServiceDraft,
    Wallet,
    deploy_ocean,
    mint,
    order,
    provider_encrypt,
    publish,
    transfer,
)
from cove.ledgers.rpc import HttpRpc

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
#: Written by install.sh at its end.
INSTALLED = MODULES / ".installed"
#: ``@oceanprotocol/lib``, each as it is in npm; its signer is an account of its own, so that nonces do not meet.
VERSIONS = {"3.4.6": 2, "3.2.0": 3, "2.7.0": 4}
#: The same for the release that speaks Ocean Node's API, and an account that its owner names as a viewer.
TODAY = {"8.6.2": 8}
VIEWER = 9
#: An account that no version of the library uses.
STRANGER = 5
#: Who publishes and who consumes with ocean.py.
OCEAN_PY = (6, 7)
PROVIDER_KEY = "5e7f3f9dcd71f3a1c8a3d1b2c7e1b0d9" * 2
CHAIN_ID = 8996
CHECKSUM = "sha256:" + "0" * 64
CONTAINER = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": CHECKSUM}
#: Writes down all that it was given.
ALGORITHM = """
import json, os, pathlib
inputs = pathlib.Path('/data/inputs')
files = {did: (inputs / did / '0').read_text() for did in json.loads(os.environ['DIDS'])}
custom = json.loads((inputs / 'algoCustomData.json').read_text())
pathlib.Path('/data/outputs/report.json').write_text(json.dumps({'files': files, 'custom': custom}))
print('read', len(files))
"""
ENDLESS = "import time\nprint('begun', flush=True)\nwhile True:\n    time.sleep(1)\n"
TABLE, OTHER_TABLE, BOOK = b"a\n1\n", b"b\n2\n", b"whatever one may download"
#: A release policy: results leave as they are, and logs are shown as they are written.
LIVE = UNCHECKED_FILE + '[logs]\nmode = "live"\n'
#: Seconds that a scenario may take.
PATIENCE = 120


@dataclass(frozen=True)
class World:
    """A market with one provider."""

    url: str
    rpc: str
    addresses: OceanAddresses
    files: Server
    table: Published
    other: Published
    algorithm: Published
    book: Published

    def scenario(self, name: str, version: str, **given: Any) -> Any:
        """Run a scenario in Node with a version of the library, and give its JSON."""
        key = key_of((VERSIONS | TODAY)[version])
        asked = {"version": version, "url": self.url, "rpc": self.rpc, "key": key, **given}
        ended = subprocess.run(
            ["node", FOLDER / f"{name}.cjs", json.dumps(asked)], cwd=FOLDER, env=_node_environment(),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def start(self, number: int, bought: Published, order_tx: str, algorithm: Mapping[str, Any]) -> str:
        """Start a job from Python, for one of the chain's accounts, and give its id."""
        dataset = {**asset(bought), "transferTxId": order_tx}
        request = {"environment": "default", "dataset": dataset, "algorithm": algorithm}
        with CoveClient(self.url, Signer(key_of(number))) as client:
            return client.start(wire.StartCompute.model_validate(request)).jobId

    def order(self, number: int, bought: Published, algorithm: Mapping[str, Any]) -> str:
        """Order a dataset from Python, for one of the chain's accounts, and give the transaction."""
        return asyncio.run(self._order(number, bought, algorithm))

    async def _order(self, number: int, bought: Published, algorithm: Mapping[str, Any]) -> str:
        async with HttpRpc(self.rpc, CHAIN_ID) as client, httpx2.AsyncClient(trust_env=False, timeout=120) as http:
            wallet = Wallet(key_of(number), client)
            answer = await http.post(f"{self.url}/api/services/initializeCompute", json={
                "datasets": [asset(bought)],
                "algorithm": algorithm,
                "compute": {"env": "default", "validUntil": int(time.time()) + 300},
                "consumerAddress": wallet.address,
            })  # fmt: skip
            assert answer.status_code == 200, answer.text
            return await order(wallet, bought.datatoken, answer.json()["datasets"][0]["providerFee"])


def key_of(number: int) -> str:
    """Give a private key of the mnemonic that development chains share."""
    Account.enable_unaudited_hdwallet_features()
    words = "test test test test test test test test test test test junk"
    return str(Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{number}").key.to_0x_hex())


def raw(code: str) -> dict[str, Any]:
    return {"meta": {"language": "python", "version": "1", "rawcode": code, "container": CONTAINER}}


def asset(published: Published) -> dict[str, str]:
    return {"documentId": published.did, "serviceId": "0"}


@contextlib.contextmanager
def anvil() -> Iterator[str]:
    process = subprocess.Popen(
        [MODULES / ".bin" / "anvil", "--host", "127.0.0.1", "--port", "0", "--chain-id", str(CHAIN_ID)],
        env=_node_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    chain = Running(process)
    try:
        yield "http://" + chain.line(r"Listening on (127\.0\.0\.1:\d+)")[1]
    finally:
        process.terminate()
        process.wait(120)
        for reader in chain._readers:
            reader.join(120)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _node_environment() -> dict[str, str]:
    node = shutil.which("node")
    assert node is not None
    return environment(PATH=f"{Path(node).parent}:/usr/bin:/bin", HOME="/nonexistent")


def settings_text(rpc: str, addresses: OceanAddresses, folder: Path, file_port: int, escrow: str) -> str:
    return f"""
state_dir = "{folder}/state"
key = "{PROVIDER_KEY}"
poll_seconds = 0.5

[listen]
port = 0

[[chains]]
id = {CHAIN_ID}
rpc = "{rpc}"
factory = "{addresses.factory}"
fee_token = "{addresses.fee_token}"
escrow = "{escrow}"

# Four clients do within a minute, from one address, what people do in a day; each alone keeps to the defaults.
[limits]
client = 0
outside = 0

[policies]
folder = "{policy_folder(folder, LIVE)["folder"]}"

[[environments]]
id = "default"
memory = "256MiB"
disk = "64MiB"
max_duration = 600
price_per_minute = "0.1"
live_logs = true

# Without payment for those who speak Ocean Node's API alone.
[environments.free]
cpus = 0.5
max_duration = 60

[[environments.prices]]
chain = {CHAIN_ID}
token = "{addresses.fee_token}"
cpu = "0.1"
ram = "0.2"

[url_files]
allowed = ["127.0.0.1:{file_port}"]
"""


async def deploy(rpc: str) -> OceanAddresses:
    async with HttpRpc(rpc, CHAIN_ID) as client:
        owner = Wallet(key_of(0), client)
        addresses = await deploy_ocean(owner)
        for number in (*VERSIONS.values(), *TODAY.values(), STRANGER, *OCEAN_PY):
            await transfer(owner, addresses.fee_token, Wallet(key_of(number), client).address, 1000 * 10**18)
        return addresses


async def deploy_payments(rpc: str, addresses: OceanAddresses) -> Escrowed:
    """Deploy the escrow contract, and give the provider what its transactions cost."""
    async with HttpRpc(rpc, CHAIN_ID) as client:
        owner = Wallet(key_of(0), client)
        await owner.send(Wallet(PROVIDER_KEY, client).address, b"", value=10**18)
        return await deploy_escrow(owner, addresses)


async def publish_assets(rpc: str, addresses: OceanAddresses, url: str, files: Server) -> list[Published]:
    """Publish everything, and give every consumer datatokens of it."""
    encrypt = provider_encrypt(url, CHAIN_ID)
    compute = {"allowRawAlgorithm": True, "publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": []}

    def draft(name: str, file: str, kind: str = "compute", **changes: Any) -> AssetDraft:
        sources = [{"type": "url", "url": files.url(f"/{file}"), "method": "GET"}]
        service = ServiceDraft(kind, sources, url, 86_400, compute=compute if kind == "compute" else None)
        return AssetDraft(name, [service], **changes)

    drafts = (
        draft("A table", "table.csv"),
        draft("Another table", "other.csv"),
        draft(
            "Reader", "algorithm.py", "access", type="algorithm",
            algorithm={"language": "python", "version": "1", "container": CONTAINER},
        ),
        draft("A book", "book.txt", "access"),
    )  # fmt: skip
    async with HttpRpc(rpc, CHAIN_ID) as client:
        owner = Wallet(key_of(0), client)
        assets = [await publish(owner, addresses.factory, entry, encrypt) for entry in drafts]
        for published in assets:
            for number in (*VERSIONS.values(), *TODAY.values(), STRANGER):
                await mint(owner, published.datatoken, Wallet(key_of(number), client).address, 100 * 10**18)
        return assets
