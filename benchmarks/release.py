"""What leaving costs a trivial job: from the end of its run, as the loop sees it, to status 70 and all in its place.

    python benchmarks/release.py [--rounds 40] [--folder /tmp]

That is the inspection in a process of its own, the verdicts, the copies into the store of results, the archive, the
lines of the audit log, and the signed receipt. Beside it, in turns, the same job under a policy without leak check.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop
from _bare import TABLE
from pydantic import SecretStr
from queued import DID, package

from cove.core.job import Job, JobId, Outcome, Phase
from cove.core.releasepolicy import LeakRules, ReleasePolicy
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.jobs.reconciler import Reconciler
from cove.jobs.steps import pack
from cove.settings import EnvironmentSettings, LocalRootSettings, Settings
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove

GOAL_SECONDS = 0.05
POLICIES = {"checked": ReleasePolicy(), "unchecked": ReleasePolicy(leaks=LeakRules(check=False))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        folder.chmod(0o755)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as ``cove serve`` does
            taken = runner.run(run_all(folder, options.rounds))
    median = {name: statistics.median(seconds) * 1000 for name, seconds in taken.items()}
    print(f"the whole release step, median   {median['checked']:6.1f} ms  (goal: under {GOAL_SECONDS * 1000:.0f})")
    print(f"of it, without the leak check    {median['unchecked']:6.1f} ms")
    print(f"with / without                   {median['checked'] / median['unchecked']:6.2f}")


async def run_all(folder: Path, rounds: int) -> dict[str, list[float]]:
    (folder / "data").mkdir()
    (folder / "data" / "table").write_text(TABLE)
    key = secrets.token_hex(32)
    settings = Settings(
        state_dir=folder / "state",
        key=SecretStr(key),
        environments=(EnvironmentSettings(id="default"),),
        local={"data": LocalRootSettings(path=folder / "data", publishers=("*",))},
        log_level="error",
    )
    taken: dict[str, list[float]] = {name: [] for name in POLICIES}
    async with open_cove(settings) as cove:
        plain, watch = package(KeyVault(Account.from_hex(key))), Watch(cove.reconciler)
        for number in range(rounds + 2):
            for name in sorted(POLICIES, reverse=bool(number % 2)):
                job_id = await add(cove, pack(replace(plain, policy=POLICIES[name])))
                seconds = await watch.released(job_id)
                if number > 1:  # the first ones warm the caches
                    taken[name].append(seconds)
    return taken


class Watch:
    """Takes the time of the jobs' release steps."""

    def __init__(self, loop: Reconciler) -> None:
        self._loop = loop
        self._begin = loop.steps.filter
        self._began: dict[JobId, float] = {}
        self._changed: dict[JobId, float] = {}
        self._news = asyncio.Event()
        loop.steps.filter = self._timed  # type: ignore[method-assign]
        loop.listeners.add(self._hear)

    async def released(self, job_id: JobId) -> float:
        """Wait for a job's end, and give the seconds since its run's."""
        while True:
            await self._news.wait()
            self._news.clear()
            job = await self._loop.parts.store.get(job_id)
            if job is not None and job.phase is Phase.DONE:
                assert job.outcome is Outcome.SUCCEEDED, job
                assert names(job)[-3:] == ["sum.json", "outputs.tar", "receipt.json"], names(job)
                return self._changed[job_id] - self._began[job_id]

    async def _timed(self, job: Job) -> Job:
        self._began[job.id] = time.perf_counter()
        return await self._begin(job)

    def _hear(self, job_id: JobId) -> None:
        self._changed[job_id] = time.perf_counter()
        self._news.set()


def names(job: Job) -> Sequence[str]:
    return [result.filename for result in job.results]


async def add(cove: Cove, package: bytes) -> JobId:
    environment = cove.parts.environments["default"]
    job = Job(
        id=JobId(secrets.token_hex(16)),
        owner="0x" + "1" * 40,
        chain_id=8996,
        environment=environment.id,
        agreement_id=f"0x{secrets.randbits(256):064x}",
        dataset_dids=(DID,),
        algorithm_did="",
        resources=environment.resources,
        created_at=time.time(),
        expires_at=time.time() + 3600,
        order_keys=(f"8996:0x{secrets.randbits(256):064x}:0x0:0",),
    )
    await cove.parts.store.add(job, cove.parts.vault.seal(package))
    cove.reconciler.accepted(environment.id)
    return job.id


if __name__ == "__main__":
    main()
