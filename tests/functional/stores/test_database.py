"""A SQLite database when things go wrong: real files, real locks, a really full disk."""

# ruff: noqa: ASYNC220, ASYNC221, ASYNC240 - nothing else waits for a test's own event loop

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.jobs import a_job

from cove.core.errors import CoveError, NoSpace, SettingsWrong, Unavailable
from cove.core.job import JobId
from cove.ports import JobQuery
from cove.stores import SqlJobStore, SqlNonceStore
from cove.stores.database import sqlite_url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "cove.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqlJobStore]:
    store = SqlJobStore(sqlite_url(file), busy_seconds=0.2)
    await store.start()
    yield store
    await store.close()


async def start_error(url: str) -> CoveError:
    store = SqlJobStore(url, busy_seconds=0.2)
    try:
        with pytest.raises(CoveError) as caught:
            await store.start()
    finally:
        await store.close()
    return caught.value


async def test_nobody_else_may_read_the_files(store: SqlJobStore, file: Path) -> None:
    await store.add(a_job(), b"")
    modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    assert modes == {"cove.db": 0o600, "cove.db-wal": 0o600, "cove.db-shm": 0o600}
    assert file.parent.stat().st_mode & 0o777 == 0o700


async def test_a_file_that_others_could_read_is_closed_to_them(file: Path) -> None:
    file.parent.mkdir()
    file.touch(mode=0o644)
    file.chmod(0o644)
    store = SqlJobStore(sqlite_url(file))
    await store.start()
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    findings = await store.examine()
    assert [finding.advice for finding in findings if not finding.ok and finding.part == "database"] == [
        f"chmod 600 {file}"
    ]
    await store.close()


async def test_a_service_that_comes_back_finds_everything(file: Path) -> None:
    job = a_job()
    for _ in range(2):
        store = SqlJobStore(sqlite_url(file))
        await store.start()
        await store.start()
        if await store.get(job.id) is None:
            await store.add(job, b"sealed")
        else:
            assert await store.package(job.id) == b"sealed"
            assert list(await store.queued("default", 9)) == [job]
        await store.close()


async def test_an_accepted_job_outlives_a_killed_service(file: Path) -> None:
    script = """
import asyncio, os, signal, sys
from cove.stores import SqlJobStore
from tests.support.jobs import a_job
async def main():
    store = SqlJobStore(sys.argv[1])
    await store.start()
    for number in range(5):
        await store.add(a_job(id=f"{number:032x}"), b"sealed")
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script, sqlite_url(file)], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    store = SqlJobStore(sqlite_url(file))
    await store.start()
    assert len(await store.find(JobQuery())) == 5
    assert await store.package(JobId(f"{4:032x}")) == b"sealed"
    await store.close()


async def test_a_full_disk_is_told_and_nothing_half_is_kept(store: SqlJobStore, file: Path) -> None:
    await store.add(first := a_job(), b"")
    job = a_job()

    def leave_no_room(connection: object) -> None:
        # SQLite then answers as it does when the disk is full: SQLITE_FULL in the middle of a write.
        connection.exec_driver_sql("PRAGMA max_page_count = 40")  # type: ignore[attr-defined]

    await store.database.write(leave_no_room)
    with pytest.raises(NoSpace, match=str(file)) as caught:
        await store.add(job, os.urandom(1 << 20))
    assert caught.value.hint
    assert await store.get(job.id) is None
    assert list(await store.queued("default", 9)) == [first]
    together = [store.add(job, os.urandom(1 << 20)), store.add(a_job(), b""), store.save(replace(first, version=9))]
    answers = await asyncio.gather(*together, return_exceptions=True)
    assert any(isinstance(answer, NoSpace) for answer in answers)
    assert await store.get(job.id) is None
    await store.add(a_job(), b"")


async def test_a_lock_that_is_held_too_long_is_told(store: SqlJobStore, file: Path) -> None:
    await store.add(job := a_job(), b"")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked") as caught:
            await store.add(a_job(), b"")
        assert caught.value.part == "database"
        assert await store.get(job.id) == job
        assert list(await store.find(JobQuery(owner=job.owner))) == [job]
        findings = await store.examine()
        assert [finding.ok for finding in findings] == [False]
        other.execute("ROLLBACK")
    await store.add(a_job(), b"")


async def test_the_event_loop_goes_on_while_a_write_waits(store: SqlJobStore, file: Path) -> None:
    await store.add(job := a_job(), b"")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        write = asyncio.create_task(store.add(a_job(), b""))
        reads = 0
        while not write.done():
            assert await store.get(job.id) == job
            reads += 1
            await asyncio.sleep(0)
        assert isinstance(write.exception(), Unavailable)
        assert reads > 50


async def test_what_is_no_database_is_told(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"Dear diary, this is no database at all. " * 200)
    problem = await start_error(sqlite_url(file))
    assert isinstance(problem, SettingsWrong)
    assert str(file) in problem.message
    assert "backup" in (problem.hint or "")
    assert file.read_bytes().startswith(b"Dear diary")


async def test_a_damaged_database_is_told(file: Path) -> None:
    store = SqlJobStore(sqlite_url(file))
    await store.start()
    for _ in range(50):
        await store.add(a_job(), b"x" * 3000)
    await store.close()
    size = file.stat().st_size
    with file.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xff" * (size - 8192))
    problem = await start_error(sqlite_url(file))
    assert isinstance(problem, SettingsWrong)
    assert f"{file} is damaged" in problem.message


async def test_damage_that_comes_later_is_told_and_ends_nothing(store: SqlJobStore, file: Path) -> None:
    jobs = [a_job() for _ in range(20)]
    for job in jobs:
        await store.add(job, b"x" * 3000)
    with store.database._engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    await store.database.write(lambda connection: connection.exec_driver_sql("UPDATE jobs SET document = '{'").rowcount)
    with pytest.raises(Unavailable, match=jobs[0].id):
        await store.get(jobs[0].id)


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problem = await start_error(sqlite_url(tmp_path / "file" / "cove.db"))
    assert isinstance(problem, SettingsWrong)
    assert "cove.db cannot be opened" in problem.message


async def test_a_folder_in_the_files_place_is_told(file: Path) -> None:
    file.mkdir(parents=True)
    problem = await start_error(sqlite_url(file))
    assert isinstance(problem, SettingsWrong)
    assert str(file) in problem.message


# Root may write everywhere, unless it gives that right away.
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []


@pytest.mark.skipif(bool(AS_ANYBODY) and shutil.which("setpriv") is None, reason="root needs setpriv (util-linux)")
@pytest.mark.parametrize("read_only", ["file", "folder"])
async def test_what_cannot_be_written_is_told(file: Path, read_only: str) -> None:
    store = SqlJobStore(sqlite_url(file))
    await store.start()
    await store.close()
    script = """
import asyncio, sys
from cove.core.errors import SettingsWrong
from cove.stores import SqlJobStore
async def main():
    store = SqlJobStore(sys.argv[1])
    try:
        await store.start()
    except SettingsWrong as problem:
        print(problem.message)
    await store.close()
asyncio.run(main())
"""
    place, mode = (file, 0o400) if read_only == "file" else (file.parent, 0o500)
    place.chmod(mode)
    try:
        command = [*AS_ANYBODY, sys.executable, "-c", script, sqlite_url(file)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    finally:
        place.chmod(0o700)
    assert done.stdout == f"The database {file} cannot be opened or written.\n", done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hunter2",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u:hunter2@h/d",
        "postgresql+pg8000://u:hunter2@h/d",
        "postgresql://u:hunter2@h:notaport/d",
    ],
)
def test_a_url_that_makes_no_sense_is_told_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingsWrong, match="database_url") as caught:
        SqlJobStore(url)
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}"


async def test_a_server_that_does_not_answer_is_unknown_and_its_password_stays_unsaid(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="pip install 'cove[postgresql]'")
    problem = await start_error(f"postgresql://u:hunter2@/d?host={tmp_path}")
    assert isinstance(problem, Unavailable)
    assert "does not answer" in problem.message
    assert "hunter2" not in f"{problem.message}{problem.hint}{problem.__cause__}"


async def test_no_error_quotes_what_is_stored(store: SqlJobStore) -> None:
    await store.database.write(lambda connection: connection.exec_driver_sql("DROP TABLE packages").rowcount)
    with pytest.raises(Unavailable) as caught:
        await store.add(a_job(reason="a-secret"), b"a-secret")
    assert "a-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_two_processes_never_take_the_same_nonce(store: SqlJobStore, file: Path) -> None:
    script = """
import asyncio, sys
from cove.stores import SqlJobStore, SqlNonceStore
async def main():
    store = SqlJobStore(sys.argv[1])
    await store.start()
    nonces = SqlNonceStore(store)
    print("ready", flush=True)
    sys.stdin.readline()
    taken = []
    for start in range(0, 200, 8):
        asked = [str(number) for number in range(start, start + 8)]
        answers = await asyncio.gather(*(nonces.use("0xA", nonce) for nonce in asked))
        taken += [nonce for nonce, answer in zip(asked, answers) if answer]
    print(" ".join(taken))
    await store.close()
asyncio.run(main())
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, sqlite_url(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    taken = [[int(nonce) for nonce in output.split()] for output in outputs]
    assert not set(taken[0]) & set(taken[1])
    assert all(one == sorted(one) for one in taken)
    assert await SqlNonceStore(store).last("0xa") == "199"
    assert max(taken[0] + taken[1]) == 199


def test_a_read_that_meets_the_closing_harms_nobody(file: Path) -> None:
    words = [sys.executable, "-m", "tests.functional.stores.closing_process", sqlite_url(file)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
