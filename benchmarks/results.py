"""Sending a large result: computeResult of a running Cove, beside nginx sending the same file; both to ``curl``.

    python benchmarks/results.py [--bytes 1073741824] [--rounds 5] [--folder /tmp]

The job and its result are put into the state folder before Cove starts; each request is signed by the job's owner.
They take turns, and the ratio is what counts. The memory of the serving process is read before the first
answer, and its peak after the last.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import secrets
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

from _parts import MEBIBYTE, cove, finished_job, need, nginx, write_file

from cove.core.job import JobId, ResultFile
from cove.core.policy import OUTPUT, RawOutput, ReleaseLimits, release, review
from cove.core.releasepolicy import LeakRules, ReleasePolicy
from cove.crypto.keys import Account
from cove.results.disk import DiskResults
from cove.stores import SqlJobStore
from cove.stores.database import sqlite_url

GENEROUS = ReleaseLimits(1 << 40, 1 << 40, 1 << 20, 1 << 40)
UNCHECKED = ReleasePolicy(leaks=LeakRules(check=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=1 << 30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    need("nginx", "curl")
    owner = Account(secrets.token_bytes(32))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_file(folder / "www" / "file", options.bytes)
        job = asyncio.run(with_result(folder, owner.address))
        settings = f'key = "{secrets.token_hex(32)}"\nenvironments = []'
        with nginx(folder) as port, cove(folder, settings) as served:
            urls: dict[str, Callable[[], str]] = {
                "nginx": lambda: f"http://127.0.0.1:{port}/file",
                "cove": lambda: signed(served.url, owner, job),
            }
            fetch(urls["cove"](), 1)  # what is made once, is made before memory is read
            before = served.resident_bytes()
            served.forget_peak()
            measure(urls, options.bytes, options.rounds)
            grown = served.resident_bytes(peak=True) - before
            print(f"memory of cove, peak {grown / MEBIBYTE:+7.1f} MiB  (goal: under 50)")


def measure(urls: dict[str, Callable[[], str]], size: int, rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in urls}
    for number in range(rounds + 1):
        for name in sorted(urls, reverse=bool(number % 2)):
            url = urls[name]()
            began = time.perf_counter()
            fetch(url, size)
            if number:  # the first round warms the caches
                seconds[name].append(time.perf_counter() - began)
    for title, of in (("median", statistics.median), ("best", min)):
        value = {name: of(times) for name, times in seconds.items()}
        for name, taken in value.items():
            print(f"{name:20} {size / taken / MEBIBYTE:7.0f} MiB/s  ({title} of {rounds}, {taken:.2f} s)")
        print(f"cove / nginx         {value['nginx'] / value['cove']:7.2f}  ({title}; goal: at least 0.8)")


def fetch(url: str, size: int) -> None:
    """Have curl take a file, or its first bytes, and throw it away."""
    command = ["curl", "-sf", "--noproxy", "*", "-o", "/dev/null", "-w", "%{size_download}", "-r", f"0-{size - 1}", url]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    assert int(answer.stdout) == size


def signed(base: str, owner: Account, job: JobId) -> str:
    nonce = str(time.time_ns())
    asked = {
        "jobId": job,
        "index": "0",
        "consumerAddress": owner.address,
        "nonce": nonce,
        "signature": owner.sign_text(f"{owner.address}{job}0{nonce}"),
    }
    return f"{base}/api/services/computeResult?{urlencode(asked)}"


async def with_result(folder: Path, owner: str) -> JobId:
    """Store a finished job that has the file as its one result."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    copy = folder / "copy"
    shutil.copyfile(folder / "www" / "file", copy)
    with copy.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = copy.stat().st_size
    raw = RawOutput("file.bin", OUTPUT, size, digest)
    output = release(raw, review([raw], GENEROUS, UNCHECKED, None))
    assert output is not None
    job = finished_job(owner)
    key = DiskResults(state / "results").put(job.id, 1, output, lambda: copy)
    store = SqlJobStore(sqlite_url(state / "cove.db"))
    await store.start()
    await store.add(replace(job, results=(ResultFile("file.bin", size, OUTPUT, digest, key),)), b"package")
    await store.close()
    return job.id


if __name__ == "__main__":
    main()
