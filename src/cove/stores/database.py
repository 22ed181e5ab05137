"""The way to a database: opens it, hands out transactions, and says in Cove's own errors what went wrong.

SQLite has one writer thread, so that no two writes of this process fight for its lock and the event loop never waits
for a disk. Every transaction that writes starts with BEGIN IMMEDIATE: the driver's own habit of starting to write in
the middle of a transaction loses updates. PostgreSQL has a thread for each of its connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, Select, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from cove.core.errors import CoveError, SettingsWrong
from cove.ports import Finding
from cove.stores import failures, health, schema
from cove.stores.batches import Batches
from cove.stores.prepared import driver

T = TypeVar("T")

PointRead = Callable[[str], Awaitable[Sequence[Any] | None]]
"""Gives the row of a key; None when there is none."""

_DRIVERS: Final = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_WRITES: Final = "cove_writes"
_BEGUN: Final = "cove_begun"
_PAUSE_SECONDS: Final = 0.02
_URL_HINT: Final = (
    "Leave it empty for a SQLite file in the state folder, or write postgresql://user:password@host/name."
)


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """Where the database is."""

    #: SQLAlchemy URL of a SQLite file or of PostgreSQL. It may hold a password, so it is never printed.
    url: str = field(repr=False)
    #: Seconds to wait for a lock before ``Unavailable``.
    busy_seconds: float = 10.0
    #: Connections at one time; SQLite has one of them for writing.
    connections: int = 4


def sqlite_url(path: Path) -> str:
    """Give the URL of a SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


class Database:
    """One database, shared by the stores that keep something in it."""

    def __init__(self, config: DatabaseConfig) -> None:
        self._config = config
        url = _checked_url(config.url)
        #: The SQLite file; None for PostgreSQL.
        self.file = Path(url.database or "").absolute() if url.drivername == "sqlite" else None
        #: How error texts call it.
        self.name = f"database {self.file}" if self.file else f"PostgreSQL database at {url.host or 'the local socket'}"
        self._engine = _engine(url, config, self.file)
        self._writing = self._engine.execution_options(**{_WRITES: True})
        self._readers = ThreadPoolExecutor(max(1, config.connections - 1), thread_name_prefix="cove-read")
        self._writers = ThreadPoolExecutor(1, thread_name_prefix="cove-write") if self.file else self._readers
        self._batches = Batches(self._write_transaction, self._meaning)
        self._writer: Connection | None = None
        self._inline = threading.local()
        self._inline_connections: list[sqlite3.Connection] = []
        #: Held for each read, and to close: SQLite ends the whole process where a connection is closed that executes.
        self._inline_lock = threading.Lock()
        self._closed = False
        self._started = False

    async def start(self) -> None:
        """Open the database, and make or renew its tables where that is needed. May be repeated.

        Raises:
            SettingsWrong: It cannot be used as it is: newer than this program, damaged, or not writable.
            Unavailable: It does not answer, or is locked too long.
            NoSpace: The disk is full.
        """
        if not self._started:
            await asyncio.get_running_loop().run_in_executor(self._writers, self._open)
            self._started = True

    async def close(self) -> None:
        """Let what is under way end, and let go of connections."""
        await asyncio.to_thread(self._close)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do work in one writing transaction: all of it, or nothing when it raises.

        Raises:
            Unavailable: The database did not answer, or was locked too long.
            NoSpace: The disk is full.
        """
        if self.file is None:
            return await asyncio.get_running_loop().run_in_executor(
                self._writers, self._transaction, self._writing, work
            )
        future = self._batches.add(work)
        self._writers.submit(self._batches.commit)
        return await asyncio.wrap_future(future)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do work that only reads, in one transaction.

        Raises:
            Unavailable: The database did not answer.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._transaction, self._engine, work)

    def point_read(self, statement: Select[Any], parameter: str) -> PointRead:
        """Prepare a read of one row by its key; the question is put into words once.

        Args:
            statement: A select with one bound parameter.
            parameter: The parameter's name.
        """

        async def in_thread(key: str) -> Sequence[Any] | None:
            return await self.read(lambda connection: connection.execute(statement, {parameter: key}).one_or_none())

        if self.file is None:
            return in_thread
        text = str(statement.compile(dialect=self._engine.dialect))

        async def inline(key: str) -> Sequence[Any] | None:
            try:
                return self._read_inline(text, key)
            except sqlite3.Error:
                # A moment in which even a reader must wait, or real trouble: the thread waits, or says what it is.
                return await in_thread(key)

        return inline

    async def examine(self) -> Sequence[Finding]:
        """Look at the database; what cannot be had is a finding, not an error."""
        try:
            seen = await self.write(lambda connection: health.look(connection, self.file))
        except CoveError as problem:
            return [Finding("database", ok=False, seen=problem.message, advice=problem.hint or "")]
        return seen if self.file is None else [*seen, health.room(self.file)]

    def _read_inline(self, text: str, key: str) -> Sequence[Any] | None:
        """Read one row of SQLite in the calling thread.

        A row by its key comes out of the page cache in some ten microseconds, where handing the question to a thread
        and back costs several times that. It never waits: readers of a WAL are not held up by a writer.
        """
        with self._inline_lock:
            if self._closed:
                raise sqlite3.ProgrammingError
            connection: sqlite3.Connection | None = getattr(self._inline, "connection", None)
            if connection is None:
                connection = sqlite3.connect(str(self.file), timeout=0.0, isolation_level=None, check_same_thread=False)
                connection.execute("PRAGMA query_only = ON")
                self._inline.connection = connection
                self._inline_connections.append(connection)
            row: Sequence[Any] | None = connection.execute(text, (key,)).fetchone()
            return row

    @contextlib.contextmanager
    def _write_transaction(self) -> Iterator[Connection]:
        """Give SQLite's writer thread its one connection, in a transaction that the driver itself begins and ends.

        Taking a connection from the pool for each small write costs as much as the write.
        """
        if self._writer is None:
            self._writer = self._writing.execution_options(**{_BEGUN: True}).connect()
        connection = self._writer
        execute = driver(connection).execute
        try:
            execute("BEGIN IMMEDIATE")
            yield connection
            execute("COMMIT")
        except BaseException:
            if driver(connection).in_transaction:
                execute("ROLLBACK")
            raise
        finally:
            connection.rollback()  # SQLAlchemy's own idea of a transaction, if it had one

    def _transaction(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        with self._meaning(), engine.begin() as connection:
            return work(connection)

    def _open(self) -> None:
        with self._meaning(starting=True):
            if self.file is not None:
                _prepare_file(self.file)
                self._use_write_ahead_log()
            schema.bring_up_to_date(self._writing, self.name)

    def _close(self) -> None:
        self._writers.shutdown(wait=True)
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._readers.shutdown(wait=True)
        with self._inline_lock:
            self._closed = True
            while self._inline_connections:
                self._inline_connections.pop().close()
        self._engine.dispose()

    def _use_write_ahead_log(self) -> None:
        """Turn the write-ahead log on; SQLite does not wait for locks here, so this does."""
        deadline = time.monotonic() + self._config.busy_seconds
        while True:
            try:
                with contextlib.closing(self._engine.raw_connection()) as connection:
                    connection.cursor().execute("PRAGMA journal_mode = WAL")
            except (sqlite3.OperationalError, DBAPIError) as problem:
                cause = problem.orig if isinstance(problem, DBAPIError) else problem
                if not failures.is_busy(cause) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    @contextlib.contextmanager
    def _meaning(self, *, starting: bool = False) -> Iterator[None]:
        # Not "from problem": a driver's text may quote values, and some values are nobody's business.
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as problem:
            raise failures.meaning(problem.orig, self.name, starting=starting) from None
        except sqlite3.Error as problem:
            raise failures.meaning(problem, self.name, starting=starting) from None
        except SQLAlchemyError as problem:
            raise failures.meaning(problem, self.name, starting=starting) from None
        except OSError as problem:
            raise failures.meaning(problem, self.name, starting=starting) from None


def _checked_url(given: str) -> URL:
    """Parse a database's URL; no text of an error quotes it, since it may hold a password."""
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise SettingsWrong("The setting database_url is not a URL of a database.", hint=_URL_HINT) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise SettingsWrong(f"The setting database_url names {url.drivername}, which is unknown.", hint=_URL_HINT)
    if driver == "sqlite" and url.database in {None, "", ":memory:"}:
        raise SettingsWrong("The setting database_url names no file.", hint=_URL_HINT)
    return url.set(drivername=driver)


def _engine(url: URL, config: DatabaseConfig, file: Path | None) -> Engine:
    shared: dict[str, Any] = {"hide_parameters": True, "pool_size": config.connections, "max_overflow": 0}
    if file is not None:
        # isolation_level None: the driver begins nothing by itself, see the module's docstring.
        arguments: dict[str, Any] = {
            "timeout": config.busy_seconds,
            "isolation_level": None,
            "check_same_thread": False,
        }
        engine = create_engine(url.set(database=str(file)), connect_args=arguments, **shared)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    wait = int(config.busy_seconds * 1000)
    options = (
        f"-c lock_timeout={wait} -c statement_timeout={6 * wait} -c idle_in_transaction_session_timeout={6 * wait}"
    )
    arguments = {"connect_timeout": 5, "application_name": "cove", "options": options}
    try:
        return create_engine(url, connect_args=arguments, pool_pre_ping=True, **shared)
    except (ImportError, NoSuchModuleError):
        raise SettingsWrong(
            "The setting database_url names PostgreSQL, and its driver is not installed.",
            hint="pip install 'cove[postgresql]'",
        ) from None


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # FULL: an accepted job and a used nonce outlive a power cut too. Measured on an ordinary virtual disk: 0.65 ms for
    # each write instead of 0.01 ms with NORMAL, which is safe against a killed process alone.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA trusted_schema = OFF")
    # Gives the disk back what a long reader made the log grow to.
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(_BEGUN, False):
        return
    writes = options.get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_file(file: Path) -> None:
    """Make the file for its owner's eyes only; SQLite gives its log and index the same mode."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if file.stat().st_mode & 0o077:
        file.chmod(0o600)
