"""A loop in which nothing takes time: where everything waits, its clock goes on to what is next.

What is compared with ``loop.time()`` under it is what was waited for, whatever the machine is busy with.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Sequence


class WaitlessLoop(asyncio.SelectorEventLoop):
    """The usual loop with a clock of its own, for tests in which no thread and no other process has a part.

    ``pytest.mark.waitless`` asks for it.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Give its seconds."""
        return self._now

    def skip(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: WaitlessLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Sequence[tuple[selectors.SelectorKey, int]]:  # type: ignore[override]
        if timeout is None:  # only a signal can be next
            return super().select(None)
        found = super().select(0)
        if not found:
            self._loop.skip(timeout)
        return found
