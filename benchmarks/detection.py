"""What the leak check finds, what it holds by mistake, and what it costs.

    python benchmarks/detection.py [--rows 10000 200000] [--large 1000000] [--leaked 1000] [--folder /tmp]

Five generated tables (patients, sensors, payments, customers, a survey) are indexed. So many of their rows are then
carried out in every form of ``tests.support.leaking.FORMS``; and everything of ``INNOCENT`` is looked at. Measured are

- the share of rows that is found, per form, over all tables;
- innocent outputs that would be held;
- the making of an index of the large table: rows a second, and the memory of its process, beside pyarrow reading it;
- the size of an index;
- a second job on the same data, and on data whose index is on disk, by the real Inspector with its processes;
- 10 MB of outputs.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.support import leaking, schemas
from tests.support.leakcheck import HASHING, PLAIN, index_of, scanner_of

from cove.core.releasepolicy import CountRules
from cove.leaks import open_inspector
from cove.leaks.index import Index, dumped
from cove.leaks.indexing import Indexer
from cove.ports import IndexedInput, InspectedFile, InspectionRequest

ROWS_A_SECOND = 100_000
MEMORY_MIB = 300
SECOND_JOB_MS = 50.0
TEN_MEGABYTES_MS = 1000.0
REPEATS = 7

UNSEEN: dict[str, Callable[[schemas.Table], bytes]] = {
    "1% noise, no id": lambda table: leaking.as_csv(
        {
            name: column * np.random.default_rng(1).normal(1, 0.01, len(column)) if column.dtype.kind == "f" else column
            for name, column in table.items()
        }
    ),
    "scaled": lambda table: leaking.as_csv(
        {name: (column - column.mean()) / column.std() for name, column in table.items() if column.dtype.kind == "f"}
    ),
    "whole numbers, no id": lambda table: leaking.as_csv(
        {name: np.rint(column) for name, column in table.items() if column.dtype.kind == "f"}
    ),
    "columns of few values": lambda table: leaking.as_csv(leaking.columns(table, *leaking.categories(table)[:3])),
    "pixels": lambda table: leaking.as_png(b"", leaking.as_csv(table)),
    "xor with a key": lambda table: bytes(byte ^ 0x5A for byte in leaking.as_csv(table)),
    "texts as ordinals": lambda table: leaking.as_csv(table).decode().translate(
        {code: chr(code + 0x100) for code in range(33, 127)}
    ).encode(),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--leaked", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--build", type=Path, default=None, help="index one file, and print what it took")
    options = parser.parse_args()
    if options.build:
        print(json.dumps(built(options.build)))
        return 0
    failed = detection(options.rows, options.leaked)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="cove-leaks-") as folder:
        failed |= costs(Path(folder), options.large)
    return int(failed)


def detection(sizes: list[int], leaked: int) -> bool:
    """Print recall per form, and what is held by mistake."""
    recall: dict[str, list[float]] = {}
    unseen: dict[str, list[float]] = {}
    held: list[str] = []
    for name, make in schemas.SCHEMAS.items():
        for rows in sizes:
            table = make(rows, 1)
            index = index_of(leaking.as_csv(table))
            chosen = leaking.part(table, np.random.default_rng(2).choice(rows, leaked, replace=False))
            for form, write in leaking.FORMS.items():
                recall.setdefault(form, []).append(found(index, [write(chosen)]) / leaked)
            pieces = [leaking.part(chosen, slice(at, at + leaked // 100)) for at in range(0, leaked, leaked // 100)]
            recall.setdefault("split over 100 files", []).append(found(index, map(leaking.as_csv, pieces)) / leaked)
            names = ["-".join(map(str, row)) for row in leaking.rows_of(leaking.part(chosen, slice(0, 50)))]
            recall.setdefault("50 file names", []).append(found(index, [b"x"] * 50, names) / 50)
            head = leaking.as_frame(leaking.part(chosen, slice(0, 5)))
            recall.setdefault("head of a printed frame", []).append(found(index, [b"loaded\n" + head]) / 5)
            for form, write in UNSEEN.items():
                unseen.setdefault(form, []).append(found(index, [write(chosen)]) / leaked)
            for form, innocent in leaking.INNOCENT.items():
                if found(index, [innocent(table, make)]):
                    held.append(f"{form} ({name}, {rows} rows)")
            print(f"{name}, {rows} rows: {len(dumped(index)) / rows:.0f} bytes of index a row", flush=True)
    print(f"\n{'form':<28}{'least':>8}{'mean':>8}")
    for form, shares in recall.items():
        print(f"{form:<28}{min(shares):>8.1%}{statistics.mean(shares):>8.1%}")
    print("\nnot seen, as documented")
    for form, shares in unseen.items():
        print(f"{form:<28}{min(shares):>8.1%}{statistics.mean(shares):>8.1%}")
    print(f"\ninnocent: {len(leaking.INNOCENT)} forms, {len(held)} held {held or ''}")
    return bool(held) or any(min(shares) < (0.99 if form in PARTIAL else 1.0) for form, shares in recall.items())


PARTIAL = frozenset({
    "3 columns", "npy", "npz", "pickled array", "pickled columns", "safetensors", "model with raw rows", "raw doubles",
})  # fmt: skip
"""Forms that may carry three columns alone, as the numbers of customers are: a row of which two cells are equal tells
too little then to be told from chance. Of these, 99 in 100 rows have to be found."""


def found(index: Index, contents: object, names: list[str] | None = None) -> int:
    """Count the distinct rows that are found in some outputs together."""
    scanner = scanner_of(index, PLAIN)
    for place, content in enumerate(contents):  # type: ignore[call-overload]
        scanner.file(names[place] if names else f"{place}.out", "output", "", content)
    return sum(rows for _, rows in scanner.comparison.total())


def built(place: Path) -> dict[str, float]:
    """Index one file in this process."""
    began, cpu = time.perf_counter(), time.process_time()
    indexer = Indexer(HASHING, frozenset(), place.stat().st_size)
    with place.open("rb") as file:
        indexer.file(file)
    index = indexer.finish()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    status = Path("/proc/self/status").read_text()
    memory = int(status.split("VmHWM:")[1].split()[0]) / 1024  # getrusage would give the parent's, from before exec
    return {"rows": index.rows, "seconds": seconds, "cpu": cpu, "mib": memory, "bytes": len(dumped(index))}


def costs(folder: Path, rows: int) -> bool:
    """Print what indexes and inspections cost."""
    table = schemas.people(rows)
    place = folder / "large.csv"
    place.write_bytes(leaking.as_csv(table))
    done = subprocess.run(
        [sys.executable, __file__, "--build", str(place)], check=True, capture_output=True, text=True,
        env={"PYTHONPATH": str(Path(__file__).parent.parent), "ARROW_DEFAULT_MEMORY_POOL": "system"},
    )  # fmt: skip
    took = json.loads(done.stdout)
    speed = took["rows"] / took["cpu"]
    print(f"\nindex of {rows} rows, {place.stat().st_size >> 20} MiB: {speed:,.0f} rows a second of processor time "
          f"({took['seconds']:.1f} s), {took['mib']:.0f} MiB, {took['bytes'] / 1e6:.0f} MB")  # fmt: skip
    times = asyncio.run(second_jobs(folder, place, table))
    print(f"{'':<48}{'wall':>8}{'processor':>12}")
    for name, (wall, processor) in times.items():
        print(f"{name:<48}{wall:>5.0f} ms{processor:>9.0f} ms")
    # Of large outputs the processor time is judged: a busy machine says little of the wall time of a second.
    slow = times["a second job, index in memory"][0] > SECOND_JOB_MS
    slow |= max(processor for name, (_, processor) in times.items() if name.startswith("10 MB")) > TEN_MEGABYTES_MS
    return slow or speed < ROWS_A_SECOND or took["mib"] > MEMORY_MIB


async def second_jobs(folder: Path, place: Path, table: schemas.Table) -> dict[str, tuple[float, float]]:
    """Measure whole inspections: median of some."""
    inspector = open_inspector(folder / "cache", bytes(range(32)))
    wanted = IndexedInput("did:op:1", place, "large")

    def output(name: str, content: bytes) -> InspectedFile:
        written = folder / name
        written.write_bytes(content)
        return InspectedFile(name, "output", written, len(content), hashlib.sha256(content).hexdigest())

    async def measured(*files: InspectedFile, cold: bool = False) -> tuple[float, float]:
        times, processor = [], []
        for _ in range(REPEATS):
            if cold:
                await asyncio.to_thread(inspector._shelf.cool)  # noqa: SLF001 - as after an idle time
            began = time.perf_counter()
            answer = await inspector.inspect(InspectionRequest(files, (wanted,), PLAIN, CountRules()))
            times.append(time.perf_counter() - began)
            processor.append(inspector.cpu_seconds)
            assert not answer.failure, answer.failure
        return statistics.median(times) * 1000.0, statistics.median(processor) * 1000.0

    trivial = output("log", b"accuracy 0.87\n")
    small = output("small.csv", leaking.as_csv(schemas.people(1000, 5)))
    others = output("others.csv", leaking.as_csv(schemas.people(125_000, 6))[: 10 << 20])
    lines = leaking.log_of()
    log = output("train.log", lines * ((10 << 20) // len(lines)))
    half = leaking.part(table, slice(0, 1000))
    mixed = output("mixed.csv", leaking.as_csv(half) + others.place.read_bytes()[: 9 << 20])
    began = time.perf_counter()
    await measured(trivial)
    found = {"the first job, with its index (once)": ((time.perf_counter() - began) * 1000.0, 0.0)}
    found["a second job, index in memory"] = await measured(trivial)
    found["a second job, index on disk"] = await measured(trivial, cold=True)
    found["1,000 rows of others' data"] = await measured(small)
    found["10 MB of outputs, others' rows"] = await measured(others)
    found["10 MB of outputs, a log"] = await measured(log)
    found["10 MB of outputs, 1,000 leaked rows among them"] = await measured(mixed)
    await inspector.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
