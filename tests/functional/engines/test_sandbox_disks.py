"""Disks that are too large for memory: ext4 in a file of the host, of which nothing is left whoever dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.runs import Channel, Stage, a_run, died, processes_of
from tests.support.sandboxes import sandbox

from cove.core.errors import NoSpace
from cove.core.lifecycle import Exited

MEBIBYTE = 1 << 20
PATIENCE = 120.0


@pytest.fixture
async def stage(tmp_path: Path, channel: Channel) -> AsyncIterator[Stage]:
    """A sandbox that keeps every disk in a file."""
    async with sandbox(tmp_path, channel, disk_in_memory=0) as made:
        if "ext4" not in made.engine.enforcement()["disk"]:
            pytest.skip("a disk in a file needs root, mkfs.ext4 and loop devices: run the tests there")
        yield made


def images_of(stage: Stage) -> list[str]:
    """List what loop devices of this host stand upon below the engine's folder, its name or not."""
    found = []
    for device in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            found.append(device.read_text().strip())
    return [place for place in found if place.startswith(f"{stage.folder}/engine/")]


def wait_until_gone(stage: Stage) -> None:
    """The system takes a loop device away in its own time, and tells nobody."""
    until = time.monotonic() + PATIENCE
    while images_of(stage):
        assert time.monotonic() < until, images_of(stage)


def wait_for_space(folder: Path, size: int) -> None:
    """The system takes a file without a name away in its own time, too."""
    until = time.monotonic() + PATIENCE
    while shutil.disk_usage(folder).free < size:
        assert time.monotonic() < until


async def test_a_run_gets_what_was_promised_and_no_more(stage: Stage) -> None:
    script = """
block, count, files = bytes(1 << 16), 0, 0
with open("/data/outputs/big", "wb", 0) as file:
    try:
        while True:
            count += file.write(block)
    except OSError as problem:
        full = errno.errorcode[problem.errno]
os.truncate("/data/outputs/big", 1 << 20)
for folder in ("/tmp", "/home/job", "/dev/shm", "/data/logs", "/data/outputs", "/"):
    try:
        for number in range(5000):
            os.symlink("x", f"{folder}/link{number}")
            files += 1
    except OSError as problem:
        out_of_files = errno.errorcode[problem.errno]
kind = [line.split()[2] for line in open("/proc/mounts") if line.split()[1] == "/data/outputs"]
say([count, full, files, out_of_files, kind])
"""
    count, full, files, out_of_files, kind = await stage.said(script, disk_bytes=64 * MEBIBYTE, inodes=500)
    assert kind == ["ext4"]
    assert (full, out_of_files) == ("ENOSPC", "ENOSPC")
    assert 63 * MEBIBYTE <= count <= 66 * MEBIBYTE
    assert 450 <= files <= 800
    wait_until_gone(stage)


async def test_outputs_come_back_and_the_memory_limit_is_memory_alone(stage: Stage) -> None:
    script = """
with open("/data/outputs/big", "wb", 0) as file:
    for number in range(160):
        file.write(bytes([number]) * (1 << 20))
print(os.path.getsize("/data/outputs/big"), flush=True)
"""
    run = a_run(script, disk_bytes=256 * MEBIBYTE, memory_bytes=64 * MEBIBYTE)
    finished = await stage.finish(run)
    assert (finished.exit.code, finished.exit.out_of_memory, finished.exit.failure) == (0, False, "")
    content = finished.outputs["big"]
    assert content is not None
    assert len(content) == 160 * MEBIBYTE
    assert all(content[number * MEBIBYTE] == number for number in range(160))
    hog = await stage.finish(a_run("held = bytearray(b'x') * (128 << 20)", memory_bytes=48 * MEBIBYTE))
    if "memory" in stage.enforced:
        assert hog.exit.out_of_memory or hog.exit.code != 0


async def test_a_run_finds_nothing_of_the_disk_itself(stage: Stage) -> None:
    script = """
devices = [name for name in os.listdir("/dev") if name.startswith(("loop", "vd", "sd"))]
say([devices, os.path.exists("/lost+found"), os.path.exists("/data/outputs/lost+found"),
     attempt(os.mknod, "/tmp/loop0", 0o60600, os.makedev(7, 0)), attempt(os.mknod, "/data/outputs/z", 0o60600, os.makedev(7, 0))])
"""
    devices, *found = await stage.said(script)
    assert devices == []
    assert found == [False, False, "EPERM", "EPERM"]


async def test_nothing_has_a_name_while_a_run_goes_on(stage: Stage) -> None:
    run = a_run("tell(); wait()", *stage.channel.binds)
    await stage.begin(run)
    (image,) = images_of(stage)
    assert image.endswith("(deleted)")
    assert not [place for place in (stage.folder / "engine" / run.id).iterdir() if place.stat().st_size > MEBIBYTE]
    stage.channel.answer()
    assert (await stage.ended(run.id)).code == 0
    wait_until_gone(stage)


async def test_nothing_is_left_when_a_supervisor_is_killed(stage: Stage) -> None:
    run = a_run("daemon(signal.pause)\ntell(); wait()", *stage.channel.binds)
    await stage.begin(run)
    tree = processes_of(run.id)
    stage.lose(run.id)
    await died(tree)
    wait_until_gone(stage)
    seen = await stage.observe(run.id)
    assert isinstance(seen, Exited)
    assert seen.failure == "lost"


async def test_nothing_is_left_of_a_run_that_is_removed(stage: Stage) -> None:
    run = a_run("daemon(signal.pause)\ntell(); wait()", *stage.channel.binds)
    await stage.begin(run)
    await stage.engine.remove(run.id)
    wait_until_gone(stage)


async def test_many_at_once_have_a_disk_each(stage: Stage) -> None:
    runs = [a_run(f"Path('/data/outputs/a').write_text('{number}' * 9)") for number in range(6)]
    for run in runs:
        await stage.engine.submit(run)
    found = [await stage.finished(run.id) for run in runs]
    assert [finished.outputs for finished in found] == [{"a": str(number).encode() * 9} for number in range(6)]
    wait_until_gone(stage)


# ------------------------------------------------------------------------------------------------ a full host


@pytest.fixture(params=["tmpfs", "ext4"])
def little(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of 192 MiB for the engine's folder."""
    folder, image = tmp_path / "engine", tmp_path / "image"
    folder.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=192m,mode=0700", "cove-test", str(folder)]
    if request.param == "ext4":
        image.touch()
        os.truncate(image, 192 * MEBIBYTE)
        made = subprocess.run(["mkfs.ext4", "-q", str(image)], capture_output=True, check=False)
        words = ["mount", "-o", "loop", str(image), str(folder)] if made.returncode == 0 else ["false"]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system: run the tests as root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_run_that_fills_the_host_ends_before_the_service_is_out_of_space(little: Path, stage: Stage) -> None:
    script = """
with open("/data/outputs/big", "wb", 0) as file:
    while True:
        file.write(os.urandom(1 << 18))
        os.fsync(file.fileno())
"""
    run = a_run(script, disk_bytes=1 << 30, memory_bytes=1 << 30)
    await stage.engine.submit(run)
    seen = await stage.ended(run.id)
    assert seen.failure == "no_space"
    assert processes_of(run.id) == []
    assert not (little / run.id / "outputs").exists()
    wait_until_gone(stage)
    await stage.engine.remove(run.id)
    wait_for_space(little, 100 * MEBIBYTE)
    assert (await stage.finish(a_run("print(1)"))).log == "1\n"


async def test_a_run_whose_writes_were_lost_is_never_taken_for_a_good_one(little: Path, stage: Stage) -> None:
    """Somebody else takes the last of the host's space at once; what the run wrote before it ended cannot be kept."""
    script = """
Path("/data/outputs/a").write_bytes(bytes(16 << 20))
tell(); wait()
"""
    run = a_run(script, *stage.channel.binds, disk_bytes=1 << 29)
    await stage.begin(run)
    with contextlib.suppress(OSError), (little / "filler").open("wb", 0) as file:
        while True:
            file.write(bytes(1 << 16))
    stage.channel.answer()
    seen = await stage.ended(run.id)
    assert seen.failure == "no_space"
    assert processes_of(run.id) == []
    with pytest.raises(NoSpace):
        await stage.engine.submit(a_run("print(1)"))
