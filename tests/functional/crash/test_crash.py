"""The service is killed with SIGKILL at every step of every kind of job, for real, more than a hundred times."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.functional.crash.victim import KEY, settings_for

from cove.core.job import Container, InputAsset, Job, JobId, Package, Resources, SealedFiles
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.jobs.steps import pack
from cove.stores.sql import SqlJobStore

ROOT = Path(__file__).parents[3]
CHECKSUM = "sha256:" + "0" * 64
DID = "did:op:" + "a" * 64

KINDS = {
    "good": (
        "import os;open(os.environ['OUTPUTS']+'/r.txt','w').write("
        f"open('/data/inputs/{'a' * 64}/0').read().upper());print('fine')"
    ),
    "exit": "import os,sys;open(os.environ['OUTPUTS']+'/part.txt','w').write('part');sys.exit(3)",
    "memory": "x=[]\nwhile True: x.append(b'x'*(1<<20))",
    "time": "import time;print('waiting',flush=True);time.sleep(300)",
}
EXPECTED = {
    "good": ("succeeded", ""),
    "exit": ("algorithm_failed", "exit_code_3"),
    "memory": ("algorithm_failed", None),
    "time": ("timed_out", "time_limit"),
    "stop": ("stopped", "stopped"),
    "image": ("algorithm_failed", "image_refused"),
    "missing": ("provider_failed", "data_unavailable"),
}


@dataclass(frozen=True)
class Scene:
    """One state folder with jobs of every kind in it."""

    folder: Path
    jobs: dict[str, JobId]


def _job(number: int, seconds: int) -> Job:
    return Job(
        id=JobId(f"{number:032x}"),
        owner="0x" + "1" * 40,
        chain_id=8996,
        environment="default",
        agreement_id=f"0x{number:064x}",
        dataset_dids=(DID,),
        algorithm_did="",
        resources=Resources(1.0, 128 << 20, 32 << 20, 1000, 32, seconds, 10_000),
        created_at=float(number),
        expires_at=0.0,
        order_keys=(f"8996:0x{number:064x}:0x0:0",),
    )


def _package(vault: KeyVault, kind: str) -> bytes:
    nft, token = "0x" + "2" * 40, "0x" + "3" * 40
    path = "nothing.csv" if kind == "missing" else "input.csv"
    files = {"datatokenAddress": token, "nftAddress": nft, "files": [{"type": "local", "root": "data", "path": path}]}
    sealed = SealedFiles("0x" + vault.encrypt(json.dumps(files).encode()).hex(), token, nft)
    image = "cove/broken" if kind == "image" else "cove/host"
    package = Package(
        (InputAsset(DID, "1", sealed, publisher="0x" + "4" * 40),),
        InputAsset("", "", None),
        Container(image, "", CHECKSUM, "python3 $ALGO"),
        KINDS.get(kind, KINDS["time" if kind == "stop" else "good"]),
    )
    return vault.seal(pack(package))


async def _fill(folder: Path) -> dict[str, JobId]:
    settings = settings_for(folder)
    vault = KeyVault(Account.from_hex(KEY))
    (folder / "state").mkdir(mode=0o700)
    store = SqlJobStore(f"sqlite:///{settings.state_dir.absolute() / 'cove.db'}")
    await store.start()
    jobs: dict[str, JobId] = {}
    for number, kind in enumerate(EXPECTED, start=1):
        job = _job(number, 1 if kind == "time" else 60)
        await store.add(job, _package(vault, kind))
        jobs[kind] = job.id
    await store.close()
    return jobs


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "input.csv").write_text("a,b\n1,2\n")
    os.chmod(tmp_path, 0o755)  # noqa: S103, PTH101 - the sandbox's user reads the data
    jobs = asyncio.run(_fill(tmp_path))
    (tmp_path / "jobs").write_text("\n".join(jobs.values()))
    (tmp_path / "stop").write_text(jobs["stop"])
    yield Scene(tmp_path, jobs)
    assert not _left_behind(tmp_path), "a process, mount or folder was left behind"


def _run(scene: Scene, point: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.functional.crash.victim", str(scene.folder), point],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def _left_behind(folder: Path) -> list[str]:
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command and process.parent.name != str(os.getpid()):
            found.append(f"process {process.parent.name}")
    for name in ("workspaces", "engine"):
        found += [
            str(entry) for entry in (folder / "state" / name).glob("*-*" if name == "engine" else "*") if entry.is_dir()
        ]
    return found


POINTS = [
    f"{call}:{number}:{when}"
    for call, numbers in (
        ("save", (1, 2, 3, 5, 8)),
        ("submit", (1, 2)),
        ("collect", (1, 2)),
        ("put", (1, 3)),
        ("remove", (1, 2)),
    )
    for number in numbers
    for when in ("before", "after")
]
KILLS = 100


def test_a_hundred_kills_lose_nothing(scene: Scene) -> None:
    asyncio.run(_check_all(scene))


async def _check_all(scene: Scene) -> None:
    """Kill over and over on one set of jobs until all are done, then begin again: each point is used once."""
    kills = 0
    for point in itertools.cycle(POINTS):
        if kills >= KILLS:
            break
        ended = await asyncio.to_thread(_run, scene, point)
        if ended.returncode == -signal.SIGKILL:
            kills += 1
        else:
            assert ended.returncode == 0, ended.stderr
            _check(scene, ended.stdout, point)
            await _again(scene)
    ended = await asyncio.to_thread(_run, scene, "none")
    assert ended.returncode == 0, ended.stderr
    _check(scene, ended.stdout)


async def _again(scene: Scene) -> None:
    """Forget all jobs and queue them anew."""
    store = SqlJobStore(f"sqlite:///{scene.folder / 'state' / 'cove.db'}")
    await store.start()
    vault = KeyVault(Account.from_hex(KEY))
    for number, kind in enumerate(EXPECTED, start=1):
        await store.remove(scene.jobs[kind])
        await store.add(_job(number, 1 if kind == "time" else 60), _package(vault, kind))
    await store.close()


def _check(scene: Scene, printed: str, point: str = "none") -> None:
    jobs = {record["id"]: record["job"] for record in map(json.loads, printed.splitlines())}
    assert set(jobs) == set(scene.jobs.values()), "a job was lost"
    for kind, (outcome, reason) in EXPECTED.items():
        job = jobs[scene.jobs[kind]]
        if job["reason"] == "run_lost":
            continue
        assert job["outcome"] == outcome, (kind, job)
        assert reason is None or job["reason"] == reason, (kind, job)
        names = [name for name, _, _ in job["results"]]
        if kind == "good":
            assert names == ["configuration.log", "algorithm.log", "r.txt", "outputs.tar"], (point, job)
        if kind == "exit":
            assert "part.txt" in names, (point, job)
