"""What an algorithm may use, and what is kept of it: ``container.md`` row by row, seen from inside and from outside."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import (
    PATIENCE,
    Stage,
    a_run,
    is_folder_empty,
    mode_of,
    processes_of,
)

from cove.core.job import Container

# ------------------------------------------------------------------------------------------------ input and output


async def test_standard_input_is_empty(stage: Stage) -> None:
    assert await stage.said("say([os.readlink('/proc/self/fd/0'), sys.stdin.read()])") == ["/dev/null", ""]


async def test_both_outputs_come_in_the_order_in_which_they_were_written(stage: Stage) -> None:
    script = "for n in range(500): os.write(1 + n % 2, b'%d\\n' % n)"
    assert (await stage.finish(a_run(script))).log == "".join(f"{n}\n" for n in range(500))


async def test_the_log_is_byte_for_byte(stage: Stage) -> None:
    run = a_run("os.write(1, bytes(range(256)) * 100)")
    await stage.finish(run)
    assert await stage.engine.logs(run.id, 0, 1 << 20) == bytes(range(256)) * 100


async def test_the_log_ends_with_the_main_process_whatever_holds_it_open(stage: Stage) -> None:
    script = """
def stay():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        signal.pause()
daemon(stay)
subprocess.Popen(["sleep", "600"], start_new_session=True)
print("last words", flush=True)
os._exit(3)
"""
    run = a_run(script, *stage.channel.binds)
    finished = await stage.finish(run)
    assert (finished.exit.code, finished.log) == (3, "last words\n")
    assert finished.exit.finished_at - (finished.exit.started_at or 0) < PATIENCE
    assert processes_of(run.id) == []


async def test_files_of_the_logs_folder_come_back_beside_the_captured_log(stage: Stage) -> None:
    script = """
for name in ("algorithm.log", "deep/down.log", "log", "mine.txt"):
    Path("/data/logs", name).parent.mkdir(exist_ok=True)
    Path("/data/logs", name).write_text("forged")
os.symlink("/etc/passwd", "/data/logs/link")
print("true")
"""
    run = a_run(script)
    finished = await stage.finish(run)
    assert finished.log == "true\n"
    assert (await stage.engine.collect(run.id)).log.read_text() == "true\n"
    assert finished.logs == dict.fromkeys(["algorithm.log", "deep/down.log", "log", "mine.txt"], b"forged")
    assert finished.outputs == {}


# ------------------------------------------------------------------------------------------------ end and results


@pytest.mark.parametrize("number", [1, 2, 6, 9, 11, 13, 15])
async def test_a_signal_is_told_as_a_shell_tells_it(stage: Stage, number: int) -> None:
    script = f"signal.signal({number}, signal.SIG_DFL) if {number} != 9 else None; os.kill(os.getpid(), {number})"
    seen = (await stage.finish(a_run(script))).exit
    assert (seen.code, seen.ended_by, seen.failure) == (128 + number, "", "")


async def test_the_whole_tree_is_gone_when_a_run_has_exited(stage: Stage) -> None:
    script = """
for _ in range(5):
    daemon(signal.pause)
    subprocess.Popen([sys.executable, *sys.argv, "child"]) if "child" not in sys.argv else signal.pause()
tell()
wait()
"""
    run = a_run(script, *stage.channel.binds)
    await stage.begin(run)
    assert len(processes_of(run.id)) >= 7
    stage.channel.answer()
    seen = await stage.ended(run.id)
    assert (processes_of(run.id), seen.code) == ([], 0)


async def test_regular_files_are_collected_with_their_folders(stage: Stage) -> None:
    script = r"""
os.chdir("/data/outputs")
os.makedirs("a/b/c")
os.mkdir("empty")
for name in ("top", "a/b/c/deep", "a/.hidden", "zero", "sp ace \n", "ü"):
    Path(name).write_text(name if name != "zero" else "")
Path(os.fsdecode(b"\xff\xfe")).write_text("no unicode")
os.link("top", "a/same")
with open("sparse", "wb") as file:
    file.truncate(1 << 20)
"""
    finished = await stage.finish(a_run(script))
    names = ["top", "a/b/c/deep", "a/.hidden", "sp ace \n", "ü"]
    expected: dict[str, bytes] = {name: name.encode() for name in names}
    expected |= {"zero": b"", os.fsdecode(b"\xff\xfe"): b"no unicode", "a/same": b"top", "sparse": bytes(1 << 20)}
    assert finished.outputs == expected


async def test_what_is_no_regular_file_is_left_behind(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
Path("plain").write_text("kept")
for number, target in enumerate(["/etc/passwd", "plain", "nowhere", "/data/inputs", "..", "/proc/1/environ"]):
    os.symlink(target, f"link{number}")
os.mkfifo("fifo")
server = socket.socket(socket.AF_UNIX)
server.bind("socket")
devices = [attempt(os.mknod, f"device{kind}", kind | 0o666, os.makedev(1, 3)) for kind in (stat.S_IFCHR, stat.S_IFBLK)]
os.mkdir("folder")
os.symlink("../plain", "folder/link")
Path("folder/plain").write_text("kept")
say(devices)
"""
    finished = await stage.finish(a_run(script))
    assert finished.said == ["EPERM", "EPERM"]
    assert finished.outputs == {"plain": b"kept", "folder/plain": b"kept"}


async def test_modes_of_the_algorithms_choice_neither_hide_nor_arm_a_file(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
os.mkdir("closed")
for name, mode in {"closed/none": 0, "setuid": 0o6777, "plain": 0o644}.items():
    Path(name).write_text("x")
    os.chmod(name, mode)
os.chmod("closed", 0)
"""
    run = a_run(script)
    finished = await stage.finish(run)
    assert finished.outputs == {"closed/none": b"x", "setuid": b"x", "plain": b"x"}
    outputs = (await stage.engine.collect(run.id)).outputs
    for place in [outputs, *outputs.rglob("*")]:
        assert mode_of(place) == (0o700 if place.is_dir() else 0o600)
        assert place.stat().st_uid == os.getuid()


async def test_nothing_written_leaves_nothing(stage: Stage) -> None:
    run = a_run("os.makedirs('/data/outputs/a/b')")
    finished = await stage.finish(run)
    assert (finished.outputs, finished.logs, finished.log) == ({}, {}, "")
    places = await stage.engine.collect(run.id)
    assert is_folder_empty(places.logs)


# ------------------------------------------------------------------------------------------------ limits


async def test_every_place_that_can_be_written_counts_for_the_disk(stage: Stage) -> None:
    """Fill whatever takes a byte: together it is never more than the limit."""
    script = """
block = bytes(1 << 16)
found, folders = {}, []
for top, below, _ in os.walk("/"):
    below[:] = [name for name in below if os.path.join(top, name) not in ("/proc", "/usr", "/etc/ssl")]
    folders.append(top)
for folder in sorted(folders):
    try:
        with open(f"{folder}/filler", "wb", 0) as file:
            try:
                while found.get(folder, 0) < 16 << 20:
                    found[folder] = found.get(folder, 0) + file.write(block)
            except OSError:
                pass
    except OSError:
        continue
say(found)
"""
    found: dict[str, int] = await stage.said(script, disk_bytes=4 << 20)
    assert found
    assert sum(found.values()) <= 4 << 20, found


async def test_every_file_counts(stage: Stage) -> None:
    script = """
count = 0
try:
    for folder in ("/data/outputs", "/tmp", "/dev/shm", "/home/job", "/data/logs", "/", "/etc", "/dev"):
        try:
            for _ in range(5000):
                os.symlink("x", f"{folder}/{count}")
                count += 1
        except OSError as problem:
            if problem.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES):
                raise
finally:
    say(count)
"""
    found = await stage.said(script, inodes=500)
    if "inodes" in stage.enforced:
        assert 500 <= found <= 750


async def test_processes_are_limited(stage: Stage) -> None:
    script = """
import threading
count, problem = 0, ""
hold = threading.Event()
try:
    for count in range(200):
        threading.Thread(target=hold.wait, daemon=True).start()
except RuntimeError as error:
    problem = str(error)
say([count, problem])
os._exit(0)
"""
    count, problem = (await stage.finish(a_run(script, processes=24, memory_bytes=4 << 30))).said
    if "pids" in stage.enforced:
        assert 16 <= count <= 28
        assert problem


async def test_processors_are_limited(stage: Stage) -> None:
    script = """
import time
begun, used = time.monotonic(), time.process_time()
while time.monotonic() - begun < 0.5:
    pass
say((time.process_time() - used) / (time.monotonic() - begun))
"""
    share = await stage.said(script, cpus=0.2)
    if "cpu" in stage.enforced:
        assert share < 0.5


# ------------------------------------------------------------------------------------------------ other images


@pytest.fixture
def small(stage: Stage) -> Path:
    """The folder of an image that has two programs, what they need, and no shell yet."""
    root = stage.folder / "small"
    for program in ("cat", "ls"):
        install(root, f"/bin/{program}", f"/usr/bin/{program}")
    (root / "bin").symlink_to("usr/bin")
    (root / "opt").mkdir()
    (root / "opt" / "note").write_text("of the image")
    for name in ("data", "tmp", "proc", "dev"):
        (root / name).mkdir()
        (root / name / "hidden").write_text("of the image")
    stage.load("small")
    return root


def install(root: Path, source: str, place: str) -> None:
    listed = subprocess.run(["ldd", source], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in listed.split() if word.startswith("/")]
    for origin, target in [(source, place), *zip(libraries, libraries, strict=True)]:
        (root / target[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(origin, root / target[1:])


def in_small(entrypoint: str) -> dict[str, Any]:
    return {"container": Container("small", "1", entrypoint=entrypoint)}


async def test_an_image_shows_its_own_files_alone(stage: Stage, small: Path) -> None:
    script = secrets.token_bytes(1000)
    assert (await stage.finish(a_run(b"a\nb\n", **in_small("cat $ALGO /opt/note")))).log == "a\nb\nof the image"
    listed = (await stage.finish(a_run(script, **in_small("ls /usr/bin /data /proc/1/cmdline /tmp")))).log
    assert "python3" not in listed
    assert "hidden" not in listed
    assert (await stage.finish(a_run(script, **in_small("python3 $ALGO")))).exit.code == 127


async def test_an_image_without_a_shell_is_not_asked_for_one(stage: Stage, small: Path) -> None:
    finished = await stage.finish(a_run(b"a\n", **in_small("cat $ALGO $ALGO *")))
    assert finished.log.startswith("a\na\n")
    assert finished.exit.code == 1
    install(small, "/bin/sh", "/usr/bin/sh")
    stage.load("small")
    finished = await stage.finish(a_run(b"a\n", **in_small("cat $ALGO && cat /opt/n*")))
    assert (finished.exit.code, finished.log) == (0, "a\nof the image")
