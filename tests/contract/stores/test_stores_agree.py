"""The same random life of jobs gives the same answers in every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.stores.conftest import empty
from tests.support.jobs import ALICE, BOB, RESOURCES

from cove.core.errors import CoveError
from cove.core.job import Job, JobId, Phase
from cove.core.lifecycle import STORED_MOVES, restarted
from cove.ports import JobQuery, JobStore
from cove.stores import MemoryJobStore, SqlJobStore
from cove.stores.database import sqlite_url

JOBS = 4
ENVIRONMENTS = ("default", "other")

Operation = tuple[Any, ...]
numbers = st.integers(0, JOBS - 1)
times = st.integers(1, 50).map(float)
operations: st.SearchStrategy[Operation] = st.one_of(
    st.tuples(
        st.just("add"),
        numbers,
        st.sampled_from((ALICE, BOB)),
        st.sampled_from(ENVIRONMENTS),
        st.sets(st.sampled_from("abc")),
    ),
    st.tuples(st.just("move"), numbers, st.integers(0, 1), times),
    st.tuples(st.just("move"), numbers, st.integers(0, 1), times),
    st.tuples(st.just("finish"), numbers, times),
    st.tuples(st.just("finish"), numbers, times),
    st.tuples(st.just("wish"), numbers, st.booleans(), times),
    st.tuples(st.just("stale"), numbers),
    st.tuples(st.just("remove"), numbers),
)


def job_id(number: int) -> JobId:
    return JobId(f"{number:032x}")


async def apply(store: JobStore, operation: Operation) -> object:
    """Do one thing and give its answer, or the code of its refusal."""
    name, number, *rest = operation
    try:
        if name == "add":
            return await store.add(_new(number, *rest), b"%d" % number)
        if name == "remove":
            return await store.remove(job_id(number))
        job = await store.get(job_id(number))
        while name == "finish" and job is not None and job.phase is not Phase.DONE:
            # The second way of each phase leads through a run, and that of RUNNING back to a new one.
            job = await store.save(_changed(job, "move", int(job.phase is not Phase.RUNNING), *rest))
        if name == "finish":
            return job
        return None if job is None else await store.save(_changed(job, name, *rest))
    except CoveError as problem:
        return type(problem), problem.message


def _new(number: int, owner: str, environment: str, orders: set[str]) -> Job:
    return Job(
        id=job_id(number),
        owner=owner,
        chain_id=1,
        environment=environment,
        agreement_id=f"0x{min(orders, default='0')}",
        dataset_dids=(f"did:op:{len(orders)}",),
        algorithm_did="",
        resources=RESOURCES,
        created_at=float(number),
        expires_at=0.0,
        order_keys=tuple(orders),
    )


def _changed(job: Job, name: str, *rest: Any) -> Job:
    if name == "stale":
        return replace(job, version=job.version - 1)
    choice, now = rest
    if name == "wish":
        return replace(job, **{"stop_requested_at" if choice else "delete_requested_at": now})
    if job.phase is Phase.DONE:
        return restarted(job, now)
    ways = sorted(STORED_MOVES[job.phase])
    phase = ways[choice % len(ways)]
    if phase is Phase.DONE:
        return replace(job, phase=phase, finished_at=100.0 + now)
    return replace(job, phase=phase, started_at=now if phase is Phase.RUNNING else job.started_at)


async def look(store: JobStore) -> dict[str, object]:
    """Give everything that can be asked of a store."""
    jobs = [await store.get(job_id(number)) for number in range(JOBS)]
    present = [job for job in jobs if job is not None]
    queries = [JobQuery(), JobQuery(open_only=True), JobQuery(owner=ALICE, open_only=True), JobQuery(limit=2)]
    queries += [JobQuery(document_id="did:op:1"), JobQuery(agreement_id="0xa", owner=BOB), JobQuery(job_id=job_id(1))]
    seen: dict[str, object] = {"jobs": jobs, "active": sorted(job.id for job in await store.active())}
    seen["found"] = [list(await store.find(query)) for query in queries]
    seen["positions"] = [await store.position(job) for job in present]
    seen["known"] = await store.known(job_id(number) for number in range(JOBS))
    for environment in ENVIRONMENTS:
        line = await store.line(environment, 3)
        both = await store.line(environment, 3, free=True)
        assert replace(both, free_places=(), free_under_way=0) == line
        free = [place in both.free_places for place in both.places]
        seen[f"line of {environment}"] = (free, line.under_way, both.free_under_way, list(line.durations))
        seen[environment] = (
            list(await store.queued(environment, 3)),
            await store.counts(environment),
            list(await store.durations(environment, 3)),
        )
    return seen


async def live(store: JobStore, life: list[Operation]) -> list[object]:
    for number in range(JOBS):
        await store.remove(job_id(number))
    return [*[await apply(store, operation) for operation in life], await look(store)]


def agreeing(other: SqlJobStore) -> None:
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(st.lists(operations, min_size=1, max_size=25))
    def agree(life: list[Operation]) -> None:
        expected = asyncio.run(live(MemoryJobStore(), life))
        for step, (wanted, got) in enumerate(zip(expected, asyncio.run(live(other, life)), strict=True)):
            assert got == wanted, f"after {life[: step + 1]}"

    agree()


def test_sqlite_agrees_with_memory(tmp_path: Path) -> None:
    store = SqlJobStore(sqlite_url(tmp_path / "cove.db"))
    asyncio.run(store.start())
    agreeing(store)
    asyncio.run(store.close())


def test_postgresql_agrees_with_memory(request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgresql_url")
    empty(url)  # of what other suites left
    store = SqlJobStore(url.render_as_string(hide_password=False))
    asyncio.run(store.start())
    agreeing(store)
    asyncio.run(store.close())
