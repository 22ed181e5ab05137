"""Indexes by input: in memory while jobs come, else from the cache, else made."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cove.leaks.cache import Cache, memory_file, sealed
from cove.leaks.limits import INDEX_MAGIC as MAGIC
from cove.leaks.limits import LeakLimits
from cove.leaks.opening import batches, walk
from cove.leaks.process import frames
from cove.leaks.process.starting import Fork, Template
from cove.ports import IndexedInput

_HEAD: Final = 64


class FailedError(Exception):
    """Something is not known.

    Args:
        failure: As in ``cove.core.inspection.Inspection.failure``.
    """

    def __init__(self, failure: str) -> None:
        super().__init__(failure)
        self.failure = failure


class Shelf:
    """Gives indexes, each made once however many ask for it.

    Args:
        cache: On disk.
        template: Starts reading processes.
        key: For hashes of cells.
        limits: How much making one may use.
    """

    def __init__(self, cache: Cache, template: Template, key: bytes, limits: LeakLimits) -> None:
        self._cache = cache
        self._template = template
        self._key = key
        self._limits = limits
        self._lock = threading.Lock()
        self._being_made: dict[str, threading.Lock] = {}
        self._warm: OrderedDict[str, int] = OrderedDict()
        self._timer: threading.Timer | None = None

    @contextmanager
    def index(self, wanted: IndexedInput, identifiers: frozenset[str]) -> Iterator[int]:
        """Give a descriptor of an input's index, for as long as it is used.

        Raises:
            FailedError: It cannot be made.
        """
        name = self._cache.name(wanted.dataset, wanted.digest, identifiers)
        descriptor = self._taken(name)
        if descriptor is None:
            with self._lock:
                being_made = self._being_made.setdefault(name, threading.Lock())
            with being_made:
                descriptor = self._taken(name)
                if descriptor is None:
                    descriptor = self._cache.get(name)
                    if descriptor is None:
                        descriptor = self._made(wanted, identifiers)
                        self._cache.put(name, wanted.dataset, descriptor)
                    self._put_warm(name, descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
            self._drop_later()

    def forget(self, dataset: str) -> int:
        """Remove the indexes of a dataset, and give their number."""
        start = self._cache.names_of(dataset)
        with self._lock:
            for name in [name for name in self._warm if name.startswith(start)]:
                os.close(self._warm.pop(name))
        return self._cache.forget(dataset)

    def datasets(self) -> list[str]:
        """Give the datasets that have kept indexes, in no order."""
        return self._cache.datasets()

    def cool(self) -> None:
        """Let go of everything in memory."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            while self._warm:
                os.close(self._warm.popitem()[1])

    def _taken(self, name: str) -> int | None:
        with self._lock:
            if name not in self._warm:
                return None
            self._warm.move_to_end(name)
            return os.dup(self._warm[name])

    def _put_warm(self, name: str, descriptor: int) -> None:
        with self._lock:
            self._warm[name] = os.dup(descriptor)
            total = sum(os.fstat(kept).st_size for kept in self._warm.values())
            while total > self._limits.warm_bytes and self._warm:
                _, oldest = self._warm.popitem(last=False)
                total -= os.fstat(oldest).st_size
                os.close(oldest)

    def _drop_later(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(self._limits.idle_seconds, self.cool)
            self._timer.daemon = True
            self._timer.start()

    def _made(self, wanted: IndexedInput, identifiers: frozenset[str]) -> int:
        into = memory_file()
        try:
            with self._template.fork() as fork:
                self._make(fork, wanted, identifiers, into)
            if os.pread(into, _HEAD, 0)[: len(MAGIC)] != MAGIC:
                raise FailedError("index")  # noqa: TRY301 - as from the process
        except (frames.ClosedError, OSError):
            os.close(into)
            raise FailedError("index") from None
        except BaseException:
            os.close(into)
            raise
        return sealed(into)

    def _make(self, fork: Fork, wanted: IndexedInput, identifiers: frozenset[str], into: int) -> None:
        files = list(walk(Path(wanted.place)))
        if not files:
            raise FailedError("index")
        order = {
            "order": "build",
            "key": self._key.hex(),
            "identifiers": sorted(identifiers),
            "size": sum(size for _, size in files),
            "limits": dataclasses.asdict(self._limits),
        }
        deadline = time.monotonic() + self._limits.index_seconds
        channel = fork.channel
        channel.settimeout(self._limits.index_seconds)
        frames.send(channel, order, [into])
        for batch in batches([place for place, _ in files]):
            with batch as (places, descriptors):
                names = [wanted.name or place.name for place in places]
                frames.send(channel, {"files": names}, descriptors)
                channel.settimeout(max(0.1, deadline - time.monotonic()))
                answer, _ = frames.receive(channel)
                if answer.get("failure"):
                    raise FailedError("index")
        frames.send(channel, {"files": []})
        answer, _ = frames.receive(channel)
        if answer.get("failure"):
            raise FailedError("index")
        self._template.learn(arrow=bool(answer.get("arrow")))
