"""Cgroups of both versions, as far as this host has them: limits as the kernel has them, and what was delegated."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.another_user import USER, become, folder_of_another
from tests.support.runs import Channel, Stage, a_run, processes_of, traces_of
from tests.support.sandboxes import sandbox

from cove.engines.sandbox import cgroups

needs_root = pytest.mark.skipif(
    os.getuid() != 0, reason="only root makes and gives away cgroups: run the tests as root"
)
MEBIBYTE = 1 << 20
LIMITS = {"memory_bytes": 48 * MEBIBYTE, "disk_bytes": 4 * MEBIBYTE, "processes": 24, "cpus": 0.2}
TOPS = cgroups.hierarchies(Path("/proc/self/mountinfo").read_text())
VERSION = 1 if "memory" in TOPS else 2


@pytest.fixture
async def stage(tmp_path: Path, channel: Channel) -> AsyncIterator[Stage]:
    async with sandbox(tmp_path, channel) as made:
        if made.engine.enforcement()["memory"] != "cgroup":
            pytest.skip("no cgroup can be used here: run the tests as root, or delegate one")
        yield made


def groups_of(run: str) -> list[Path]:
    return [Path(parent) / run for parent, folders, _ in os.walk("/sys/fs/cgroup") if run in folders]


async def test_the_kernel_has_the_limits_as_they_were_given(stage: Stage) -> None:
    run = a_run("tell(); wait()", *stage.channel.binds, **LIMITS)
    await stage.begin(run)
    found = {
        file.name: file.read_text().strip()
        for group in groups_of(run.id)
        for file in group.iterdir()
        if file.name in {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max", "memory.swap.max",
                         "pids.max", "cpu.max", "cpu.cfs_quota_us"}
    }  # fmt: skip
    memory, pids = str(52 * MEBIBYTE), "28"
    assert found.pop("pids.max") == pids
    if "cpu.max" in found:
        assert found.pop("cpu.max") == "20000 100000"
    if "cpu.cfs_quota_us" in found:
        assert found.pop("cpu.cfs_quota_us") == "20000"
    assert found.pop("memory.swap.max", "0") == "0"
    assert set(found.values()) == {memory}
    stage.channel.answer()
    await stage.ended(run.id)
    await stage.engine.remove(run.id)
    assert groups_of(run.id) == []


async def test_processors_are_held_back(stage: Stage) -> None:
    if stage.engine.enforcement()["cpu"] != "cgroup":
        pytest.skip("no cgroup limits processors here: run the tests as root, or delegate cpu")
    script = "import time; until = time.monotonic() + 1\nwhile time.monotonic() < until: pass\ntell(); wait()"
    run = a_run(script, *stage.channel.binds, **LIMITS)
    await stage.begin(run)
    told = [(group / "cpu.stat").read_text() for group in groups_of(run.id) if (group / "cpu.stat").exists()]
    assert any(int(line.split()[1]) > 0 for text in told for line in text.splitlines() if line.startswith("nr_thrott"))
    stage.channel.answer()
    await stage.ended(run.id)


async def test_memory_that_ran_out_is_told(stage: Stage) -> None:
    finished = await stage.finish(a_run("held = bytearray(b'x') * (96 << 20)", **LIMITS))
    assert (finished.exit.out_of_memory, finished.exit.code) == (True, 137)


async def test_a_run_that_is_removed_leaves_no_group(stage: Stage) -> None:
    run = a_run("daemon(signal.pause)\ntell(); wait()", *stage.channel.binds, **LIMITS)
    await stage.begin(run)
    stage.lose(run.id)
    await stage.engine.remove(run.id)
    assert processes_of(run.id) == []
    assert traces_of(run.id) == []


# ------------------------------------------------------------------------------------------------ delegated


AS_ANOTHER = """
import asyncio, json, sys
from pathlib import Path
from cove.engines.sandbox import ImageSource, SandboxConfig, SandboxEngine
from tests.support.runs import a_run

async def main(folder, name):
    engine = SandboxEngine(SandboxConfig(folder / "engine", {"host": ImageSource("host")}, cgroup=name))
    await engine.start()
    ended = asyncio.Event()
    engine.on_exit(lambda _: ended.set())
    run = a_run("held = bytearray(b'x') * (96 << 20)", memory_bytes=48 << 20, disk_bytes=4 << 20)
    await engine.submit(run)
    await asyncio.wait_for(ended.wait(), 120)
    seen = (await engine.observe([run.id]))[run.id]
    log = (await engine.logs(run.id, 0, 10_000)).decode()
    await engine.remove(run.id)
    await engine.close()
    print(json.dumps([dict(engine.enforcement()), seen.out_of_memory, seen.code, seen.detail, log]))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.fixture
def delegated() -> Iterator[tuple[str, list[Path]]]:
    """A group that another user may make groups in, and where a process must be to use it."""
    name = f"cove-test-{secrets.token_hex(6)}"
    tops = {TOPS[name] for name in cgroups.CONTROLLERS if name in TOPS} if VERSION == 1 else {TOPS[""]}
    made = [top / name for top in sorted(tops)]
    try:
        for group in made:
            group.mkdir()
            for file in [group, *(group / name for name in ("cgroup.procs", "cgroup.subtree_control", "tasks"))]:
                with contextlib.suppress(FileNotFoundError):
                    os.chown(file, USER, USER)
        yield name, made if VERSION == 2 else []
    finally:
        for group in made:
            for folder, _, _ in os.walk(group, topdown=False):
                Path(folder).rmdir()


@needs_root
def test_a_service_of_another_user_enforces_by_what_was_delegated(
    delegated: tuple[str, list[Path]], pytestconfig: pytest.Config
) -> None:
    name, start = delegated
    root = pytestconfig.rootpath
    joining = [f"echo $$ > {shlex.quote(str(group))}/cgroup.procs" for group in start]
    with folder_of_another() as place:
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        words = [*become(place, root, *joining), sys.executable, "-c", AS_ANOTHER, str(place), name]
        run = subprocess.run(words, cwd=root, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    enforcement, out_of_memory, code, detail, log = json.loads(run.stdout)
    assert {enforcement[limit] for limit in ("memory", "processes", "cpu")} == {"cgroup"}
    assert (out_of_memory, code) == (True, 137), (detail, log)
