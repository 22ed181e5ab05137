"""Fetching a large file: Cove's url source, hashing in the same pass, beside ``curl -o`` which does not hash.

    python benchmarks/sources.py [--bytes 1073741824] [--rounds 5] [--folder /tmp]

nginx serves the file on loopback from a folder and port of its own (Debian: ``apt-get install nginx-light curl``). They
take turns, each round beginning with the other one, and the ratio is what counts: speeds of one machine say little of
another.

Each measured run follows one of the same kind that is not measured. A virtual machine gets its memory from its host
when a page is first touched, or touched again after it was given back, and that costs more than all the copying. The
kernel takes pages for large writes from other lists than pages for small ones, so whoever ran after the other paid
for cold pages: Cove 2.0 s after curl, and 0.8 s after Cove, for the same work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _parts import MEBIBYTE, need, nginx, write_file

from cove.core.files import LocalFile, UrlFile
from cove.sources.copying import copy_to
from cove.sources.guard import AddressGuard
from cove.sources.local import LocalRoot, LocalSource
from cove.sources.url import UrlSource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=1 << 30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    need("nginx", "curl")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_file(folder / "www" / "file", options.bytes)
        with nginx(folder) as port:
            measure(folder, port, options.bytes, options.rounds)
        (folder / "www" / "small").write_bytes(b"1")
        measure_local(folder / "www", options.bytes)


def measure(folder: Path, port: int, size: int, rounds: int) -> None:
    source = UrlSource(AddressGuard([f"127.0.0.1:{port}"]), max_bytes=size)
    target = folder / "target"
    runs: dict[str, Callable[[], None]] = {
        "curl -o": lambda: with_curl(port, target),
        "cove (with sha256)": lambda: with_cove(source, port, target, size),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):
        for name in sorted(runs, reverse=bool(round_number % 2)):
            for measured in (False, True):
                target.unlink(missing_ok=True)
                os.sync()  # nobody pays for what the one before left in memory for the disk
                began = time.perf_counter()
                runs[name]()
                taken = time.perf_counter() - began
                assert target.stat().st_size == size
                if measured and round_number:  # the first round warms nginx and the file
                    seconds[name].append(taken)
    for title, of in (("median", statistics.median), ("best", min)):
        value = {name: of(times) for name, times in seconds.items()}
        for name, taken in value.items():
            print(f"{name:20} {size / taken / MEBIBYTE:7.0f} MiB/s  ({title} of {rounds}, {taken:.2f} s)")
        print(
            f"cove / curl          {value['curl -o'] / value['cove (with sha256)']:7.2f}  ({title}; goal: at least 0.8)"
        )


def measure_local(root: Path, size: int, rounds: int = 500) -> None:
    """Time what a local input costs: finding and fingerprinting it, whatever its size."""
    source = LocalSource({"data": LocalRoot(root, frozenset({"*"}))})
    files = {"1 byte": LocalFile("data", "small"), f"{size / MEBIBYTE:g} MiB": LocalFile("data", "file")}
    medians: list[float] = []
    for name, file in files.items():
        seconds: list[float] = []
        for _ in range(rounds):
            began = time.perf_counter()
            assert source.path(file) is not None
            assert source.fingerprint(file) is not None
            seconds.append(time.perf_counter() - began)
        medians.append(statistics.median(seconds))
        print(f"local, {name:13} {medians[-1] * 1e6:7.1f} us")
    print(f"local, large / small {medians[1] / medians[0]:7.2f}  (goal: constant)")


def with_curl(port: int, target: Path) -> None:
    subprocess.run(["curl", "-sf", "--noproxy", "*", "-o", target, f"http://127.0.0.1:{port}/file"], check=True)


def with_cove(source: UrlSource, port: int, target: Path, size: int) -> None:
    reader = source.open(UrlFile(f"http://127.0.0.1:{port}/file"))
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        written, _ = copy_to(reader, descriptor, limit_bytes=None, stop=lambda: False)
        assert written == size
    finally:
        os.close(descriptor)
        reader.close()


if __name__ == "__main__":
    main()
