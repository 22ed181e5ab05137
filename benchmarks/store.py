"""What a million finished jobs cost: each question asked of a full and of an empty database, in turn.

python benchmarks/store.py [--jobs 1000000] [--folder DIR]

Prints the median of each question in both, and the ratio; ends with 1 where a ratio is above the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from cove.core.job import Job, JobId, Outcome, Phase, Resources, ResultFile, Verdict
from cove.ports import JobQuery
from cove.stores import SqlJobStore, SqlNonceStore
from cove.stores.codec import encode
from cove.stores.database import sqlite_url
from cove.stores.tables import jobs, order_uses, packages

JOBS_OF_AN_OWNER = 20
BATCH = 10_000
ROUNDS = 300
#: A million jobs may make a question so many times as slow as none.
LIMIT = 1.5
RESOURCES = Resources(1.0, 1 << 30, 1 << 30, 100_000, 128, 3600, 1 << 20)

Question = Callable[[SqlJobStore, SqlNonceStore], Awaitable[object]]


def a_job(number: int, **changes: Any) -> Job:  # noqa: ANN401 - any field of a job
    owner = number // JOBS_OF_AN_OWNER
    job = Job(
        id=JobId(f"{number * 0x9E3779B97F4A7C15 % (1 << 128):032x}"),
        owner=f"0x{owner * 0x9E3779B97F4A7C15 % (1 << 160):040x}",
        chain_id=8996,
        environment="default",
        agreement_id=f"0x{number:064x}",
        dataset_dids=(f"did:op:{number % 50:064x}",),
        algorithm_did=f"did:op:{number % 20:064x}",
        resources=RESOURCES,
        created_at=1_700_000_000.0 + number,
        expires_at=1_800_000_000.0,
        order_keys=(f"8996:0x{number:064x}:0x{1:040x}:0",),
    )
    return replace(job, **changes)


def a_finished_job(number: int) -> Job:
    digest = f"{number:064x}"
    return a_job(
        number,
        phase=Phase.DONE,
        version=8,
        outcome=Outcome.SUCCEEDED,
        exit_code=0,
        started_at=1_700_000_001.0 + number,
        finished_at=1_700_000_031.0 + number,
        input_digests=(("inputs/1/0", digest),),
        verdicts=(Verdict("result.csv", "output", 1000, digest, released=True),),
        results=(ResultFile("result.csv", 1000, "output", digest, f"{number:032x}/1/{number:032x}"),),
    )


def fill(connection: Connection, numbers: range) -> None:
    finished = [a_finished_job(number) for number in numbers]
    rows = [{**encode(job), "place": number} for number, job in zip(numbers, finished, strict=True)]
    connection.execute(insert(jobs), rows)
    connection.execute(insert(packages), [{"job_id": job.id, "sealed": b"s" * 600} for job in finished])
    uses = [{"job_id": job.id, "order_key": key, "active": False} for job in finished for key in job.order_keys]
    connection.execute(insert(order_uses), uses)


async def fill_all(store: SqlJobStore, count: int) -> None:
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        await store.database.write(lambda connection, numbers=numbers: fill(connection, numbers))
        print(f"\r{numbers.stop:>9} finished jobs", end="", flush=True)
    print()


async def add_live_jobs(store: SqlJobStore, first: int) -> None:
    """Put what both databases have: one owner's finished jobs, a queue, and jobs under way."""
    for number in range(first, first + JOBS_OF_AN_OWNER):
        await store.add(a_finished_job(number), b"s" * 600)
    for number in range(first + 100, first + 150):
        await store.add(a_job(number), b"s" * 600)
    for number in range(first + 200, first + 210):
        await store.add(a_job(number, phase=Phase.RUNNING), b"s" * 600)


def questions(first: int, fresh: Iterator[int]) -> dict[str, Question]:
    """Give what is asked; ``fresh`` gives numbers of jobs and nonces that were never used."""
    finished, waiting = a_finished_job(first), a_job(first + 120)

    async def accept_and_remove(store: SqlJobStore, _nonces: SqlNonceStore) -> None:
        await store.add(job := a_job(next(fresh)), b"s" * 600)
        await store.remove(job.id)

    async def write(store: SqlJobStore, _nonces: SqlNonceStore) -> None:
        job = await store.get(waiting.id)
        assert job is not None
        await store.save(job)

    return {
        "get by id": lambda store, _: store.get(finished.id),
        "find by id": lambda store, _: store.find(JobQuery(job_id=finished.id)),
        "find by owner (20 jobs)": lambda store, _: store.find(JobQuery(owner=finished.owner)),
        "find open by owner": lambda store, _: store.find(JobQuery(owner=waiting.owner, open_only=True)),
        "find by agreement": lambda store, _: store.find(JobQuery(agreement_id=finished.agreement_id)),
        "owner and dataset": lambda store, _: store.find(
            JobQuery(owner=finished.owner, document_id=finished.dataset_dids[0])
        ),
        "queued (10)": lambda store, _: store.queued("default", 10),
        "active (10)": lambda store, _: store.active(),
        "counts": lambda store, _: store.counts("default"),
        "position": lambda store, _: store.position(waiting),
        "durations (20)": lambda store, _: store.durations("default"),
        "known (100 ids)": lambda store, _: store.known([a_job(first + n).id for n in range(100)]),
        "save": write,
        "add and remove": accept_and_remove,
        "last nonce": lambda _, nonces: nonces.last(finished.owner),
        "use a nonce": lambda _, nonces: nonces.use(finished.owner, str(next(fresh))),
    }


async def compare(empty: SqlJobStore, full: SqlJobStore, first: int) -> bool:
    """Ask each question of both in turn, so that whatever else the machine does falls on both alike."""
    slower = False
    print(f"{'median, microseconds':<26}{'empty':>10}{'full':>10}{'ratio':>8}")
    for name, ask in questions(first, itertools.count(1 << 40)).items():
        times: dict[str, list[float]] = {"empty": [], "full": []}
        for turn in range(ROUNDS):
            for which, store in (("empty", empty), ("full", full)) if turn % 2 else (("full", full), ("empty", empty)):
                nonces = SqlNonceStore(store)
                began = time.perf_counter()
                await ask(store, nonces)
                times[which].append(time.perf_counter() - began)
        medians = {which: statistics.median(values) * 1e6 for which, values in times.items()}
        ratio = medians["full"] / medians["empty"]
        slower |= ratio > LIMIT
        print(f"{name:<26}{medians['empty']:>10.0f}{medians['full']:>10.0f}{ratio:>8.2f}")
    return slower


async def spread(store: SqlJobStore, count: int) -> None:
    """Ask for jobs from all over the file, whose pages are not all at hand."""
    times: list[float] = []
    for _ in range(2000):
        job_id = a_job(secrets.randbelow(count)).id
        began = time.perf_counter()
        assert await store.get(job_id) is not None
        times.append(time.perf_counter() - began)
    times.sort()
    print(f"get of any of {count} jobs: median {times[1000] * 1e6:.0f} us, 99 in 100 below {times[1980] * 1e6:.0f} us")


async def measure(folder: Path, count: int) -> bool:
    stores = [SqlJobStore(sqlite_url(folder / name / "cove.db")) for name in ("empty", "full")]
    for store in stores:
        await store.start()
    empty, full = stores
    began = time.perf_counter()
    await fill_all(full, count)
    size = (folder / "full" / "cove.db").stat().st_size
    print(f"filled in {time.perf_counter() - began:.0f} s, {size >> 20} MiB, {size // max(1, count)} bytes a job")
    for store in stores:
        await add_live_jobs(store, count)
    slower = await compare(empty, full, count)
    await spread(full, count)
    for store in stores:
        await store.close()
    return slower


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None, help="where the databases are made; some 3 GiB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="cove-store-") as folder:
        return 1 if asyncio.run(measure(Path(folder), options.jobs)) else 0


if __name__ == "__main__":
    sys.exit(main())
