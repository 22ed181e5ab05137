"""A house without a chain: a folder of assets, grants, and the whole service over them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from pydantic import SecretStr

from cove.access.grants import GrantDesk, Wish
from cove.client import Signer
from cove.client.market import AssetDraft, ServiceDraft, build_document
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account, checksum
from cove.metadata.folder import write_asset
from cove.settings import CatalogSettings, EnvironmentSettings, LocalRootSettings, Settings
from cove.web.app import create_app
from cove.wiring.assembly import open_cove
from cove.wiring.chains import Connect, connect_http
from cove.wiring.grants import open_grants
from cove.wiring.house import Cove

CHAIN = 0x436F7665
NO_DIGEST = "sha256:" + "0" * 64
OWNER, CONSUMER, STRANGER = (Signer(f"{number:064x}") for number in (11, 12, 13))
PROVIDER_KEY = f"{14:064x}"
VAULT = KeyVault(Account.from_hex(PROVIDER_KEY))
RAW = {
    "meta": {
        "rawcode": "import os\nopen(os.environ['OUTPUTS'] + '/n', 'w').write('7')\nprint('done')",
        "container": {"entrypoint": "python3 $ALGO", "image": "cove/host", "checksum": NO_DIGEST},
    }
}
NONCES = itertools.count(1_700_000_000_000)


def an_address() -> str:
    """Give an address that nobody has."""
    return checksum("0x" + secrets.token_hex(20))


async def encrypt(plain: bytes) -> str:
    return "0x" + VAULT.encrypt(plain).hex()


async def shelve(
    folder: Path, name: str, *, kind: str = "compute", owner: str = OWNER.address, chain_id: int = CHAIN, **changes: Any
) -> str:
    """Put an asset with one file of the root ``data`` into a catalogue, and give its DID."""
    compute = {"allowRawAlgorithm": True, "publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": []}
    files = [{"type": "local", "root": "data", "path": name}]
    service = ServiceDraft(kind, files, "http://cove", 60, compute=compute if kind == "compute" else None)
    draft = AssetDraft(f"File {name}", [service], **changes)
    document = await build_document(chain_id, an_address(), an_address(), draft, encrypt)
    await asyncio.to_thread(write_asset, folder, document, owner, 0)
    return str(document["id"])


async def shelve_algorithm(folder: Path, name: str) -> str:
    """Put an algorithm with one file into a catalogue, and give its DID."""
    container = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": NO_DIGEST}
    terms = {"language": "python", "version": "1", "container": container}
    return await shelve(folder, name, kind="access", type="algorithm", algorithm=terms)


def settings_of(folder: Path, **changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "state_dir": folder / "state",
        "key": SecretStr(PROVIDER_KEY),
        "catalog": CatalogSettings(folder=folder / "catalogue"),
        "environments": (EnvironmentSettings.model_validate({"id": "default", "price_per_minute": "0.5"}),),
        "local": {"data": LocalRootSettings(path=folder / "data", publishers=(OWNER.address,))},
        "limits": {"client": 0, "address": 0, "outside": 0, "failures": 0},
    }
    return Settings(**fields | changes)


@dataclass
class Home:
    """A service without a chain."""

    http: httpx2.AsyncClient
    cove: Cove
    desk: GrantDesk
    folder: Path
    dataset: str
    algorithm: str

    async def grant(self, did: str | None = None, **changes: Any) -> str:
        """Grant the consumer a run, and give the grant's id."""
        given: dict[str, Any] = {"consumer": CONSUMER.address, "service": None, "runs": 1}
        given |= {"valid_until": int(time.time()) + 600, "did": did or self.dataset} | changes
        record, _ = await self.desk.create(Wish(**given), OWNER)
        return record.id

    async def start(self, order: str, *, by: Signer = CONSUMER, **changes: Any) -> httpx2.Response:
        body: dict[str, Any] = {
            "consumerAddress": by.address,
            "nonce": str(next(NONCES)),
            "environment": "default",
            "dataset": {"documentId": self.dataset, "serviceId": "0", "transferTxId": order},
            "algorithm": RAW,
        }
        body |= changes
        did = (body.get("dataset") or {}).get("documentId") or ""
        body["signature"] = by.sign(f"{body['consumerAddress']}{body.get('jobId') or ''}{did}{body['nonce']}")
        return await self.http.post("/api/services/compute", json=body)

    async def done(self, job_id: str) -> dict[str, Any]:
        async with asyncio.timeout(120):
            while True:
                status = (await self.http.get("/api/services/compute", params={"jobId": job_id})).json()[0]
                if status["dateFinished"]:
                    return dict(status)
                await self.cove.jobs.wait_change(job_id, 1.0)


@contextlib.asynccontextmanager
async def opened(folder: Path, *, connect: Connect = connect_http, **changes: Any) -> AsyncIterator[Home]:
    """Open a service without a chain; ``changes`` are settings, which may have chains for contract wallets."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "table.csv").write_text("a\n1\n")
    (folder / "data" / "algorithm.py").write_text("import os\nopen(os.environ['OUTPUTS'] + '/n', 'w').write('8')\n")
    dataset = await shelve(folder / "catalogue", "table.csv")
    algorithm = await shelve_algorithm(folder / "catalogue", "algorithm.py")
    settings = settings_of(folder, **changes)
    async with open_cove(settings, connect=connect) as cove, open_grants(settings, connect) as desk:
        transport = httpx2.ASGITransport(app=create_app(cove), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://cove") as http:
            yield Home(http, cove, desk, folder, dataset, algorithm)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
