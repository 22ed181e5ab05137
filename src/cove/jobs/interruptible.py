"""Calls that block, which a wish to stop does not have to wait for."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, Protocol, TypeVar

_LOOK_SECONDS: Final = 0.2

T = TypeVar("T")


class Interrupted(Exception):
    """A wish of the job's owner came in between."""


class StopFlag(Protocol):
    """A flag that another thread may set."""

    def is_set(self) -> bool:
        """Say whether it was set."""
        ...


def awaited(call: Callable[[], T], stop: StopFlag, let_go: Callable[[T], None] | None = None) -> T:
    """Give what a blocking call gives, and look several times a second for a wish to stop.

    After a stop the call goes on by itself, within its own limits of time.

    Args:
        call: Blocks; called in a thread of its own.
        stop: Says whether to end now.
        let_go: Is given what the call gave after all when nobody wants it any more; None: nothing is to be done.

    Raises:
        Interrupted: The wish came first.
        Exception: What the call raised.
    """
    if stop.is_set():
        raise Interrupted
    ended: SimpleQueue[tuple[T] | BaseException] = SimpleQueue()
    Thread(target=_call, args=(call, ended), name="cove-await", daemon=True).start()
    while True:
        try:
            result = ended.get(timeout=_LOOK_SECONDS)
        except Empty:
            if stop.is_set():
                Thread(target=_discard, args=(ended, let_go), name="cove-let-go", daemon=True).start()
                raise Interrupted from None
            continue
        if isinstance(result, BaseException):
            raise result
        return result[0]


def _call(call: Callable[[], T], ended: SimpleQueue[tuple[T] | BaseException]) -> None:
    try:
        ended.put((call(),))
    except BaseException as problem:  # noqa: BLE001 - raised again by who waits for it
        ended.put(problem)


def _discard(ended: SimpleQueue[tuple[T] | BaseException], let_go: Callable[[T], None] | None) -> None:
    result = ended.get()
    if not isinstance(result, BaseException) and let_go is not None:
        let_go(result[0])
