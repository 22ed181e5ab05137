"""A host uid for each run alone: never two runs that live at the same time, whoever started them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.support.runs import Channel, a_run, died, host_uid, processes_of
from tests.support.sandboxes import sandbox

from cove.core.errors import Unavailable
from cove.core.lifecycle import Missing

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root gives each job a uid: run the tests as root")
#: Nobody else's.
FIRST = 1_900_000_000 + os.getpid() * 16


async def test_runs_at_the_same_time_have_a_uid_each_from_the_range(tmp_path: Path, channel: Channel) -> None:
    async with sandbox(tmp_path, channel, first_uid=FIRST, uids=4) as stage:
        runs = [a_run("tell(); wait()", *channel.binds) for _ in range(4)]
        for run in runs:
            await stage.begin(run)
        found = [{host_uid(pid) for pid in processes_of(run.id)} - {0} for run in runs]
        assert set().union(*found) == set(range(FIRST, FIRST + 4))
        assert [len(uids) for uids in found] == [1] * 4
        for _ in runs:
            channel.answer()
        for run in runs:
            assert (await stage.ended(run.id)).code == 0


async def test_a_run_for_which_there_is_no_uid_waits(tmp_path: Path, channel: Channel) -> None:
    async with sandbox(tmp_path, channel, first_uid=FIRST, uids=1) as stage:
        first, second = a_run("tell(); wait()", *channel.binds), a_run("print(os.getuid())")
        await stage.begin(first)
        with pytest.raises(Unavailable) as refusal:
            await stage.engine.submit(second)
        assert "sandbox.uids" in refusal.value.message
        assert await stage.observe(second.id) == Missing()
        channel.answer()
        await stage.ended(first.id)
        assert (await stage.finish(second)).log == "1000\n"


async def test_two_services_of_one_host_never_share_one(tmp_path: Path, channel: Channel) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        sandbox(tmp_path / "one", channel, first_uid=FIRST, uids=1) as first,
        sandbox(tmp_path / "two", channel, first_uid=FIRST, uids=1) as second,
    ):
        await first.begin(a_run("tell(); wait()", *channel.binds))
        with pytest.raises(Unavailable):
            await second.engine.submit(a_run("pass"))


async def test_a_uid_stays_taken_while_anything_of_a_killed_supervisor_lives(tmp_path: Path, channel: Channel) -> None:
    async with sandbox(tmp_path, channel, first_uid=FIRST, uids=1) as stage:
        run = a_run("tell(); wait()", *channel.binds)
        await stage.begin(run)
        tree = processes_of(run.id)
        stage.lose(run.id)
        await died(tree)
        left = await asyncio.create_subprocess_exec("sleep", "600", user=FIRST, group=FIRST, extra_groups=[])
        try:
            with pytest.raises(Unavailable):
                await stage.engine.submit(a_run("pass"))
        finally:
            left.kill()
            await left.wait()
        assert (await stage.finish(a_run("print(2)"))).log == "2\n"
