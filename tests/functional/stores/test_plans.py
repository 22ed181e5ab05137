"""Every question is answered through an index, so that a million finished jobs cost nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, Update
from tests.support.jobs import ALICE

from cove.core.job import JobId
from cove.ports import JobQuery
from cove.stores import SqlJobStore, lines, orderuses, sql, starts
from cove.stores.database import sqlite_url

ENVIRONMENT = {"environment": "default"}


def search(**parts: Any) -> tuple[Select[Any], dict[str, Any]]:
    query = JobQuery(**parts)
    searched = sql._searched(query)
    return sql._matching(tuple(searched), open_only=query.open_only), {**searched, "limit": 9}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlJobStore]:
    store = SqlJobStore(sqlite_url(tmp_path / "cove.db"))
    await store.start()
    yield store
    await store.close()


async def plan(store: SqlJobStore, statement: Select[Any] | Update, parameters: dict[str, Any]) -> str:
    compiled = statement.compile(dialect=store.database._engine.dialect).construct_expanded_state(parameters)
    values = tuple(compiled.parameters[name] for name in compiled.positiontup or ())
    return await store.database.read(
        lambda connection: "; ".join(
            str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled.statement}", values)
        )
    )


@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        (sql._BY_ID, {"key": "a"}, "sqlite_autoindex_jobs_1 (id=?)"),
        (sql._ACTIVE, {}, "jobs_active"),
        (sql._QUEUED, {**ENVIRONMENT, "limit": 9}, "jobs_open (environment=? AND phase=?)"),
        (sql._COUNTS, ENVIRONMENT, "COVERING INDEX jobs_open (environment=?)"),
        (
            sql._POSITION,
            {**ENVIRONMENT, "key": "a"},
            "COVERING INDEX jobs_open (environment=? AND phase=? AND place<?)",
        ),
        (lines.DURATIONS, {**ENVIRONMENT, "limit": 9}, "COVERING INDEX jobs_durations (environment=?)"),
        (*search(owner=ALICE), "jobs_owner (owner=?)"),
        (*search(owner=ALICE, document_id="d"), "jobs_owner (owner=?)"),
        (*search(owner=ALICE, open_only=True), "jobs_open_owner (owner=?)"),
        (*search(document_id="d"), "jobs_dataset (dataset=?)"),
        (*search(agreement_id="0x", owner=ALICE, document_id="d"), "jobs_agreement (agreement=?)"),
        (lines._PLACES, ENVIRONMENT, "COVERING INDEX jobs_open (environment=? AND phase=?)"),
        (lines._UNDER_WAY, ENVIRONMENT, "COVERING INDEX jobs_open (environment=? AND phase=?)"),
        (lines._FREE_PLACES, ENVIRONMENT, "INDEX jobs_open (environment=? AND phase=?)"),
        (lines._FREE_UNDER_WAY, ENVIRONMENT, "INDEX jobs_open (environment=? AND phase=?)"),
        (sql._OVERDUE, {"now": 1.0, "limit": 9}, "INDEX deadlines_time (wait_until<?)"),
        (sql._KNOWN, {"ids": [JobId("a"), JobId("b")]}, "sqlite_autoindex_jobs_1 (id=?)"),
        (orderuses.PAID_FOR, {"keys": ["a", "b"], "key": "c"}, "order_uses_key (order_key=?)"),
        (
            starts.COUNT,
            {"dataset": "d", "owner": ALICE, "since": 1.0},
            "COVERING INDEX starts_count (dataset=? AND owner=? AND started_at>?)",
        ),
        (
            starts.PRUNE.statement,
            {"dataset": "d", "owner": ALICE, "before": 1.0},
            "INDEX starts_count (dataset=? AND owner=? AND started_at<?)",
        ),
        (starts.FORGET.statement, {"key": "a"}, "sqlite_autoindex_starts_1 (job_id=?)"),
        (orderuses.FREE_ORDERS.statement, {"key": "a"}, "sqlite_autoindex_order_uses_1 (job_id=?)"),
    ],
)
async def test_an_index_answers(
    store: SqlJobStore, statement: Select[Any] | Update, parameters: dict[str, Any], index: str
) -> None:
    steps = await plan(store, statement, parameters)
    assert index in steps
    assert "TEMP B-TREE" not in steps


async def test_a_place_in_the_queue_is_found_without_looking_through_it(store: SqlJobStore) -> None:
    steps = await plan(store, sql._PLACES.statement, {**ENVIRONMENT, "owner": ALICE})
    assert "INDEX jobs_in_line (owner=? AND environment=?)" in steps
    assert "COVERING INDEX jobs_open (environment=? AND phase=?)" in steps
    assert "SCAN" not in steps.replace("SCAN CONSTANT ROW", "")
