"""Looks at files for callers who have paid nothing yet (section 6.4 of the API), apart from all other work.

A stranger can publish an asset, or describe a file, that lies on a server which never answers. Such a look waits in a
thread of its own, and beyond a number of them a caller is told to come back: jobs, downloads and results have their own
threads and notice nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Final, TypeVar, cast

from cove.core.errors import TooMany

SECONDS: Final = 60.0
"""For everything that one request looks at; what was not seen by then counts as not to be had."""
MAX_BYTES: Final = 1 << 30
"""Larger files are not hashed for such a caller, who must not cost us hours of reading."""

_AT_ONCE: Final = 128
_RETRY_SECONDS: Final = 5

T = TypeVar("T")


class Looks:
    """Runs blocking looks, each in a thread of its own that does not keep the process from ending.

    Args:
        at_once: How many run at a time.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._free = at_once

    async def run(self, look: Callable[[], T]) -> T:
        """Give what a look gives, or raise what it raises.

        A caller that goes away leaves its look behind, and its place is free only when that has ended.

        Raises:
            TooMany: Too many are under way.
        """
        if self._free <= 0:
            raise TooMany("Too many files are being looked at now.", retry_after=_RETRY_SECONDS)
        self._free -= 1
        loop = asyncio.get_running_loop()
        seen: Future[T] = Future()
        Thread(target=_look, args=(look, seen, loop, self._leave), name="cove-look", daemon=True).start()
        return await asyncio.wrap_future(seen)

    def _leave(self) -> None:
        self._free += 1


def _look(look: Callable[[], T], seen: Future[T], loop: asyncio.AbstractEventLoop, leave: Callable[[], None]) -> None:
    seen.set_running_or_notify_cancel()
    found: T | None = None
    problem: BaseException | None = None
    try:
        found = look()
    except BaseException as raised:  # noqa: BLE001 - it is raised where the look was asked for
        problem = raised
    with contextlib.suppress(RuntimeError):  # the service has ended meanwhile
        loop.call_soon_threadsafe(leave)  # first, so that who is answered finds the place free
        if problem is not None:
            seen.set_exception(problem)
        else:
            seen.set_result(cast("T", found))
