"""Attacks of an algorithm by too much of something: each is tried for real, and stays within its limit."""

from __future__ import annotations

import pytest
from tests.support.runs import Stage, a_run, processes_of

# ------------------------------------------------------------------------------------------------ outputs


async def test_a_swap_of_folders_and_links_while_the_run_ends_reads_nothing_else(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
os.makedirs("a/etc")
Path("a/etc/passwd").write_text("mine")
os.symlink("/", "b")
begun, told = os.pipe()
def swap():
    for number in range(1 << 62):
        libc.renameat2(-100, b"a", -100, b"b", 2)
        if number == 100:
            os.write(told, b"!")
daemon(swap)
os.read(begun, 1)
"""
    finished = await stage.finish(a_run(script))
    kept = {content for content in finished.outputs.values() if content is not None}
    assert kept == {b"mine"}
    assert len(finished.outputs) == 1


async def test_huge_and_sparse_files_take_no_more_than_the_limit(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
Path("small").write_text("kept")
for number in range(40):
    with open(f"sparse{number}", "wb") as file:
        file.truncate(1 << 20)
with open("monster", "wb") as file:
    reached = attempt(file.truncate, 1 << 42)
    asked = attempt(os.posix_fallocate, file.fileno(), 0, 64 << 20)
say([reached, asked])
"""
    run = a_run(script, disk_bytes=8 << 20)
    finished = await stage.finish(run)
    assert finished.said[1] in {"ENOSPC", "EFBIG"}
    places = await stage.engine.collect(run.id)
    blocks = sum(place.stat().st_blocks * 512 for place in places.outputs.rglob("*"))
    assert blocks <= 9 << 20
    assert not finished.outputs.get("monster")
    assert len(finished.outputs) < 12


async def test_one_file_under_many_names_takes_no_more_than_the_limit(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
Path("0").write_bytes(b"x" * (1 << 20))
for number in range(1, 200):
    os.link("0", str(number))
"""
    run = a_run(script, disk_bytes=4 << 20)
    finished = await stage.finish(run)
    assert finished.exit.failure == ""
    assert sum(len(content or b"") for content in finished.outputs.values()) <= 5 << 20


async def test_hostile_names_and_depths_neither_hide_a_run_nor_stay(stage: Stage) -> None:
    r"""What is left out is named in the engine's own record, whatever quotes and escapes it holds."""
    script = r"""
os.chdir("/data/outputs")
for number in range(40):
    os.mkfifo(f"{number:02}" + '\\"' * 126)
    os.mkfifo(os.fsencode(f"{number:02}") + b"\xff\n" * 120)
Path("-rf").write_text("x")
Path("kept").write_text("x")
for _ in range(300):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
Path("deep").write_text("x")
"""
    run = a_run(script)
    finished = await stage.finish(run)
    assert (finished.exit.code, finished.exit.failure) == (0, "")
    assert finished.outputs == {"kept": b"x", "-rf": b"x"}
    await stage.engine.remove(run.id)
    assert list(await stage.engine.runs()) == []


# ------------------------------------------------------------------------------------------------ exhaustion


async def test_a_fork_bomb_stays_within_its_limit(stage: Stage) -> None:
    rounds = "itertools.count()" if "pids" in stage.enforced else "range(5)"
    script = f"""
import itertools
main = os.getpid()
for _ in {rounds}:
    try:
        os.fork()
    except OSError:
        break
if os.getpid() == main:
    tell(); wait()
signal.pause()
"""
    run = await stage.started(script, processes=24)
    if "pids" in stage.enforced:
        assert len(processes_of(run.id)) <= 24 + 6
    other = await stage.finish(a_run("print('still here')"))
    assert other.log == "still here\n"
    await stage.engine.cancel(run.id, grace_seconds=0.1)
    await stage.ended(run.id)
    assert processes_of(run.id) == []


@pytest.mark.parametrize(
    "hog",
    [
        "held = bytearray(b'x') * (192 << 20)",
        "held = [bytearray(b'x') * (1 << 20) for _ in range(192)]",
        "fd = os.memfd_create('a'); [os.write(fd, bytes(1 << 20)) for _ in range(192)]",
        "import mmap; held = mmap.mmap(-1, 192 << 20); [held.write(bytes(1 << 20)) for _ in range(192)]",
        "[os.write(os.pipe2(os.O_NONBLOCK)[1], bytes(1 << 16)) for _ in range(4000)]",
        "pids = [os.fork() for _ in range(3)]; held = bytearray(b'x') * (48 << 20); signal.pause() if 0 in pids else 0; os.wait()",
    ],
    ids=["one block", "many blocks", "memory file", "shared memory", "pipes", "many processes"],
)
async def test_a_memory_hog_ends_itself_alone(stage: Stage, hog: str) -> None:
    run = a_run(f"{hog}\nprint('had it all', flush=True)", memory_bytes=48 << 20, disk_bytes=4 << 20)
    finished = await stage.finish(run)
    assert finished.exit.failure == ""
    if "memory" in stage.enforced:
        assert finished.exit.out_of_memory or finished.exit.code != 0
    assert processes_of(run.id) == []
    assert (await stage.finish(a_run("print('still here')"))).log == "still here\n"


async def test_a_flood_of_the_log_is_dropped_and_slows_nobody(stage: Stage) -> None:
    script = """
block = b"y" * (1 << 16)
for _ in range(1000):
    os.write(1, block)
Path("/data/outputs/done").touch()
"""
    run = a_run(script, log_bytes=1 << 16)
    finished = await stage.finish(run)
    assert "done" in finished.outputs
    assert len(finished.log) <= (1 << 16) + 100
    assert finished.log.rstrip("\n").endswith("]")


async def test_a_flood_without_end_is_ended(stage: Stage) -> None:
    run = await stage.started("tell()\nwhile True: os.write(1 + os.getpid() % 2, bytes(1 << 16))", log_bytes=4096)
    await stage.engine.cancel(run.id)
    seen = await stage.ended(run.id)
    assert (seen.code, seen.ended_by) == (143, "stopped")
    assert len(await stage.log(run.id)) < 5000


async def test_a_daemon_that_floods_does_not_keep_the_log_open(stage: Stage) -> None:
    script = """
def flood():
    while True:
        os.write(1, b"z" * 4096)
for _ in range(3):
    daemon(flood)
"""
    run = a_run(script, log_bytes=4096)
    finished = await stage.finish(run)
    assert len(finished.log) < 5000
    assert processes_of(run.id) == []


async def test_what_can_be_opened_and_asked_for_is_bounded(stage: Stage) -> None:
    script = """
import resource
found = {}
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
try:
    found["more files"] = resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))
except ValueError:
    found["more files"] = "refused"
found["cores"] = resource.getrlimit(resource.RLIMIT_CORE)
found["nice"] = attempt(os.setpriority, os.PRIO_PROCESS, 0, -10)
found["real time"] = attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
found["score"] = write("/proc/self/oom_score_adj", "-1000") in ("EROFS", "EACCES")
found["locked"] = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] < 1 << 30
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as problem:
    found["files"] = len(held) < 10_000
say(found)
"""
    assert await stage.said(script) == {
        "more files": "refused",
        "cores": [0, 0],
        "nice": "EACCES",
        "real time": "EPERM",
        "score": True,
        "locked": True,
        "files": True,
    }
