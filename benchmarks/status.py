"""Unsigned status by jobId, beside an empty FastAPI route; and the CPU time of checking a signature.

    python benchmarks/status.py [--rounds 5] [--seconds 3] [--folder /tmp]

Both are served by uvicorn in one process each, set up alike, and take turns under ``wrk``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from _parts import cove, find, finished_job, free_port, need, wait_for
from fastapi import FastAPI

from cove.core import messages
from cove.core.messages import parse_nonce
from cove.crypto.keys import Account, verify_text
from cove.stores import SqlJobStore
from cove.stores.database import sqlite_url

GOAL_RATIO = 0.4
GOAL_MILLISECONDS = 0.5
CONNECTIONS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--empty", type=int, help="(its own) serve the empty route on this port")
    options = parser.parse_args()
    if options.empty is not None:
        serve_empty(options.empty)
        return
    need("wrk")
    signature_check()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        job = asyncio.run(stored(folder))
        settings = f'key = "{secrets.token_hex(32)}"\nenvironments = []'
        with empty_route() as port, cove(folder, settings) as served:
            urls = {
                "empty route": f"http://127.0.0.1:{port}/",
                "status": f"{served.url}/api/services/compute?jobId={job}",
            }
            measure(urls, options.rounds, options.seconds)


def measure(urls: dict[str, str], rounds: int, seconds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in urls}
    for number in range(rounds + 1):
        for name in sorted(urls, reverse=bool(number % 2)):
            rate = requests_per_second(urls[name], seconds if number else 1)
            if number:  # the first round warms the caches
                rates[name].append(rate)
    for name, values in rates.items():
        print(f"{name:20} {statistics.median(values):8.0f} requests/s")
    ratios = [status / empty for status, empty in zip(rates["status"], rates["empty route"], strict=True)]
    print(f"status / empty route {statistics.median(ratios):8.2f}  (goal: at least {GOAL_RATIO})")


def requests_per_second(url: str, seconds: int) -> float:
    command = [str(find("wrk")), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "Non-2xx" not in printed, printed
    found = re.search(r"Requests/sec:\s+([0-9.]+)", printed)
    assert found is not None, printed
    return float(found[1])


def signature_check(rounds: int = 2000) -> None:
    account, job = Account(secrets.token_bytes(32)), secrets.token_hex(16)
    nonce = str(time.time_ns())
    signature = account.sign_text(messages.stop_compute(account.address, job, "", nonce))
    began = time.process_time()
    for _ in range(rounds):
        text = messages.stop_compute(account.address, job, "", parse_nonce(nonce))
        assert verify_text(text, signature, account.address)
    taken = (time.process_time() - began) / rounds * 1000
    print(f"checking a signature {taken:8.3f} ms of CPU  (goal: under {GOAL_MILLISECONDS})")


async def stored(folder: Path) -> str:
    state = folder / "state"
    state.mkdir(mode=0o700)
    store = SqlJobStore(sqlite_url(state / "cove.db"))
    await store.start()
    job = finished_job("0x" + "1" * 40)
    await store.add(job, b"package")
    await store.close()
    return job.id


@contextlib.contextmanager
def empty_route() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "--empty", str(port)])
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def serve_empty(port: int) -> None:
    app = FastAPI()

    @app.get("/")
    async def nothing() -> dict[str, str]:
        return {}

    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", ws="none", lifespan="off",
        access_log=False, log_level="error", server_header=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
