"""Ends work in order when its user or the system wants it to end."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Final, ParamSpec, TypeVar

import typer

from cove.cli import output

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

#: Ctrl-C, a service manager, a closed terminal.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIGNALLED: Final = 128


def run(
    work: Coroutine[object, object, Answer], new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Answer:
    """Run work to its end on a loop of its own.

    The runner of the standard library forgets a Ctrl-C that comes while it makes itself ready for one, and then gives
    the cancelled task instead of what cancelled it; nothing else cancels the work of a whole command.

    Args:
        work: What is done.
        new_loop: Makes the loop; None for asyncio's own.

    Raises:
        KeyboardInterrupt: A Ctrl-C ended it.
    """
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(work)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def interruptible(work: Coroutine[object, object, Answer], farewell: str) -> Answer:
    """Do work that a signal cancels, once: what it cleans up at its end is not interrupted by an impatient second one.

    Args:
        work: What is done.
        farewell: Said when a signal came.

    Raises:
        typer.Exit: A signal came; with 128 and its number.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    came: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        if not came:
            came.append(number)
            output.say(farewell)
            task.cancel()

    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:  # nohup
            continue
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        if came:
            raise typer.Exit(_SIGNALLED + came[0]) from None
        raise


class Stopped(Exception):
    """Work in a thread was told to end."""


class Threads:
    """Runs blocking work in threads, and has it end when the task that waits for it is cancelled."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def pause(self, seconds: float) -> None:
        """Wait; for the work itself.

        Raises:
            Stopped: Its task was cancelled.
        """
        if self._stop.wait(seconds):
            raise Stopped

    async def run(self, work: Callable[Given, Answer], *arguments: Given.args, **named: Given.kwargs) -> Answer:
        """Do blocking work in a thread; a cancellation waits for its end, which :meth:`pause` makes a soon one."""
        running = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **named))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait({running})
            if not running.cancelled():
                running.exception()  # seen
            raise
