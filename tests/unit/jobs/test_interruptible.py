from __future__ import annotations

from queue import SimpleQueue
from threading import Event

import pytest

from cove.core.errors import DataMissing
from cove.jobs.interruptible import Interrupted, awaited


def test_what_a_call_gives_or_raises() -> None:
    assert awaited(lambda: 5, Event()) == 5

    def fails() -> int:
        raise DataMissing("gone")

    with pytest.raises(DataMissing, match="gone"):
        awaited(fails, Event())


def test_nothing_is_called_after_a_stop() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(Interrupted):
        awaited(lambda: pytest.fail("called"), stop)


def test_a_stop_comes_first_and_what_the_call_gives_later_is_let_go() -> None:
    stop, release = Event(), Event()
    let_go: SimpleQueue[int] = SimpleQueue()

    def slow() -> int:
        stop.set()
        release.wait(120)
        return 7

    with pytest.raises(Interrupted):
        awaited(slow, stop, let_go.put)
    release.set()
    assert let_go.get(timeout=120) == 7
