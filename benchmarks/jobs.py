"""One trivial job on an idle service, from POST to status 70 with its results listed, beside the bare sandbox.

    python benchmarks/jobs.py [--rounds 30] [--folder /tmp]

Cove serves in a process of its own, as its users have it; the chain (with Ocean's contracts and a paid order) answers
from this one. A job and a bare run take turns. Also printed: the idle service's memory, and how soon ``/health``
answers.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import secrets
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _anvil import served
from _bare import ALGORITHM, TABLE, Bare
from _parts import MEBIBYTE, Serving, cove

from cove.client import Signer
from cove.client.market import (
    AssetDraft,
    Published,
    ServiceDraft,
    Wallet,
    deploy_ocean,
    order,
    provider_encrypt,
    publish,
)
from cove.client.ordering import mint
from cove.ledgers.devchain import DevChain

GOAL_SECONDS, GOAL_RATIO = 0.3, 6.0
GOAL_MEBIBYTES, GOAL_HEALTH_SECONDS = 150, 2.0
PATH = "/api/services/compute"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        chain = DevChain()
        addresses = asyncio.run(deploy_ocean(Wallet(chain.accounts[0].private_key, chain)))
        with served(chain) as rpc, cove(folder, settings_of(folder, chain, rpc, addresses.factory)) as serving:
            site = Site(serving, chain, addresses.factory)
            site.prepare()
            print(
                f"first answer of /health   {serving.seconds_to_health:7.2f} s    (goal: under {GOAL_HEALTH_SECONDS:g})"
            )
            measure(site, Bare(folder), options.rounds)
            idle = serving.resident_bytes() / MEBIBYTE
            print(f"idle service              {idle:7.0f} MiB  (goal: under {GOAL_MEBIBYTES})")


def measure(site: Site, bare: Bare, rounds: int) -> None:
    seconds: dict[str, list[float]] = {"cove": [], "bare": []}
    for number in range(rounds + 1):
        for name in sorted(seconds, reverse=bool(number % 2)):
            taken = site.run() if name == "cove" else bare.run()
            if number:  # the first round warms the caches
                seconds[name].append(taken)
    bare.clean()
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"bare sandbox, median      {median['bare'] * 1000:7.1f} ms")
    print(f"cove, POST to 70, median  {median['cove'] * 1000:7.1f} ms   (goal: under {GOAL_SECONDS * 1000:.0f})")
    print(f"cove / bare               {median['cove'] / median['bare']:7.2f}      (goal: under {GOAL_RATIO:g})")


@dataclass
class Site:
    """The service, a dataset on it, and a consumer with a paid order."""

    serving: Serving
    chain: DevChain
    factory: str
    dataset: Published = field(init=False)
    order_tx: str = field(init=False)

    def prepare(self) -> None:
        """Publish a table that lies beside the service, and order it."""
        self._http = http.client.HTTPConnection(urlsplit(self.serving.url).netloc, timeout=60)
        self._signer = Signer(self.chain.accounts[2].private_key)
        asyncio.run(self._prepare())

    def run(self) -> float:
        """Start one job, and give the seconds until its results are listed."""
        nonce = str(time.time_ns())
        owner, did = self._signer.address, self.dataset.did
        body = {
            "consumerAddress": owner,
            "nonce": nonce,
            "signature": self._signer.sign(f"{owner}{did}{nonce}"),
            "environment": "default",
            "dataset": {"documentId": did, "serviceId": "0", "transferTxId": self.order_tx},
            "algorithm": algorithm(did),
        }
        began = time.perf_counter()
        (job,) = self._ask("POST", PATH, body)
        while job["status"] != 70:
            (job,) = self._ask("GET", f"{PATH}?jobId={job['jobId']}")
        taken = time.perf_counter() - began
        assert job["outcome"] == "succeeded", job
        assert [entry["filename"] for entry in job["results"]][-3:-1] == ["sum.json", "outputs.tar"]
        return taken

    async def _prepare(self) -> None:
        publisher, consumer = (Wallet(self.chain.accounts[number].private_key, self.chain) for number in (0, 2))
        compute = {
            "allowRawAlgorithm": True,
            "publisherTrustedAlgorithms": [],
            "publisherTrustedAlgorithmPublishers": [],
        }
        files = [{"type": "local", "root": "data", "path": "table"}]
        draft = AssetDraft("A table", [ServiceDraft("compute", files, self.serving.url, 0, compute=compute)])
        encrypt = provider_encrypt(self.serving.url, self.chain.chain_id)
        self.dataset = await publish(publisher, self.factory, draft, encrypt)
        asked = {
            "datasets": [{"documentId": self.dataset.did, "serviceId": "0"}],
            "algorithm": algorithm(self.dataset.did),
            "compute": {"env": "default", "validUntil": int(time.time()) + 3000},
            "consumerAddress": consumer.address,
        }
        quote = self._ask("POST", "/api/services/initializeCompute", asked)
        await mint(publisher, self.dataset.datatoken, consumer.address)
        self.order_tx = await order(consumer, self.dataset.datatoken, quote["datasets"][0]["providerFee"])

    def _ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        content = None if body is None else json.dumps(body)
        self._http.request(method, path, content, {"Content-Type": "application/json"})
        answer = self._http.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)


def algorithm(did: str) -> dict[str, object]:
    code = ALGORITHM.replace("/data/inputs/table", f"/data/inputs/{did.removeprefix('did:op:')}/0")
    container = {"entrypoint": "python3 $ALGO", "image": "cove/host", "checksum": "sha256:" + "0" * 64}
    return {"meta": {"rawcode": code, "container": container}}


def settings_of(folder: Path, chain: DevChain, rpc: str, factory: str) -> str:
    (folder / "data").mkdir()
    (folder / "data" / "table").write_text(TABLE)
    return f"""
key = "{secrets.token_hex(32)}"
[[chains]]
id = {chain.chain_id}
rpc = "{rpc}"
factory = "{factory}"
[[environments]]
id = "default"
[local.data]
path = "{folder}/data"
publishers = ["{chain.accounts[0].address}"]
"""


if __name__ == "__main__":
    main()
