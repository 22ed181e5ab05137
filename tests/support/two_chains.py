"""One service over two chains on which everything has the same addresses, as after a deployment by the same account."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from pydantic import SecretStr
from tests.chain import Ocean, make_ocean

from cove.client import Signer
from cove.client.contracts import deploy_artifact
from cove.client.market import AssetDraft, Published, ServiceDraft, mint, order, publish, transfer
from cove.core.errors import Unavailable
from cove.ledgers.devchain import DevChain
from cove.settings import ChainSettings, EnvironmentSettings, LocalRootSettings, Settings
from cove.web.app import create_app
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove

ONE, TWO = 8996, 8997
PATH = "/api/services/compute"
RAW = {
    "meta": {
        "rawcode": "import os\nopen(os.environ['OUTPUTS'] + '/n', 'w').write('7')",
        "container": {"entrypoint": "python3 $ALGO", "image": "cove/host", "checksum": "sha256:" + "0" * 64},
    }
}
CONTAINER = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": "sha256:" + "0" * 64}
MOST_SECONDS = 3 * 86_400
_NONCES = itertools.count(1_700_000_000_000)


@dataclass
class Line:
    """The way to a chain: it can be cut, and counts what goes over it."""

    chain: DevChain
    cut: bool = False
    asked: list[str] = field(default_factory=list)

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        self.asked.append(method)
        if self.cut:
            raise Unavailable(f"chain {self.chain.chain_id}")
        return await self.chain.call(method, params)

    async def close(self) -> None:
        """The chain is shared."""


@dataclass
class Pair:
    """Two chains, and the fee token of each."""

    chains: Mapping[int, Ocean]
    tokens: Mapping[int, str]


@dataclass
class World:
    """The service, over its two lines."""

    http: httpx2.AsyncClient
    cove: Cove
    pair: Pair
    lines: Mapping[int, Line]

    def ocean(self, chain: int) -> Ocean:
        return self.pair.chains[chain]

    async def publish(self, chain: int, *, algorithm: bool = False) -> Published:
        """Publish a table, or an algorithm, that everybody may use."""
        ocean = self.ocean(chain)
        files = [{"type": "local", "root": "data", "path": "table.csv"}]
        if algorithm:
            service = ServiceDraft("access", files, "http://cove", 0)
            language = {"language": "python", "version": "1", "container": CONTAINER}
            draft = AssetDraft("Code", [service], type="algorithm", algorithm=language)
        else:
            compute = {
                "allowRawAlgorithm": True, "publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": [],
            }  # fmt: skip
            draft = AssetDraft("A table", [ServiceDraft("compute", files, "http://cove", 0, compute=compute)])
        return await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt)

    async def quote(
        self, *assets: Published, seconds: int = 600, algorithm: Published | None = None
    ) -> httpx2.Response:
        return await self.http.post("/api/services/initializeCompute", json={
            "datasets": [named(asset) for asset in assets],
            "algorithm": RAW if algorithm is None else named(algorithm),
            "compute": {"env": "default", "validUntil": int(time.time()) + seconds},
            "consumerAddress": self.ocean(ONE).consumer.address,
        })  # fmt: skip

    async def pay(self, chain: int, asset: Published, fee: Mapping[str, Any] | None = None) -> str:
        """Order an asset, with a fee of the service's where none is given."""
        ocean = self.ocean(chain)
        fee = fee or (await self.quote(asset)).json()["datasets"][0]["providerFee"]
        await mint(ocean.publisher, asset.datatoken, ocean.consumer.address)
        return await order(ocean.consumer, asset.datatoken, fee)

    async def start(self, asset: Published, tx_id: str, algorithm: Mapping[str, Any] = RAW) -> httpx2.Response:
        consumer = self.ocean(ONE).consumer.address
        nonce = str(next(_NONCES))
        signer = Signer(self.ocean(ONE).chain.accounts[2].private_key)
        body = {
            "consumerAddress": consumer,
            "nonce": nonce,
            "environment": "default",
            "dataset": named(asset, tx_id),
            "algorithm": algorithm,
            "signature": signer.sign(f"{consumer}{asset.did}{nonce}"),
        }
        return await self.http.post(PATH, json=body)

    def asked(self, chain: int) -> list[str]:
        """Give what a chain was asked since the last look."""
        asked, self.lines[chain].asked = self.lines[chain].asked, []
        return asked


def named(asset: Published, tx_id: str | None = None) -> dict[str, str]:
    """Name an asset as requests do."""
    return {"documentId": asset.did, "serviceId": "0"} | ({"transferTxId": tx_id} if tx_id else {})


def two_chains() -> Iterator[Pair]:
    """Deploy everything twice; the second chain is paid in a token of six decimals."""
    chains = {number: make_ocean(number) for number in (ONE, TWO)}

    async def six() -> str:
        ocean = chains[TWO]
        token = await deploy_artifact(ocean.stranger, "MockERC20Decimals", ["Six", "SIX", 6])
        await transfer(ocean.stranger, token, ocean.consumer.address, 10**6 * 10**4)
        return token

    tokens = {ONE: chains[ONE].addresses.fee_token, TWO: asyncio.run(six())}
    yield Pair(chains, tokens)
    for ocean in chains.values():
        asyncio.run(ocean.chain.close())


@asynccontextmanager
async def serving(pair: Pair, folder: Path, *, confirmations: int = 1, **changes: Any) -> AsyncIterator[World]:
    """Serve both chains."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "table.csv").write_text("a\n1\n")
    lines = {number: Line(ocean.chain) for number, ocean in pair.chains.items()}
    settings = Settings(
        state_dir=folder / "state",
        key=SecretStr(pair.chains[ONE].chain.accounts[1].private_key),
        chains=tuple(
            ChainSettings(
                id=number, rpc=SecretStr("http://127.0.0.1:0"), factory=ocean.addresses.factory,
                fee_token=pair.tokens[number], confirmations=confirmations,
            )
            for number, ocean in pair.chains.items()
        ),
        environments=(
            EnvironmentSettings.model_validate(
                {"id": "default", "price_per_minute": "0.5", "max_duration": MOST_SECONDS} | changes
            ),
        ),
        local={"data": LocalRootSettings(path=folder / "data", publishers=("*",))},
    )  # fmt: skip
    async with open_cove(settings, connect=lambda chain: lines[chain.id]) as cove:
        transport = httpx2.ASGITransport(app=create_app(cove), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://cove") as http:
            yield World(http, cove, pair, lines)
