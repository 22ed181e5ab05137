"""Five hundred trivial jobs, two at a time: Cove's whole way for each, beside bare bubblewrap running all of them.

    python benchmarks/queued.py [--jobs 500] [--rounds 3] [--folder /tmp]

The jobs are stored first (their orders were checked when they were accepted), then the loop is started, in a process
of its own; the time is from there until the last job is done with its results released. All take turns. Beside the
sandbox (``bare``), bubblewrap without the cgroups and the user that are part of it is measured too (``bwrap``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from _bare import ALGORITHM, TABLE, Bare
from pydantic import SecretStr

from cove.core.job import Container, InputAsset, Job, JobId, Outcome, Package, SealedFiles
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.jobs.reconciler import Reconciler
from cove.jobs.steps import pack
from cove.ports import JobQuery
from cove.settings import EnvironmentSettings, LocalRootSettings, Settings
from cove.wiring.assembly import open_cove

AT_A_TIME = 2
GOAL = 1.5
DID = "did:op:" + "a" * 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--once", type=Path, help="(its own) run all jobs in this folder, and print the seconds")
    options = parser.parse_args()
    if options.once is not None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as ``cove serve`` does
            print(runner.run(run_all(options.once, options.jobs)))
        return
    taken: dict[str, list[float]] = {"cove": [], "bare": [], "bwrap": []}
    for number in range(options.rounds):
        for name in sorted(taken, reverse=bool(number % 2)):
            with tempfile.TemporaryDirectory(dir=options.folder) as made:
                folder = Path(made)
                folder.chmod(0o755)
                taken[name].append(RUNS[name](folder, options.jobs))
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        each = median / options.jobs * 1000
        print(f"{name:5} {options.jobs} jobs, {AT_A_TIME} at a time  {median:7.2f} s  ({each:.1f} ms each)")
    for name, goal in (("bare", f"goal: under {GOAL}"), ("bwrap", "no goal")):
        ratios = [cove / other for cove, other in zip(taken["cove"], taken[name], strict=True)]
        print(f"cove / {name:5}                     {statistics.median(ratios):7.2f}    ({goal})")


def alone(folder: Path, count: int) -> float:
    return Bare(folder).run_all(count, AT_A_TIME)


def bubblewrap_alone(folder: Path, count: int) -> float:
    return Bare(folder, limited=False).run_all(count, AT_A_TIME)


def in_process(folder: Path, count: int) -> float:
    command = [sys.executable, __file__, "--once", str(folder), "--jobs", str(count)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


RUNS = {"cove": in_process, "bare": alone, "bwrap": bubblewrap_alone}


async def run_all(folder: Path, count: int) -> float:
    (folder / "data").mkdir()
    (folder / "data" / "table").write_text(TABLE)
    key = secrets.token_hex(32)
    settings = Settings(
        state_dir=folder / "state",
        key=SecretStr(key),
        environments=(EnvironmentSettings(id="default", max_jobs=AT_A_TIME),),
        local={"data": LocalRootSettings(path=folder / "data", publishers=("*",))},
        log_level="error",
    )
    async with open_cove(settings, loop=False) as cove:
        sealed = cove.parts.vault.seal(pack(package(KeyVault(Account.from_hex(key)))))
        environment = cove.parts.environments["default"]
        for number in range(count):
            await cove.parts.store.add(
                Job(
                    id=JobId(secrets.token_hex(16)),
                    owner="0x" + "1" * 40,
                    chain_id=8996,
                    environment=environment.id,
                    agreement_id=f"0x{number:064x}",
                    dataset_dids=(DID,),
                    algorithm_did="",
                    resources=environment.resources,
                    created_at=time.time(),
                    expires_at=time.time() + 3600,
                    order_keys=(f"8996:0x{number:064x}:0x0:0",),
                ),
                sealed,
            )
        return await time_of_all(Reconciler(cove.parts), count)


async def time_of_all(reconciler: Reconciler, count: int) -> float:
    store = reconciler.parts.store
    reconciler.listen_to_engines()
    began = time.time()
    loop = asyncio.create_task(reconciler.run())
    while sum(await store.counts("default")):  # noqa: ASYNC110 - a listener for each change would be work of its own
        await asyncio.sleep(0.05)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    ended = await store.find(JobQuery(limit=count + 1))
    assert len(ended) == count
    for job in ended:
        assert job.outcome is Outcome.SUCCEEDED, job
        assert [result.filename for result in job.results][-3:-1] == ["sum.json", "outputs.tar"]
    return max(job.finished_at or 0.0 for job in ended) - began


def package(vault: KeyVault) -> Package:
    nft, token = "0x" + "2" * 40, "0x" + "3" * 40
    file = {"type": "local", "root": "data", "path": "table"}
    files = {"datatokenAddress": token, "nftAddress": nft, "files": [file]}
    sealed = SealedFiles("0x" + vault.encrypt(json.dumps(files).encode()).hex(), token, nft)
    code = ALGORITHM.replace("/data/inputs/table", f"/data/inputs/{'a' * 64}/0")
    return Package(
        (InputAsset(DID, "1", sealed, publisher="0x" + "4" * 40),),
        InputAsset("", "", None),
        Container("cove/host", "", "sha256:" + "0" * 64, "python3 $ALGO"),
        code,
    )


if __name__ == "__main__":
    main()
