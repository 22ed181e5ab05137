"""Work of a command that a signal ends."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from cove.cli import interruption


def test_cancelled_work_of_a_whole_command_is_a_ctrl_c_whose_signal_the_runner_forgot() -> None:
    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(KeyboardInterrupt):
        interruption.run(work())


def test_work_gives_its_answer_and_its_own_errors() -> None:
    async def work(*, fails: bool) -> int:
        await asyncio.sleep(0)
        if fails:
            raise ValueError
        return 3

    assert interruption.run(work(fails=False)) == 3
    with pytest.raises(ValueError, match="^$"):
        interruption.run(work(fails=True))


def _made_under_a_signal(when: str) -> Callable[[], asyncio.AbstractEventLoop]:
    came: list[str] = []

    def interrupt(moment: str) -> None:
        if when == moment and not came:
            came.append(moment)
            signal.raise_signal(signal.SIGINT)

    def task(
        loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, object], **named: Any
    ) -> asyncio.Task[object]:
        interrupt("before the task")
        made = asyncio.Task(work, loop=loop, **named)
        interrupt("after the task")
        return made

    def loop() -> asyncio.AbstractEventLoop:
        interrupt("before the loop")
        made = asyncio.new_event_loop()
        made.set_task_factory(task)  # type: ignore[arg-type]
        return made

    return loop


@pytest.mark.parametrize("when", ["before the loop", "before the task", "after the task"])
def test_a_ctrl_c_while_work_is_being_started_ends_it_in_order(when: str) -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("in order")

    with pytest.raises(KeyboardInterrupt):
        interruption.run(work(), _made_under_a_signal(when))
    assert seen == ["in order"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_ctrl_c_wakes_work_that_sleeps() -> None:
    sleeping = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    async def work() -> None:
        asyncio.get_running_loop().call_soon(sleeping.set)
        await asyncio.Event().wait()

    def interrupt() -> None:
        sleeping.wait(120)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        interruption.run(work())
    thread.join()
