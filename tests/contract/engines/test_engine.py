"""What every engine must do: ``cove.ports.Engine``, shown by real runs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from tests.support.runs import PATIENCE, Stage, Told, a_run, processes_of

from cove.core.errors import EngineUnfit, ImageRefused
from cove.core.job import Container, RunId
from cove.core.lifecycle import Active, Exited, Missing

WAITS = "tell(); wait()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); tell(); wait()"
UNKNOWN = RunId(f"{'0' * 32}-1")


async def test_a_container_that_was_prepared_runs(stage: Stage) -> None:
    run = a_run("say('here')")
    container = await stage.engine.prepare(run.container, Told())
    finished = await stage.finish(replace(run, container=container))
    assert finished.said == "here"


async def test_an_unknown_image_is_refused_when_it_is_prepared(stage: Stage) -> None:
    with pytest.raises(ImageRefused, match="nowhere"):
        await stage.engine.prepare(Container("nowhere", "1"), Told())


# ------------------------------------------------------------------------------------------------ submit and observe


async def test_a_run_is_missing_then_active_then_exited_then_missing(stage: Stage) -> None:
    run = a_run("Path('/data/outputs/a').write_text('1'); tell(); wait(); sys.exit(3)", *stage.channel.binds)
    assert await stage.observe(run.id) == Missing()
    before = time.time()
    await stage.engine.submit(run)
    assert isinstance(await stage.observe(run.id), Active)
    await stage.channel.heard()
    seen = await stage.observe(run.id)
    assert isinstance(seen, Active)
    assert seen.started_at is not None
    assert before - 1 <= seen.started_at <= time.time()
    stage.channel.answer()
    finished = await stage.finished(run.id)
    assert finished.exit == replace(Exited(3, None, 0.0), **_times(finished.exit))
    assert finished.outputs == {"a": b"1"}
    assert await stage.observe(run.id) == finished.exit
    await stage.engine.remove(run.id)
    assert await stage.observe(run.id) == Missing()


def _times(seen: Exited) -> dict[str, float]:
    assert seen.started_at is not None
    assert time.time() - 60 < seen.started_at <= seen.finished_at <= time.time()
    return {"started_at": seen.started_at, "finished_at": seen.finished_at}


async def test_what_an_engine_cannot_give_is_refused_and_nothing_is_started(stage: Stage) -> None:
    wishes = {"gpus": a_run("pass", gpus=1), "network": replace(a_run("pass"), network=True)}
    for name in sorted(set(wishes) - stage.traits.gives):
        with pytest.raises(EngineUnfit):
            await stage.engine.submit(wishes[name])
    assert list(await stage.engine.runs()) == []


async def test_many_runs_are_observed_at_once(stage: Stage) -> None:
    running = await stage.started(WAITS)
    done, failed, removed = a_run("pass"), a_run("sys.exit(9)"), a_run("pass")
    for run in (done, failed, removed):
        await stage.finish(run)
    await stage.engine.remove(removed.id)
    names = [UNKNOWN, removed.id, failed.id, running.id, done.id]
    seen = await stage.engine.observe(names)
    assert set(seen) == set(names)
    assert seen[UNKNOWN] == seen[removed.id] == Missing()
    assert isinstance(seen[running.id], Active)
    ends = [seen[failed.id], seen[done.id]]
    assert [end.code for end in ends if isinstance(end, Exited)] == [9, 0]
    assert await stage.engine.observe([]) == {}


async def test_a_run_is_started_once_however_often_it_is_submitted(stage: Stage) -> None:
    run = await stage.started(WAITS)
    await stage.engine.submit(run)
    await asyncio.gather(*(stage.engine.submit(run) for _ in range(3)))
    stage.channel.answer()
    seen = await stage.ended(run.id)
    await stage.engine.submit(run)
    assert await stage.observe(run.id) == seen
    assert not stage.channel.has_more()


async def test_submits_at_the_same_time_start_one_run(stage: Stage) -> None:
    run = a_run(WAITS, *stage.channel.binds)
    await asyncio.gather(*(stage.engine.submit(run) for _ in range(5)))
    await stage.channel.heard()
    stage.channel.answer()
    await stage.ended(run.id)
    assert not stage.channel.has_more()


async def test_a_removed_run_may_be_started_again(stage: Stage) -> None:
    run = a_run("Path('/data/outputs/a').touch(); sys.exit(2)")
    await stage.finish(run)
    await stage.engine.remove(run.id)
    stage.listen_again(run.id)
    again = await stage.finish(replace(run, environment=(("MORE", "1"),)))
    assert (again.exit.code, again.outputs) == (2, {"a": b""})


async def test_many_runs_at_once_keep_to_themselves(stage: Stage) -> None:
    runs = [
        a_run(f"Path('/data/outputs/mine').write_text('{n}'); print({n}); sys.exit({n})")
        for n in range(int(12 * stage.traits.crowd))
    ]
    finished = await asyncio.gather(*map(stage.finish, runs))
    for number, one in enumerate(finished):
        assert (one.exit.code, one.log) == (number, f"{number}\n")
        assert one.outputs == {"mine": str(number).encode()}


@pytest.mark.parametrize("code", [0, 1, 2, 126, 127, 128, 137, 255])
async def test_the_exit_code_is_told(stage: Stage, code: int) -> None:
    seen = (await stage.finish(a_run(entrypoint=f"sh -c 'exit {code}'"))).exit
    assert (seen.code, seen.ended_by, seen.failure, seen.out_of_memory) == (code, "", "", False)


@pytest.mark.parametrize("container", [Container("unknown"), Container("host", "3"), Container("gone")])
async def test_an_unknown_or_unusable_image_is_refused(stage: Stage, container: Container) -> None:
    if container.tag:
        container = replace(container, image="small")
    run = a_run(container=replace(container, entrypoint="python3 $ALGO"))
    with pytest.raises(ImageRefused) as refusal:
        await stage.engine.submit(run)
    assert str(stage.folder) not in f"{refusal.value.message}{refusal.value.hint}"
    assert await stage.observe(run.id) == Missing()
    assert run.id not in await stage.engine.runs()


async def test_an_image_of_another_checksum_is_refused(stage: Stage) -> None:
    wrong = Container("sealed", checksum=f"sha256:{'cd' * 32}", entrypoint="python3 $ALGO")
    for container in (wrong, replace(wrong, checksum="")):
        run = a_run(container=container)
        with pytest.raises(ImageRefused):
            await stage.engine.submit(run)
        assert await stage.observe(run.id) == Missing()
        assert run.id not in await stage.engine.runs()
    right = await stage.finish(a_run("print(1)", container=replace(wrong, checksum=f"sha256:{'ab' * 32}")))
    assert right.log == "1\n"


# ------------------------------------------------------------------------------------------------ ends


async def test_cancel_asks_the_main_process_to_end(stage: Stage) -> None:
    run = await stage.started(
        """
def end(*_):
    Path("/data/outputs/last").write_text("words")
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
tell(); wait()
""",
    )
    await stage.engine.cancel(run.id)
    finished = await stage.finished(run.id)
    assert (finished.exit.code, finished.exit.ended_by, finished.exit.failure) == (7, "stopped", "")
    assert finished.outputs == {"last": b"words"}


async def test_cancel_ends_one_that_knows_no_signals(stage: Stage) -> None:
    run = await stage.started("print('begun', flush=True); tell(); wait()")
    await stage.engine.cancel(run.id)
    finished = await stage.finished(run.id)
    assert (finished.exit.code, finished.exit.ended_by, finished.log) == (143, "stopped", "begun\n")


async def test_cancel_tells_the_main_process_alone(stage: Stage) -> None:
    run = await stage.started(
        """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGRTMIN])
ready, said = os.pipe()
answer, answered = os.pipe()
def stay():
    os.write(said, b"%d" % os.getpid())
    os.write(answered, b"told" if signal.sigwait([signal.SIGTERM, signal.SIGRTMIN]) == signal.SIGTERM else b"not")
daemon(stay)
other = int(os.read(ready, 10))
tell()
signal.sigwait([signal.SIGTERM])
os.kill(other, signal.SIGRTMIN)
print(os.read(answer, 10).decode())
""",
    )
    await stage.engine.cancel(run.id)
    finished = await stage.finished(run.id)
    assert (finished.exit.code, finished.exit.ended_by, finished.log) == (0, "stopped", "not\n")


async def test_one_that_ignores_cancel_is_killed_after_the_grace(stage: Stage) -> None:
    run = await stage.started(f"Path('/data/outputs/a').write_text('kept'); {STUBBORN}")
    asked = time.monotonic()
    await stage.engine.cancel(run.id, grace_seconds=0.3)
    assert isinstance(await stage.observe(run.id), Active)
    finished = await stage.finished(run.id)
    assert 0.3 <= time.monotonic() - asked < PATIENCE
    assert (finished.exit.code, finished.exit.ended_by) == (137, "stopped")
    assert finished.outputs == {"a": b"kept"}
    assert processes_of(run.id) == []


async def test_a_repeated_cancel_is_harmless(stage: Stage) -> None:
    run = await stage.started(
        "signal.signal(signal.SIGTERM, lambda *_: tell('asked')); tell(); wait(); wait(); sys.exit(4)"
    )
    for _ in range(3):
        await stage.engine.cancel(run.id)
    assert await stage.channel.heard() == "asked"
    await stage.engine.cancel(run.id)
    stage.channel.answer()
    stage.channel.answer()
    seen = await stage.ended(run.id)
    assert (seen.code, seen.ended_by) == (4, "stopped")
    assert not stage.channel.has_more()
    await stage.engine.cancel(run.id)
    assert await stage.observe(run.id) == seen
    await stage.engine.remove(run.id)
    await stage.engine.cancel(run.id)
    await stage.engine.cancel(UNKNOWN)
    assert await stage.observe(run.id) == await stage.observe(UNKNOWN) == Missing()


async def test_cancel_at_once_after_submit_is_heard(stage: Stage) -> None:
    runs = [a_run("signal.pause()") for _ in range(int(20 * stage.traits.crowd))]
    for run in runs:
        await stage.engine.submit(run)
        await stage.engine.cancel(run.id)
    ends = await asyncio.gather(*(stage.ended(run.id) for run in runs))
    assert {(end.ended_by, end.failure) for end in ends} == {("stopped", "")}
    assert all(end.code in {137, 143} for end in ends)


async def test_the_time_limit_ends_a_run(stage: Stage) -> None:
    run = a_run(
        """
def end(*_):
    Path("/data/outputs/late").write_text("but there")
    sys.exit(5)
signal.signal(signal.SIGTERM, end)
signal.pause()
""",
        time_seconds=stage.traits.beginning,
    )
    begun = time.monotonic()
    finished = await stage.finish(run)
    assert stage.traits.beginning - 0.1 <= time.monotonic() - begun < PATIENCE
    assert (finished.exit.code, finished.exit.ended_by) == (5, "time_limit")
    assert finished.outputs == {"late": b"but there"}


async def test_too_much_memory_ends_a_run(stage: Stage) -> None:
    finished = await stage.finish(a_run("b'x' * (1 << 30)", memory_bytes=64 << 20, disk_bytes=8 << 20))
    assert finished.exit.code != 0
    if "memory" in stage.enforced:
        assert (finished.exit.code, finished.exit.out_of_memory) == (137, True)
    assert (finished.exit.failure, finished.exit.ended_by) == ("", "")


async def test_a_full_disk_is_told_to_the_algorithm_and_its_outputs_are_kept(stage: Stage) -> None:
    finished = await stage.finish(
        a_run(
            """
Path("/data/outputs/first").write_text("kept")
with open("/data/outputs/second", "wb", 0) as file:
    say(attempt(lambda: [file.write(bytes(1 << 16)) for _ in range(1000)]))
""",
            disk_bytes=4 << 20,
        )
    )
    assert finished.said == "ENOSPC"
    assert (finished.exit.failure, finished.outputs["first"]) == ("", b"kept")
    second = finished.outputs["second"]
    assert second is not None
    assert (3 << 20) < len(second) <= (4 << 20)


async def test_the_log_is_capped_with_a_line_that_says_so(stage: Stage) -> None:
    run = a_run("for n in range(100_000): print(f'{n:07}')", log_bytes=4096)
    finished = await stage.finish(run)
    lines = finished.log.splitlines()
    assert lines[:512] == [f"{n:07}" for n in range(512)]
    assert [line for line in lines[512:] if line] == ["[the log is full: the rest was dropped]"]
    assert finished.exit.code == 0


async def test_a_log_that_just_fits_has_no_such_line(stage: Stage) -> None:
    assert (await stage.finish(a_run("print('x' * 4095)", log_bytes=4096))).log == "x" * 4095 + "\n"


@pytest.mark.parametrize("entrypoint", ["nothing-like-this $ALGO", "/data/inputs", "$ALGO"])
async def test_a_program_that_cannot_be_run_is_the_algorithms_failure(stage: Stage, entrypoint: str) -> None:
    seen = (await stage.finish(a_run(b"\0no program", entrypoint=entrypoint))).exit
    assert seen.code in {126, 127}
    assert (seen.failure, seen.ended_by) == ("", "")
