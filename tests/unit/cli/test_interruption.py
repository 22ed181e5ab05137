"""Work of a command that a signal ends."""

from __future__ import annotations

import asyncio

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
