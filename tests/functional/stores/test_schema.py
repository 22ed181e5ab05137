"""The migrations, in SQLite and in PostgreSQL."""

# ruff: noqa: ASYNC220, ASYNC221 - nothing else waits for a test's own event loop

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, create_engine, inspect, table, text, update
from sqlalchemy.engine import URL
from tests.support import postgresql
from tests.support.jobs import a_job

from cove.core.errors import SettingsWrong
from cove.stores import SqlJobStore
from cove.stores.database import sqlite_url
from cove.stores.schema import MIGRATIONS, VERSION_TABLE, revision
from cove.stores.tables import REVISIONS, metadata


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    with postgresql.server() as on:
        yield on


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "cove.db")
        return
    with postgresql.database(request.getfixturevalue("server")) as made:
        yield made.render_as_string(hide_password=False)


async def start(url: str) -> None:
    store = SqlJobStore(url)
    try:
        await store.start()
    finally:
        await store.close()


def shape(connection: Connection) -> list[str]:
    """Give the definition of every table and index, as the database itself words it."""
    if connection.dialect.name == "sqlite":
        question = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
        rows = [" ".join(sql.split()) for sql in connection.execute(text(question)).scalars()]
    else:
        columns = (
            "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, collation_name,"
            " identity_generation, character_maximum_length)"
            " FROM information_schema.columns WHERE table_schema = 'public'"
        )
        indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
        rows = [str(row) for question in (columns, indexes) for row in connection.execute(text(question)).scalars()]
    return sorted(row for row in rows if VERSION_TABLE not in row)


async def test_the_migrations_make_the_tables_that_the_program_knows(url: str) -> None:
    await start(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        assert revision(connection) == REVISIONS[-1]
        known = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(known, metadata) == []
        migrated = shape(connection)
        for name in inspect(connection).get_table_names():
            connection.execute(text(f"DROP TABLE {name}"))
        metadata.create_all(connection)
        assert shape(connection) == migrated
        # Five tables and nine indexes of our own, at the least.
        assert len(migrated) >= 14
    engine.dispose()


def test_every_revision_is_known_by_name() -> None:
    found = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
    assert list(reversed(found)) == list(REVISIONS)


async def test_a_database_of_a_newer_program_is_refused(url: str) -> None:
    await start(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(update(table(VERSION_TABLE, column("version_num"))).values(version_num="9999"))
    engine.dispose()
    with pytest.raises(SettingsWrong, match=r"is newer than this program .* revision 9999"):
        await start(url)


async def test_services_that_start_at_once_migrate_once(url: str) -> None:
    script = """
import asyncio, sys
from cove.stores import SqlJobStore
from tests.support.jobs import a_job
async def main():
    store = SqlJobStore(sys.argv[1])
    await store.start()
    await store.add(a_job(), b"")
    await store.close()
sys.stdin.readline()
asyncio.run(main())
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script, url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [process.communicate("go\n", timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    store = SqlJobStore(url)
    await store.start()
    assert await store.counts("default") == (3, 0)
    await store.close()


async def test_a_usual_start_does_not_load_alembic(url: str) -> None:
    await start(url)
    script = """
import asyncio, sys
from cove.stores import SqlJobStore
async def main():
    store = SqlJobStore(sys.argv[1])
    await store.start()
    await store.close()
asyncio.run(main())
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, url], check=True, timeout=120)


async def test_a_database_without_tables_of_cove_is_left_alone_but_for_them(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('of another program')"))
    await start(url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "of another program"
    engine.dispose()


async def test_a_path_may_hold_any_sign(tmp_path: Path) -> None:
    file = tmp_path / "50% of #1? and & = more" / "cove.db"
    store = SqlJobStore(sqlite_url(file))
    await store.start()
    await store.add(job := a_job(), b"")
    assert await store.get(job.id) == job
    await store.close()
    assert file.is_file()
