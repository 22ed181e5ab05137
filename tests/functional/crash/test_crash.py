"""The service is killed with SIGKILL at every step of every kind of job, for real, more than a hundred times."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.functional.crash.victim import HELD, KEY, settings_for
from tests.support.policies import UNCHECKED

from cove.core.job import Container, InputAsset, Job, JobId, Package, Resources, SealedFiles
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.jobs.steps import pack
from cove.stores.reviews import SqlReviewStore
from cove.stores.sql import SqlJobStore

ROOT = Path(__file__).parents[3]
#: Seconds that a service may take, on a busy machine too.
PATIENCE = 120
CHECKSUM = "sha256:" + "0" * 64
DID = "did:op:" + "a" * 64

KINDS = {
    "good": (
        "import os;open(os.environ['OUTPUTS']+'/r.txt','w').write("
        f"open('/data/inputs/{'a' * 64}/0').read().upper());print('fine')"
    ),
    "held": f"import os;open(os.environ['OUTPUTS']+'/{HELD}','w').write('rows')",
    "exit": "import os,sys;open(os.environ['OUTPUTS']+'/part.txt','w').write('part');sys.exit(3)",
    "memory": "x=[]\nwhile True: x.append(b'x'*(1<<20))",
    "time": "import time;print('waiting',flush=True);time.sleep(300)",
}
EXPECTED = {
    "good": ("succeeded", ""),
    "held": ("succeeded", ""),
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
    #: Starts services, see ``victim``.
    services: subprocess.Popen[str]

    def run(self, point: str) -> int:
        """Run a service until it ends, and give its exit code."""
        assert self.services.stdin is not None
        assert self.services.stdout is not None
        self.services.stdin.write(f"{point}\n")
        self.services.stdin.flush()
        if not select.select([self.services.stdout], [], [], PATIENCE)[0]:
            os.killpg(self.services.pid, signal.SIGKILL)
            pytest.fail(f"the service that was to die at {point} goes on and on")
        return int(self.services.stdout.readline())

    def printed(self) -> str:
        """Give what the last service wrote."""
        return (self.folder / "printed").read_text("ascii")


def _job(job_id: JobId, number: int, seconds: int) -> Job:
    return Job(
        id=job_id,
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
        policy=UNCHECKED,
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
        # No other one's: what runs on this host is named after it.
        job = _job(JobId(secrets.token_hex(16)), number, 1 if kind == "time" else 60)
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
    words = [sys.executable, "-m", "tests.functional.crash.victim", str(tmp_path)]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as services:
        yield Scene(tmp_path, jobs, services)
        assert services.stdin is not None
        services.stdin.close()
        services.wait(PATIENCE)
    assert not _left_behind(tmp_path), "a process, mount or folder was left behind"


def _left_behind(folder: Path) -> list[str]:
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command and process.parent.name != str(os.getpid()):
            found.append(f"process {process.parent.name}")
    for name in ("workspaces", "engine", "airlock"):
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
        ("add", (1,)),
        ("settle", (1,)),
        ("remove", (1, 2)),
    )
    for number in numbers
    for when in ("before", "after")
]
#: In parts, which may run at the same time; each begins at another point.
PARTS, KILLS = 5, 20


@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_kills_lose_nothing(scene: Scene, part: int) -> None:
    first = part * len(POINTS) // PARTS
    asyncio.run(_check_all(scene, [*POINTS[first:], *POINTS[:first]]))


async def _check_all(scene: Scene, points: Sequence[str]) -> None:
    """Kill over and over on one set of jobs until all are done, then begin again."""
    kills = 0
    for point in itertools.cycle(points):
        if kills >= KILLS:
            break
        code = await asyncio.to_thread(scene.run, point)
        if code == -signal.SIGKILL:
            kills += 1
        else:
            assert code == 0, point
            _check(scene, point)
            await _again(scene)
    assert await asyncio.to_thread(scene.run, "none") == 0
    _check(scene)


async def _again(scene: Scene) -> None:
    """Forget all jobs and queue them anew."""
    store = SqlJobStore(f"sqlite:///{scene.folder / 'state' / 'cove.db'}")
    await store.start()
    vault = KeyVault(Account.from_hex(KEY))
    for number, kind in enumerate(EXPECTED, start=1):
        await SqlReviewStore(store).remove(scene.jobs[kind])
        await store.remove(scene.jobs[kind])
        await store.add(_job(scene.jobs[kind], number, 1 if kind == "time" else 60), _package(vault, kind))
    await store.close()


def _check(scene: Scene, point: str = "none") -> None:
    jobs = {record["id"]: record["job"] for record in map(json.loads, scene.printed().splitlines())}
    assert set(jobs) == set(scene.jobs.values()), "a job was lost"
    for kind, (outcome, reason) in EXPECTED.items():
        job = jobs[scene.jobs[kind]]
        if job["reason"] == "run_lost":
            continue
        assert job["outcome"] == outcome, (kind, job)
        assert reason is None or job["reason"] == reason, (kind, job)
        names = [name for name, _, _ in job["results"]]
        assert names[-1:] == ["receipt.json"], (kind, job)
        assert names.count("receipt.json") == 1, (kind, job)
        if kind == "good":
            assert names == ["configuration.log", "algorithm.log", "r.txt", "outputs.tar", "receipt.json"], point
        if kind == "held":
            assert names == ["configuration.log", "algorithm.log", HELD, "outputs.tar", "receipt.json"], (
                point,
                names,
                job["verdicts"],
            )
        if kind == "exit":
            assert "part.txt" in names, (point, job)
