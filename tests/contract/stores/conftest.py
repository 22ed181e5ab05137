"""Every job store and nonce store, for the suites of their Protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from tests.support import postgresql

from cove.ports import GrantStore, JobStore, NonceStore, TokenStore
from cove.stores import (
    MemoryGrantStore,
    MemoryJobStore,
    MemoryNonceStore,
    MemoryTokenStore,
    SqlGrantStore,
    SqlJobStore,
    SqlNonceStore,
    SqlTokenStore,
)
from cove.stores.database import sqlite_url
from cove.stores.tables import metadata

NOW = 1_000.0
"""The time of the token stores."""


@dataclass(frozen=True)
class Stores:
    """One backend's stores, started."""

    jobs: JobStore
    nonces: NonceStore
    tokens: TokenStore
    grants: GrantStore


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[URL]:
    with postgresql.server() as on, postgresql.database(on) as url:
        yield url


def empty(url: URL) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        present = (
            connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        )
        wanted = ", ".join(table for table in metadata.tables if table in present)
        if wanted:
            connection.execute(text(f"TRUNCATE {wanted} RESTART IDENTITY"))
    engine.dispose()


def make_job_store(name: str, request: pytest.FixtureRequest, *, order_pays_again: bool = True) -> JobStore:
    if name == "memory":
        return MemoryJobStore(order_pays_again=order_pays_again)
    if name == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return SqlJobStore(sqlite_url(folder / "cove.db"), order_pays_again=order_pays_again)
    url: URL = request.getfixturevalue("postgresql_url")
    empty(url)
    return SqlJobStore(url.render_as_string(hide_password=False), order_pays_again=order_pays_again)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    jobs = make_job_store(request.param, request)
    await jobs.start()
    if isinstance(jobs, SqlJobStore):
        yield Stores(jobs, SqlNonceStore(jobs), SqlTokenStore(jobs, lambda: NOW), SqlGrantStore(jobs))
    else:
        assert isinstance(jobs, MemoryJobStore)
        yield Stores(jobs, MemoryNonceStore(), MemoryTokenStore(), MemoryGrantStore(jobs))
    await jobs.close()


@pytest.fixture
def store(stores: Stores) -> JobStore:
    return stores.jobs


@pytest.fixture
def nonces(stores: Stores) -> NonceStore:
    return stores.nonces


@pytest.fixture
def tokens(stores: Stores) -> TokenStore:
    return stores.tokens


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def strict_store(request: pytest.FixtureRequest) -> AsyncIterator[JobStore]:
    """One whose orders pay for one job only."""
    jobs = make_job_store(request.param, request, order_pays_again=False)
    await jobs.start()
    yield jobs
    await jobs.close()
