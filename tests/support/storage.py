"""A consumer's storage: a real server on loopback that takes files, as long as a test wants it to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue

from tests.support.answering import Answer, Request, answering


@dataclass
class Storage:
    """What was put, and how it answers."""

    url: str = ""
    #: By path with its query.
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    #: Is asked before a file is taken; None takes it.
    refuses: Callable[[Request], Answer | None] = lambda _: None
    #: Paths as they were taken.
    taken: SimpleQueue[str] = field(default_factory=SimpleQueue)
    #: While it is cleared, every request waits.
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def answer(self, asked: Request) -> Answer:
        self.open.wait(120)
        self.asked.append(asked)
        refusal = self.refuses(asked)
        if refusal is not None:
            return refusal
        self.files[asked.path] = asked.body
        self.taken.put(asked.path)
        return Answer(b"", status=201)


@contextlib.contextmanager
def storing() -> Iterator[Storage]:
    """Run a storage until the end of the block."""
    storage = Storage()
    storage.open.set()
    with answering(storage.answer) as url:
        storage.url = url
        try:
            yield storage
        finally:
            storage.open.set()
