"""Ends work in order when its user or the system wants it to end."""

from __future__ import annotations

import asyncio
import signal
import socket
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
_NONE: Final = -1
_SOME: Final = 4096


def run(
    work: Coroutine[object, object, Answer], new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Answer:
    """Run work to its end on a loop of its own; the first Ctrl-C cancels it, a second one ends it wherever it is.

    The runner of the standard library takes a Ctrl-C only once its task is made. One that comes before is raised in the
    middle of making it, and what is then half made runs on while the loop is being closed.

    Args:
        work: What is done.
        new_loop: Makes the loop; None for asyncio's own.

    Raises:
        KeyboardInterrupt: A Ctrl-C ended it.
    """
    interrupt = _Interrupt()

    async def whole() -> Answer:
        interrupt.may_cancel(asyncio.get_running_loop(), asyncio.current_task())
        return await work

    try:
        with interrupt, asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(whole())
    except asyncio.CancelledError:  # nothing else cancels the work of a whole command
        raise KeyboardInterrupt from None
    finally:
        work.close()


class _Interrupt:
    """Takes Ctrl-C for a task, from before there is one, where Python would raise KeyboardInterrupt."""

    def __init__(self) -> None:
        self._came = 0
        self._task: asyncio.Task[object] | None = None
        #: A loop that is about to fall asleep is woken by what a signal writes there.
        self._bell: tuple[socket.socket, socket.socket] | None = None

    def may_cancel(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[object] | None) -> None:
        """Cancel this task from now on, and at once where a Ctrl-C was earlier."""
        self._task = task
        if threading.current_thread() is threading.main_thread():
            self._hang_bell(loop)
        if self._came and task is not None:
            task.cancel()

    def _hang_bell(self, loop: asyncio.AbstractEventLoop) -> None:
        heard, rung = socket.socketpair()
        for end in (heard, rung):
            end.settimeout(0.0)
        before = signal.set_wakeup_fd(rung.fileno(), warn_on_full_buffer=False)
        if before != _NONE:  # the loop has one of its own, as uvloop does
            signal.set_wakeup_fd(before)
            heard.close()
            rung.close()
            return
        self._bell = heard, rung
        loop.add_reader(heard, heard.recv, _SOME)

    def __enter__(self) -> None:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._take)

    def __exit__(self, *_: object) -> None:
        if signal.getsignal(signal.SIGINT) == self._take:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._bell is not None:
            heard, rung = self._bell
            now = signal.set_wakeup_fd(_NONE)
            if now not in {_NONE, rung.fileno()}:
                signal.set_wakeup_fd(now)
            heard.close()
            rung.close()

    def _take(self, _number: int, _frame: object) -> None:
        self._came += 1
        if self._came > 1:
            raise KeyboardInterrupt
        if self._task is not None and not self._task.done():
            self._task.cancel()


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
