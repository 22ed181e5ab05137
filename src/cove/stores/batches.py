"""Writes that wait for the disk together: one commit, and one flush, for all that came in meanwhile.

SQLite has one writer, and a commit that outlives a power cut costs it a flush of the disk, which is most of a small
write. Each write is still all or nothing by itself, by a savepoint; the answer comes after the common commit.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from cove.stores.prepared import driver

T = TypeVar("T")

Work = Callable[[Connection], Any]
Begin = Callable[[], contextlib.AbstractContextManager[Connection]]
Meaning = Callable[[], contextlib.AbstractContextManager[None]]

MOST_AT_ONCE: Final = 100
"""Writes in one commit: a bound on what is undone together when the disk refuses it."""


class Batches:
    """Collects writes from any thread; one thread, the writer, calls :meth:`commit`.

    Args:
        begin: Opens a transaction that is committed at the end of its block.
        meaning: Turns errors of the database into Cove's own.
    """

    def __init__(self, begin: Begin, meaning: Meaning) -> None:
        self._begin = begin
        self._meaning = meaning
        self._waiting: deque[tuple[Work, Future[Any]]] = deque()

    def add(self, work: Callable[[Connection], T]) -> Future[T]:
        """Take a write; the caller sees to it that :meth:`commit` is called afterwards."""
        future: Future[T] = Future()
        self._waiting.append((work, future))
        return future

    def commit(self) -> None:
        """Do what waits now, and answer; nothing happens where an earlier call did it all."""
        batch: list[tuple[Work, Future[Any]]] = []
        while self._waiting and len(batch) < MOST_AT_ONCE:
            work, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                batch.append((work, future))
        if not batch:
            return
        try:
            with self._meaning(), self._begin() as connection:
                answers = self._do(connection, batch)
        except BaseException as problem:  # noqa: BLE001 - each caller gets it
            for _, future in batch:
                future.set_exception(problem)
            return
        for (_, future), (answer, refusal) in zip(batch, answers, strict=True):
            if refusal is None:
                future.set_result(answer)
            else:
                future.set_exception(refusal)

    def _do(
        self, connection: Connection, batch: list[tuple[Work, Future[Any]]]
    ) -> list[tuple[object, BaseException | None]]:
        if len(batch) == 1:  # what it raises undoes the whole transaction, which is its own
            return [(batch[0][0](connection), None)]
        return [self._do_one(connection, work) for work, _ in batch]

    def _do_one(self, connection: Connection, work: Work) -> tuple[object, BaseException | None]:
        # Past SQLAlchemy, whose savepoints cost as much as the write itself.
        execute = driver(connection).execute
        execute("SAVEPOINT one")
        try:
            with self._meaning():
                answer = work(connection)
        except Exception as problem:
            if not driver(connection).in_transaction:
                raise  # the database took everything back (a full disk): that ends the batch, for the same reason
            execute("ROLLBACK TO one")
            execute("RELEASE one")
            return None, problem
        execute("RELEASE one")
        return answer, None
