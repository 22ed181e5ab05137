"""What every engine must keep and forget: ``cove.ports.Engine``, shown by real runs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.runs import Stage, a_run, died, processes_of, traces_of

from cove.core.errors import NoSpace, NotFound, Unavailable
from cove.core.job import RunId
from cove.core.lifecycle import Active, Exited, Missing

WAITS = "tell(); wait()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); tell(); wait()"
UNKNOWN = RunId(f"{'0' * 32}-1")


# ------------------------------------------------------------------------------------------------ logs and outputs


async def test_the_log_can_be_read_while_the_run_goes_on(stage: Stage) -> None:
    run = await stage.started("print('one', flush=True); tell(); wait(); print('two', flush=True); tell(); wait()")
    await stage.logged(run.id, "one\n")
    assert await stage.engine.logs(run.id, 4, 1 << 20) == await stage.engine.logs(run.id, 1 << 40, 10) == b""
    stage.channel.answer()
    await stage.channel.heard()
    await stage.logged(run.id, "one\ntwo\n")
    stage.channel.answer()
    await stage.ended(run.id)
    assert await stage.engine.logs(run.id, 2, 4) == b"e\ntw"
    assert await stage.engine.logs(run.id, 0, 0) == await stage.engine.logs(run.id, 8, 10) == b""


async def test_a_run_that_is_not_there_has_no_log(stage: Stage) -> None:
    assert await stage.engine.logs(UNKNOWN, 0, 10) == b""


async def test_nothing_is_collected_but_of_an_exited_run(stage: Stage) -> None:
    run = a_run(WAITS, *stage.channel.binds)
    with pytest.raises(NotFound):
        await stage.engine.collect(run.id)
    await stage.begin(run)
    with pytest.raises(NotFound):
        await stage.engine.collect(run.id)
    stage.channel.answer()
    await stage.ended(run.id)
    assert (await stage.engine.collect(run.id)) == (await stage.engine.collect(run.id))
    await stage.engine.remove(run.id)
    with pytest.raises(NotFound):
        await stage.engine.collect(run.id)


async def test_an_exited_run_can_be_collected_when_its_end_is_first_seen(stage: Stage) -> None:
    run = a_run("Path('/data/outputs/a').write_bytes(bytes(20 << 20))")
    await stage.engine.submit(run)
    seen = await stage.observe(run.id)
    while isinstance(seen, Active):
        seen = await stage.observe(run.id)
    places = await stage.engine.collect(run.id)
    assert (places.outputs / "a").stat().st_size == 20 << 20
    assert processes_of(run.id) == []


async def test_every_listener_hears_of_every_end(stage: Stage) -> None:
    heard: list[RunId] = []
    stage.engine.on_exit(heard.append)
    runs = [a_run(f"sys.exit({n})") for n in range(5)]
    await asyncio.gather(*map(stage.finish, runs))
    assert sorted(heard) == sorted(run.id for run in runs)


async def test_a_look_says_what_is_enforced(stage: Stage) -> None:
    findings = await stage.engine.examine()
    assert findings
    assert all(finding.seen for finding in findings)
    assert all(finding.advice for finding in findings if not finding.ok)


async def test_consumers_can_be_told_what_enforces_each_limit(stage: Stage) -> None:
    told = stage.engine.enforcement()
    assert set(told) == {"memory", "processes", "cpu", "disk"}
    assert all(told.values())
    assert told == stage.engine.enforcement()


# ------------------------------------------------------------------------------------------------ remove and adoption


async def test_every_run_is_listed_until_it_is_removed(stage: Stage) -> None:
    assert list(await stage.engine.runs()) == []
    done = a_run("pass")
    await stage.finish(done)
    running = await stage.started(WAITS)
    assert sorted(await stage.engine.runs()) == sorted([done.id, running.id])
    await stage.engine.remove(done.id)
    assert list(await stage.engine.runs()) == [running.id]


async def test_remove_forgets_everything_and_may_be_repeated(stage: Stage) -> None:
    run = a_run("os.makedirs('/data/outputs/a/b'); os.chmod('/data/outputs/a', 0)")
    await stage.finish(run)
    for _ in range(2):
        await stage.engine.remove(run.id)
        assert await stage.observe(run.id) == Missing()
        assert traces_of(run.id) == []
        assert list(await stage.engine.runs()) == []
    await stage.engine.remove(UNKNOWN)


async def test_remove_ends_a_run_that_goes_on(stage: Stage) -> None:
    run = await stage.started(f"daemon(lambda: signal.pause()); {STUBBORN}")
    assert len(processes_of(run.id)) >= 2
    await stage.engine.remove(run.id)
    assert traces_of(run.id) == []
    assert await stage.observe(run.id) == Missing()
    assert list(await stage.engine.runs()) == []
    await stage.engine.remove(run.id)


async def test_looks_and_repeated_removes_at_the_same_time_harm_nobody(stage: Stage) -> None:
    runs = [a_run(STUBBORN if n % 2 else "pass", *stage.channel.binds) for n in range(int(10 * stage.traits.crowd))]
    for run in runs:
        await stage.engine.submit(run)
        removes = [asyncio.create_task(stage.engine.remove(run.id)) for _ in range(3)]
        while not all(task.done() for task in removes):
            await stage.observe(run.id)
            await asyncio.sleep(0)
        await asyncio.gather(*removes)
        assert await stage.observe(run.id) == Missing()
    assert list(await stage.engine.runs()) == []
    assert traces_of(*(run.id for run in runs)) == []


async def test_remove_at_once_after_submit_leaves_nothing(stage: Stage) -> None:
    runs = [a_run("signal.pause()") for _ in range(int(10 * stage.traits.crowd))]
    for run in runs:
        await stage.engine.submit(run)
        await stage.engine.remove(run.id)
        assert traces_of(run.id) == []
        assert await stage.observe(run.id) == Missing()


async def test_a_new_engine_finds_running_runs_again_and_sees_their_end(stage: Stage) -> None:
    run = await stage.started("print('one', flush=True); tell(); wait(); sys.exit(6)")
    seen = await stage.observe(run.id)
    await stage.restart()
    assert list(await stage.engine.runs()) == [run.id]
    assert await stage.observe(run.id) == seen
    await stage.engine.submit(run)
    stage.channel.answer()
    finished = await stage.finished(run.id)
    assert (finished.exit.code, finished.log) == (6, "one\n")
    assert not stage.channel.has_more()


async def test_a_new_engine_knows_what_ended_meanwhile(stage: Stage) -> None:
    run = await stage.started("tell(); wait(); Path('/data/outputs/a').touch(); sys.exit(6)")
    main = processes_of(run.id)
    await stage.engine.close()
    stage.channel.answer()
    await died(main)
    await stage.restart()
    seen = await stage.observe(run.id)
    while isinstance(seen, Active):
        seen = await stage.observe(run.id)
    assert isinstance(seen, Exited)
    assert seen.code == 6
    assert (await stage.engine.collect(run.id)).outputs.is_dir()


async def test_a_new_engine_can_stop_and_remove_what_an_earlier_one_started(stage: Stage) -> None:
    stopped = await stage.started(WAITS)
    removed = await stage.started(STUBBORN)
    await stage.restart()
    await stage.engine.cancel(stopped.id)
    assert (await stage.ended(stopped.id)).ended_by == "stopped"
    await stage.engine.remove(removed.id)
    assert traces_of(removed.id) == []
    assert list(await stage.engine.runs()) == [stopped.id]


async def test_a_run_whose_supervisor_was_killed_is_lost(stage: Stage) -> None:
    run = await stage.started(f"daemon(lambda: signal.pause()); {STUBBORN}", time_seconds=600)  # or that ends it
    tree = processes_of(run.id)
    stage.lose(run.id)
    await died(tree)
    assert processes_of(run.id) == []
    seen = await stage.observe(run.id)
    assert isinstance(seen, Exited)
    assert seen.failure == "lost"
    await stage.engine.submit(run)
    assert await stage.observe(run.id) == seen
    await stage.engine.cancel(run.id)
    assert await stage.observe(run.id) == seen
    assert list(await stage.engine.runs()) == [run.id]
    for _ in range(2):
        await stage.engine.remove(run.id)
        assert traces_of(run.id) == []
        assert await stage.observe(run.id) == Missing()
        assert list(await stage.engine.runs()) == []


async def test_an_engine_that_does_not_answer_says_nothing_of_its_runs(distant: Stage) -> None:
    stage = distant
    assert stage.silenced is not None
    run = await stage.started(WAITS)
    fresh = a_run("print(2)")
    with stage.silenced():
        for asked in (stage.observe(run.id), stage.observe(UNKNOWN), stage.engine.runs(), stage.engine.submit(fresh)):
            with pytest.raises(Unavailable):
                await asked
        for told in (stage.engine.cancel(run.id), stage.engine.remove(run.id)):
            with pytest.raises(Unavailable):
                await told
    assert isinstance(await stage.observe(run.id), Active)
    assert (await stage.finish(fresh)).log == "2\n"
    stage.channel.answer()
    assert (await stage.ended(run.id)).code == 0


async def test_runs_outlive_what_started_them(stage: Stage) -> None:
    run = await stage.started(WAITS)
    stage.cripple()
    another = await stage.finish(a_run("print(2)"))
    assert another.log == "2\n"
    assert isinstance(await stage.observe(run.id), Active)
    stage.channel.answer()
    assert (await stage.ended(run.id)).code == 0


# ------------------------------------------------------------------------------------------------ a full host


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A small file system for the engine's folder."""
    folder = tmp_path / "engine"
    folder.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "cove-test", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filler").open("wb", 0) as file:
        for _ in itertools.count():
            file.write(bytes(4096))


async def test_a_run_is_not_started_on_a_full_disk(full: Path, stage: Stage) -> None:
    fill(full)
    run = a_run("print(1)")
    with pytest.raises(NoSpace):
        await stage.engine.submit(run)
    assert await stage.observe(run.id) == Missing()
    (full / "filler").unlink()
    assert (await stage.finish(run)).log == "1\n"


@pytest.mark.parametrize("restarted", [False, True])
async def test_outputs_for_which_the_host_has_no_space_are_the_providers_failure(
    full: Path, stage: Stage, *, restarted: bool
) -> None:
    run = a_run("Path('/data/outputs/a').write_bytes(bytes(8 << 20)); print('x' * 9000, flush=True); signal.pause()")
    await stage.engine.submit(run)
    await stage.logged(run.id, "x" * 9000 + "\n")
    if restarted:
        await stage.restart()
    fill(full)
    await stage.engine.cancel(run.id)
    seen = await stage.ended(run.id)
    assert seen.failure == "no_space"
    await stage.engine.remove(run.id)
    assert await stage.observe(run.id) == Missing()
