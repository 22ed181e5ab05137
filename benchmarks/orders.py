"""``POST compute`` with two orders on a chain: CPU time of the service, and what 200 of them at once do to others.

    python benchmarks/orders.py [--rounds 5] [--starts 30] [--burst 200] [--folder /tmp]

Cove serves in a process of its own, as its users have it, over anvil. Each start names a dataset and a published
algorithm, with an order of its own for each, that the service has not seen before. All jobs but one wait in the queue,
and that one sleeps. CPU time is what the kernel counts for the service's process, so that it says the same on a busy
machine; the time of a status while a burst of starts runs does not. Also printed: encrypt and decrypt of 100 KB.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _anvil import CHAIN_ID, Chain, chain
from _parts import Serving, cove

from cove.client import Signer
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

GOAL_START, GOAL_STATUS, GOAL_BOX = 5.0, 50.0, 5.0
"""Milliseconds."""
PATH = "/api/services/compute"
CONTAINER = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": "sha256:" + "0" * 64}
DOCUMENT_BYTES = 100_000
_TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=30, help="in each round")
    parser.add_argument("--burst", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--send", type=int, help="(its own) send the requests of standard input to this port at once")
    options = parser.parse_args()
    if options.send is not None:
        asyncio.run(send_all(options.send, json.load(sys.stdin)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name, chain() as made:
        folder = Path(name)
        folder.chmod(0o755)
        addresses = asyncio.run(deploy(made))
        with cove(folder, settings_of(folder, made, addresses)) as serving:
            site = Site(serving, made, addresses.factory)
            site.prepare(pairs=2 + options.rounds * options.starts + 2 * options.burst)
            try:
                starts(site, options.rounds, options.starts, made.name)
                for _ in range(2):
                    burst(site, options.burst)
                boxes(site, options.rounds)
            finally:
                site.end()


def starts(site: Site, rounds: int, count: int, name: str) -> None:
    for _ in range(2):  # warms the caches
        site.ask("POST", PATH, site.start())
    taken = []
    for _ in range(rounds):
        bodies = [site.start() for _ in range(count)]
        before, began = site.cpu(), time.perf_counter()
        for body in bodies:
            site.ask("POST", PATH, body)
        taken.append((site.cpu() - before, time.perf_counter() - began))
    cpu = [1000 * spent / count for spent, _ in taken]
    wall = statistics.median(1000 * seconds / count for _, seconds in taken)
    print(f"a start with two new orders, over {name}")
    print(f"  CPU of the service, median  {statistics.median(cpu):7.2f} ms   (goal: under {GOAL_START:g})", end="")
    print(f"  {min(cpu):.2f} to {max(cpu):.2f} in {rounds} rounds of {count}")
    print(f"  answer, median              {wall:7.2f} ms   (with what the chain takes)")


def burst(site: Site, count: int) -> None:
    """Send many starts at once from another process, and see how long a status takes meanwhile."""
    known = site.jobs[0]
    waiting = [site.raw(site.start()) for _ in range(count)]
    before = site.cpu()
    process = subprocess.Popen(
        [sys.executable, __file__, "--send", str(site.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    json.dump(waiting, process.stdin)
    process.stdin.close()
    assert process.stdout.readline() == "connected\n"
    ended = threading.Event()
    times: list[float] = []
    lines = [threading.Thread(target=statuses, args=(site, known, ended, times)) for _ in range(2)]
    for line in lines:
        line.start()
    seconds = float(process.stdout.readline())
    ended.set()
    for line in lines:
        line.join()
    assert process.wait(10) == 0
    worst = sorted(times)[int(len(times) * 0.99)]
    cpu = 1000 * (site.cpu() - before) / count
    print(f"a status while {count} starts run at once, in {seconds:.2f} s with {cpu:.1f} ms of CPU for each")
    print(f"  99 of 100 within            {1000 * worst:7.1f} ms   (goal: under {GOAL_STATUS:g})", end="")
    print(f"  median {1000 * statistics.median(times):.1f}, most {1000 * max(times):.1f}, {len(times)} requests")


def statuses(site: Site, job: str, ended: threading.Event, times: list[float]) -> None:
    line = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    while not ended.is_set():
        began = time.perf_counter()
        line.request("GET", f"{PATH}?jobId={job}")
        answer = line.getresponse()
        answer.read()
        times.append(time.perf_counter() - began)
        assert answer.status == 200
    line.close()


def boxes(site: Site, rounds: int) -> None:
    padding = secrets.token_hex((DOCUMENT_BYTES - len(site.dataset.document)) // 2)
    document = json.dumps({**site.dataset.ddo, "padding": padding}, separators=(",", ":")).encode()
    seconds: dict[str, list[float]] = {"encrypt": [], "decrypt": []}
    count = 20
    for _ in range(rounds):
        before = site.cpu()
        for _ in range(count):
            sealed = site.encrypt(document)
        seconds["encrypt"].append((site.cpu() - before) / count)
        bodies = [site.decrypt(sealed, document) for _ in range(count)]
        before = site.cpu()
        for body in bodies:
            assert site.ask("POST", "/api/services/decrypt", body, 201) == document.decode()
        seconds["decrypt"].append((site.cpu() - before) / count)
    for name, values in seconds.items():
        print(f"{name} of 100 KB, CPU         {1000 * statistics.median(values):7.2f} ms   (goal: under {GOAL_BOX:g})")


@dataclass
class Site:
    """The service, a dataset and an algorithm on it, and a consumer with a purse of orders."""

    serving: Serving
    chain: Chain
    factory: str
    jobs: list[str] = field(default_factory=list)
    #: One job of each way to start one, for who compares them.
    known: dict[str, str] = field(default_factory=dict)
    dataset: Published = field(init=False)
    algorithm: Published = field(init=False)
    orders: list[tuple[str, str]] = field(default_factory=list)

    def prepare(self, pairs: int) -> None:
        """Publish, and order both assets as often as jobs are to start."""
        self.port = int(urlsplit(self.serving.url).port or 0)
        self._http = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._asked_at = time.monotonic()
        self.signer = Signer(self.chain.keys[2])
        asyncio.run(self._prepare(pairs))

    def cpu(self) -> float:
        """Give the seconds of CPU that the service has used, without those of its jobs."""
        fields = Path(f"/proc/{self.serving.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def start(self) -> dict[str, object]:
        """Give the body of a start, with orders that no other start has."""
        one, two = self.orders.pop()
        owner, did, nonce = self.signer.address, self.dataset.did, str(time.time_ns())
        return {
            "consumerAddress": owner,
            "nonce": nonce,
            "signature": self.signer.sign(f"{owner}{did}{nonce}"),
            "environment": "default",
            "dataset": {"documentId": did, "serviceId": "0", "transferTxId": one},
            "algorithm": {"documentId": self.algorithm.did, "serviceId": "0", "transferTxId": two},
        }

    def raw(self, body: dict[str, object]) -> str:
        """Give a start as the bytes of a request, as text."""
        content = json.dumps(body)
        head = f"POST {PATH} HTTP/1.1\r\nHost: cove\r\nContent-Type: application/json\r\nConnection: close\r\n"
        return f"{head}Content-Length: {len(content)}\r\n\r\n{content}"

    def encrypt(self, document: bytes) -> str:
        """Have a document sealed."""
        return str(self._exchange(
            "POST", f"/api/services/encrypt?chainId={CHAIN_ID}", document, "application/octet-stream", 201,
        ))  # fmt: skip

    def decrypt(self, sealed: str, document: bytes) -> dict[str, object]:
        """Give the body of a decrypt request."""
        reader, nft, nonce = self.signer.address, self.dataset.nft, str(time.time_ns())
        return {
            "decrypterAddress": reader, "chainId": CHAIN_ID, "dataNftAddress": nft, "encryptedDocument": sealed,
            "flags": 2, "documentHash": "0x" + hashlib.sha256(document).hexdigest(), "nonce": nonce,
            "signature": self.signer.sign(f"{nft}{reader}{CHAIN_ID}{nonce}"),
        }  # fmt: skip

    def end(self) -> None:
        """Have all jobs deleted, so that none goes on after the service."""
        owner, did, nonce = self.signer.address, self.dataset.did, str(time.time_ns())
        signature = self.signer.sign(f"{owner}{did}{nonce}")
        self.ask("DELETE", PATH, {"consumerAddress": owner, "documentId": did, "nonce": nonce, "signature": signature})
        deadline = time.monotonic() + 30
        while self.jobs and self.ask("GET", f"{PATH}?jobId={self.jobs[0]}") and time.monotonic() < deadline:
            time.sleep(0.1)

    def ask(self, method: str, path: str, body: object = None, status: int = 200) -> Any:  # noqa: ANN401 - JSON
        """Send JSON, and give the answer, parsed where it is JSON."""
        content = None if body is None else json.dumps(body).encode()
        text = self._exchange(method, path, content, "application/json", status)
        if path.startswith("/api/services/decrypt"):
            return text
        found = json.loads(text)
        if method == "POST" and path == PATH:
            self.jobs.append(found[0]["jobId"])
        return found

    def _exchange(self, method: str, path: str, content: bytes | None, kind: str, status: int) -> str:
        if time.monotonic() - self._asked_at > 2:  # the service closes what is idle
            self._http.close()
        self._asked_at = time.monotonic()
        self._http.request(method, path, content, {"Content-Type": kind})
        answer = self._http.getresponse()
        text = answer.read().decode()
        assert answer.status == status, text[:500]
        return text

    async def _prepare(self, pairs: int) -> None:
        encrypt = provider_encrypt(self.serving.url, CHAIN_ID)
        async with HttpRpc(self.chain.url, CHAIN_ID) as node:
            publisher, consumer = (Wallet(self.chain.keys[number], node) for number in (0, 2))
            compute = {
                "allowRawAlgorithm": False,
                "publisherTrustedAlgorithms": [],
                "publisherTrustedAlgorithmPublishers": [],
            }
            table = ServiceDraft("compute", _file("table"), self.serving.url, 0, compute=compute)
            code = ServiceDraft("access", _file("sleep.py"), self.serving.url, 0)
            language = {"language": "python", "version": "1", "container": CONTAINER}
            drafts = (
                AssetDraft("A table", [table]),
                AssetDraft("Sleeper", [code], type="algorithm", algorithm=language),
            )
            self.dataset, self.algorithm = [await publish(publisher, self.factory, draft, encrypt) for draft in drafts]
            quote = self.ask("POST", "/api/services/initializeCompute", {
                "datasets": [{"documentId": self.dataset.did, "serviceId": "0"}],
                "algorithm": {"documentId": self.algorithm.did, "serviceId": "0"},
                "compute": {"env": "default", "validUntil": int(time.time()) + 3000},
                "consumerAddress": consumer.address,
            })  # fmt: skip
            for asset in (self.dataset, self.algorithm):
                await mint(publisher, asset.datatoken, consumer.address, pairs * 10**18)
            fees = [quote["datasets"][0]["providerFee"], quote["algorithm"]["providerFee"]]
            for _ in range(pairs):
                one = await order(consumer, self.dataset.datatoken, fees[0])
                self.orders.append((one, await order(consumer, self.algorithm.datatoken, fees[1])))


async def send_all(port: int, requests: list[str]) -> None:
    """Open a connection for each request, say so, send all of them, and print the seconds until the last answer."""
    lines = []
    for _ in requests:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines.append((reader, writer))
    print("connected", flush=True)
    began = time.perf_counter()
    for (_, writer), request in zip(lines, requests, strict=True):
        writer.write(request.encode())
    answers = await asyncio.gather(*(reader.read() for reader, _ in lines))
    print(time.perf_counter() - began, flush=True)
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 200"), answer[:800]


async def deploy(made: Chain) -> OceanAddresses:
    async with HttpRpc(made.url, CHAIN_ID) as node:
        owner = Wallet(made.keys[0], node)
        addresses = await deploy_ocean(owner)
        await transfer(owner, addresses.fee_token, Wallet(made.keys[2], node).address, 10**6 * 10**18)
        return addresses


def settings_of(folder: Path, made: Chain, addresses: OceanAddresses) -> str:
    (folder / "data").mkdir()
    (folder / "data" / "table").write_text("a\n1\n")
    (folder / "data" / "sleep.py").write_text("import time\ntime.sleep(600)\n")
    return f"""
key = "{made.keys[3]}"
[[chains]]
id = {CHAIN_ID}
rpc = "{made.url}"
factory = "{addresses.factory}"
fee_token = "{addresses.fee_token}"
[[environments]]
id = "default"
max_jobs = 1
price_per_minute = "0.1"
[local.data]
path = "{folder}/data"
publishers = ["*"]
"""


def _file(name: str) -> list[dict[str, str]]:
    return [{"type": "local", "root": "data", "path": name}]


if __name__ == "__main__":
    main()
