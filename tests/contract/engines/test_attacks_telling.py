"""Attacks of an algorithm on what is told of it, and on what tells it: each is tried for real, and fails."""

from __future__ import annotations

import pytest
from tests.support.runs import Stage, a_run, processes_of, traces_of


async def test_the_log_cannot_be_rewritten(stage: Stage) -> None:
    script = """
print("before", flush=True)
for place in ("/proc/self/fd/1", "/proc/1/fd/1", "/dev/stdout"):
    attempt(lambda: os.close(os.open(place, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK)))
    attempt(os.truncate, place, 0)
attempt(os.ftruncate, 1, 0)
attempt(os.lseek, 1, 0, os.SEEK_SET)
import fcntl
attempt(fcntl.fcntl, 1, fcntl.F_SETFL, os.O_NONBLOCK)
attempt(fcntl.fcntl, 1, 1031, 1 << 12)
print("after", flush=True)
"""
    assert (await stage.finish(a_run(script))).log == "before\nafter\n"


async def test_the_first_process_of_the_sandbox_holds_nothing_of_ours(stage: Stage) -> None:
    script = """
found = {}
for pid in ("1", "self"):
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[f"{pid} {name}"] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
say(found)
"""
    found: dict[str, str] = await stage.said(script)
    out = found["self 1"]
    held = {name: place for name, place in found.items() if place not in {"/dev/null", out, "anon_inode:[eventfd]"}}
    if stage.traits.first_process_is_bare:
        assert held == {}
    known = stage.traits.own_places
    assert all(
        name.startswith("1 ") and (place.startswith(("pipe:", "anon_inode:")) or place in known)
        for name, place in held.items()
    ), held


TAKE_OVER = """
def take_over(code):
    for line in open("/proc/1/maps").read().splitlines():
        span, rights = line.split()[:2]
        first, last = (int(word, 16) for word in span.split("-"))
        if rights.startswith("r-x") and "vdso" not in line and "vsyscall" not in line:
            with open("/proc/1/mem", "r+b", 0) as memory:
                memory.seek(first)
                memory.write(b"\\x90" * (last - first - len(code)) + code)
# Do not die with the parent, do not tell of the end.
attempt(take_over, bytes.fromhex("b89d000000 bf01000000 31f6 0f05 ebfe"))
"""
"""Overwrites the sandbox's first process, where that can be done; the code is for x86_64 and harms no other."""


async def test_the_memory_of_other_processes_cannot_be_written(stage: Stage) -> None:
    script = """
child = os.fork()
if child == 0:
    signal.pause()
say([attempt(lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))) for pid in (1, child)])
"""
    # Where it can be done, none of these processes is the engine's.
    allowed = {"EROFS", "EACCES", "EPERM"} | (set() if stage.traits.memory_is_closed else {"done"})
    assert set(await stage.said(script)) <= allowed


async def test_a_run_that_takes_over_the_first_process_ends_all_the_same(stage: Stage) -> None:
    stubborn = """
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pause()
"""
    run = await stage.started(f"{stubborn}{TAKE_OVER}tell()")
    await stage.engine.cancel(run.id, grace_seconds=0.1)
    await stage.ended(run.id)
    assert processes_of(run.id) == []


async def test_a_run_that_took_over_the_first_process_can_be_removed(stage: Stage) -> None:
    run = await stage.started(f"{TAKE_OVER}daemon(lambda: None)\ntell(); wait()")
    await stage.engine.remove(run.id)
    assert traces_of(run.id) == []


@pytest.mark.parametrize("value", ["a\0--bind\0/\0/host", "\0", "\ud800"])
async def test_characters_that_would_end_an_option_are_refused(stage: Stage, value: str) -> None:
    for changes in ({"environment": (("MINE", value),)}, {"entrypoint": f"ls {value} /host"}):
        finished = await stage.finish(a_run("pass", **changes))
        assert finished.exit.failure in {"sandbox", ""}
        assert finished.exit.code != 0
        assert finished.outputs == {}


async def test_one_that_stops_itself_is_ended(stage: Stage) -> None:
    script = """
main = os.getpid()
if os.fork() == 0:
    while Path(f"/proc/{main}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        pass
    tell()
    signal.pause()
os.kill(main, signal.SIGSTOP)
"""
    run = await stage.started(script)
    await stage.engine.cancel(run.id, grace_seconds=0.1)
    seen = await stage.ended(run.id)
    assert (seen.code, seen.ended_by) == (137, "stopped")


async def test_what_a_daemon_writes_late_is_not_part_of_the_outputs(stage: Stage) -> None:
    script = """
Path("/data/outputs/a").write_text("true")
def forge():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        with open("/data/outputs/late", "a") as file:
            file.write("x")
daemon(forge)
"""
    run = a_run(script)
    await stage.finish(run)
    assert processes_of(run.id) == []
    places = await stage.engine.collect(run.id)
    first = {place.name: place.read_bytes() for place in places.outputs.iterdir()}
    await stage.finish(a_run("pass"))
    assert {place.name: place.read_bytes() for place in places.outputs.iterdir()} == first
    assert first["a"] == b"true"


@pytest.mark.parametrize("entrypoint", ["python3 $ALGO \x1b[2J", "\x1b]0;owned\x07", "no-such-\x1b[31mprogram"])
async def test_a_terminals_commands_stay_in_the_log(stage: Stage, entrypoint: str) -> None:
    """The log is the algorithm's own and kept byte for byte; nothing that Cove says of a run repeats any of it."""
    script = r"""
os.write(1, b"\x1b[2J\x1b]0;owned\x07\r\x08forged\n")
Path("/data/outputs/\x1b[2Jname").write_text("x")
os.mkfifo("/data/outputs/\x1b[31mpipe")
sys.exit(3)
"""
    run = a_run(script, entrypoint=entrypoint)
    finished = await stage.finish(run)
    assert finished.exit.code != 0
    assert finished.exit.detail.isprintable()
    assert finished.exit.failure.isprintable()
    if finished.exit.code == 3:
        assert finished.log.startswith("\x1b[2J\x1b]0;owned\x07\r\x08forged\n")


async def test_a_log_is_never_what_the_algorithm_makes_of_it_later(stage: Stage) -> None:
    """Read from outside before and after: it only ever grows, whatever is done to each of its ends inside."""
    script = """
print("first", flush=True)
tell(); wait()
for top in ("/proc/self/fd", "/proc/1/fd", "/dev"):
    for name in ("1", "2", "stdout", "stderr", "fd/1"):
        place = f"{top}/{name}"
        for flags in (os.O_WRONLY | os.O_TRUNC, os.O_RDWR, os.O_RDONLY):
            attempt(lambda: os.close(os.open(place, flags | os.O_NONBLOCK)))
for name in ("log", "algorithm.log", "stdout"):
    for top in ("/data/logs", "/data/outputs", "/data", "/"):
        write(f"{top}/{name}", "forged")
        attempt(os.symlink, "/proc/self/fd/1", f"{top}/{name}.link")
attempt(os.ftruncate, 1, 0); attempt(os.pwrite, 1, b"forged", 0)
reading = attempt(os.read, 1, 100)
print("last", flush=True)
"""
    run = a_run(script, *stage.channel.binds)
    await stage.begin(run)
    await stage.logged(run.id, "first\n")
    stage.channel.answer()
    finished = await stage.finished(run.id)
    assert finished.log == "first\nlast\n"
