"""A PostgreSQL for tests: the one that COVE_TEST_POSTGRESQL names, or one started from this machine's binaries."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

HOW_TO_GET_IT = "apt-get install postgresql, or set COVE_TEST_POSTGRESQL=postgresql://user:password@host/database"


@contextlib.contextmanager
def server() -> Iterator[URL]:
    """Give the URL of a database whose user may create others."""
    pytest.importorskip("psycopg", reason="pip install 'cove[postgresql]'")
    given = os.environ.get("COVE_TEST_POSTGRESQL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not binaries or not (binaries[-1] / "initdb").exists():
        pytest.skip(f"there is no PostgreSQL here: {HOW_TO_GET_IT}")
    # A socket's path has a hundred bytes at most, so this is no folder below pytest's own.
    folder = Path(tempfile.mkdtemp(prefix="cove-pg-", dir="/tmp"))
    try:
        with _running(binaries[-1], folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def database(on: URL) -> Iterator[URL]:
    """Make an empty database and drop it at the end."""
    name = f"cove_test_{secrets.token_hex(6)}"
    engine = create_engine(on, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield on.set(database=name)
        finally:
            with engine.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


@contextlib.contextmanager
def _running(binaries: Path, folder: Path) -> Iterator[URL]:
    prefix = _as_other_user(folder)
    subprocess.run(
        [*prefix, binaries / "initdb", "-D", folder / "data", "-U", "cove", "-A", "trust", "-E", "UTF8", "--no-locale"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
    # All of it in the folder, so that a killed test run leaves nothing elsewhere.
    options += ["-c", "dynamic_shared_memory_type=mmap"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*prefix, binaries / "postgres", "-D", folder / "data", "-k", folder, *options],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        url = URL.create("postgresql+psycopg", username="cove", database="postgres", query={"host": str(folder)})
        _wait_for(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)


def _as_other_user(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root; its own user, or else nobody, takes the part."""
    if os.geteuid() != 0:
        return []
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _wait_for(url: URL, process: subprocess.Popen[bytes]) -> None:
    engine = create_engine(url)
    deadline = time.monotonic() + 120
    try:
        while True:
            try:
                engine.connect().close()
            except OperationalError:
                assert process.poll() is None, "PostgreSQL ended at once"
                assert time.monotonic() < deadline, "PostgreSQL did not come up"
                time.sleep(0.05)
            else:
                return
    finally:
        engine.dispose()
