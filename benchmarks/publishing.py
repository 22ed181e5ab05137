"""``cove publish dataset``, as a process of its own: how long it takes beside what the chain takes.

    python benchmarks/publishing.py [--rounds 7] [--folder /tmp]

The chain stands behind a small proxy that counts the time of its answers. What is left is Cove's own: the start of the
program, the description, the journal, two signed transactions, and the provider's encryption of files and DDO. It is
printed as the processor time of the command, which says the same on a busy machine, and as what the clock says; and
then for a folder in place of a chain.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from _anvil import CHAIN_ID, Chain, chain
from _parts import cove

from cove.client.market import Wallet, deploy_ocean
from cove.ledgers.rpc import HttpRpc

GOAL_SECONDS = 1.0
DESCRIPTION = """name = "Dataset {number}"
description = "A table of a benchmark."
author = "Somebody"
license = "MIT"
provider = "{url}"

[[services]]
type = "compute"
files = [{{ type = "url", url = "https://example.org/1.csv" }}]
trusted_algorithms = ["*"]
"""


class Counted:
    """A proxy in front of a node, which counts the seconds that the node takes."""

    def __init__(self, url: str) -> None:
        self.upstream = url
        self.seconds = 0.0

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve, and give the URL."""
        counted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                began = time.perf_counter()
                asked = urllib.request.Request(counted.upstream, body, {"Content-Type": "application/json"})  # noqa: S310
                with urllib.request.urlopen(asked) as found:  # noqa: S310 - our own chain
                    answer = found.read()
                counted.seconds += time.perf_counter() - began
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, chain() as made:
        folder = Path(name)
        factory = asyncio.run(deploy(made))
        counted = Counted(made.url)
        with counted.serving() as rpc:
            settings = (
                f'key = "{secrets.token_hex(32)}"\n[catalog]\nfolder = "{folder}/catalogue"\n[[chains]]\n'
                f'id = {CHAIN_ID}\nrpc = "{rpc}"\nfactory = "{factory}"\n'
            )
            with cove(folder, settings) as serving:
                measure(folder, serving.url, made, counted, options.rounds)


async def deploy(made: Chain) -> str:
    async with HttpRpc(made.url, CHAIN_ID) as node:
        return (await deploy_ocean(Wallet(made.keys[0], node))).factory


def measure(folder: Path, url: str, made: Chain, counted: Counted, rounds: int) -> None:
    for name, arguments in (("on a chain", ()), ("in a folder", ("--local",))):
        walls, own, used = [], [], []
        for number in range(rounds + 1):
            file = folder / f"{name[:4].strip()}-{number}.toml"
            file.write_text(DESCRIPTION.format(number=number, url=url))
            counted.seconds = 0.0
            began = time.perf_counter()
            cpu = publish(folder, file, made.keys[0], arguments)
            wall = time.perf_counter() - began
            if number:  # the first one warms the caches
                walls.append(wall)
                own.append(wall - counted.seconds)
                used.append(cpu)
        chain_seconds = statistics.median(walls) - statistics.median(own)
        print(
            f"publishing {name:12} {statistics.median(used):6.2f} s of processor time (goal: under {GOAL_SECONDS:g}), "
            f"{statistics.median(own):.2f} s by the clock beside {chain_seconds:.2f} s of {made.name}"
        )


def publish(folder: Path, file: Path, key: str, arguments: tuple[str, ...]) -> float:
    """Publish, and give the processor time of the command, seconds."""
    program = str(Path(sys.executable).with_name("cove"))
    command = [program, "publish", "dataset", str(file), "--settings", str(folder / "cove.toml"), *arguments]
    variables = {"PATH": os.environ["PATH"], "COVE_ACCOUNT_KEY": key}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
