"""Five thousand jobs that wait behind a run that takes long, beside fifty: what looks at them cost.

    python benchmarks/waiting.py [--many 5000] [--few 50] [--seconds 10] [--asks 3000] [--folder /tmp]

Each is a process of its own with a database of its own and the real loop over the real sandbox, whose only slot is
taken. The jobs are those of eight consumers. Measured are

- the CPU time of the whole process per look of the loop at everything, ten looks a second;
- the resident memory of the process after that;
- the CPU time of a status by jobId with place and expected wait, of jobs all over the queue, ten at a time;
- that of the list of environments;
- that of putting one more job into the queue, with its turn.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from _bare import TABLE
from pydantic import SecretStr
from queued import DID, package

from cove.core.job import Job, JobId, Outcome, Package, Phase
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.jobs.reconciler import Reconciler
from cove.jobs.service import JobService
from cove.jobs.steps import pack
from cove.ports import JobQuery
from cove.settings import EnvironmentSettings, LocalRootSettings, Settings
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove

LOOKS_A_SECOND = 10
AT_ONCE = 10
GOAL = 1.5
"""How many times as much as with few jobs it may cost with many."""
FIGURES = {
    "a look of the loop": "ms",
    "memory": "MiB",
    "a status": "ms",
    "environments": "ms",
    "one more job": "ms",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--few", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--asks", type=int, default=3000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--once", type=int, help="(its own) measure with so many jobs, and print JSON")
    options = parser.parse_args()
    if options.once is not None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as ``cove serve`` does
            print(json.dumps(runner.run(measure(options.folder, options.once, options.seconds, options.asks))))
        return
    few, many = (in_process(options, count) for count in (options.few, options.many))
    print(f"{'':20} {options.few:>7} waiting {options.many:>7} waiting   ratio (goal: under {GOAL})")
    for name, unit in FIGURES.items():
        ratio = many[name] / few[name]
        print(f"{name:20} {few[name]:10.3f} {unit:4} {many[name]:10.3f} {unit:4} {ratio:7.2f}")


def in_process(options: argparse.Namespace, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        Path(made).chmod(0o755)
        command = [
            sys.executable, __file__, "--once", str(count), "--folder", made,
            "--seconds", str(options.seconds), "--asks", str(options.asks),
        ]  # fmt: skip
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        measured: dict[str, float] = json.loads(printed)
        return measured


async def measure(folder: Path, count: int, seconds: float, asks: int) -> dict[str, float]:
    (folder / "data").mkdir()
    (folder / "data" / "table").write_text(TABLE)
    key = secrets.token_hex(32)
    settings = Settings(
        state_dir=folder / "state",
        key=SecretStr(key),
        environments=(EnvironmentSettings(id="default", max_jobs=1),),
        local={"data": LocalRootSettings(path=folder / "data", publishers=("*",))},
        poll_seconds=1 / LOOKS_A_SECOND,
        log_level="error",
    )
    async with open_cove(settings, loop=False) as cove:
        plain = package(KeyVault(Account.from_hex(key)))
        first = await put(cove, 0, dataclasses.replace(plain, rawcode="import time\ntime.sleep(3600)\n"))
        for number in range(1, 21):
            await put(cove, number, plain, phase=Phase.DONE)
        waits = [(await put(cove, 100 + number, plain)).id for number in range(count)]
        reconciler = Reconciler(cove.parts)
        jobs = JobService(cove.parts, reconciler)
        try:
            figures = await of_the_loop(reconciler, first.id, seconds)
            asked = [waits[(7919 * number) % count] for number in range(asks)]
            figures["a status"] = await cpu_of(asks, lambda number: jobs.find(JobQuery(job_id=asked[number])))
            figures["environments"] = await cpu_of(asks, lambda _: jobs.environments())
            figures["one more job"] = await cpu_of(500, lambda number: put(cove, 100_000 + number, plain))
            return figures
        finally:
            await cove.parts.engines["sandbox"].remove(first.run_id)


async def of_the_loop(reconciler: Reconciler, first: JobId, seconds: float) -> dict[str, float]:
    """Let the loop fill the slot and the place behind it, and then look on for some seconds."""
    changed = asyncio.Event()
    reconciler.listeners.add(lambda _: changed.set())
    reconciler.listen_to_engines()
    running = asyncio.create_task(reconciler.run())
    store = reconciler.parts.store
    while len([job for job in await store.active() if job.phase in {Phase.RUNNING, Phase.SUBMITTING}]) < 2:
        await asyncio.wait_for(changed.wait(), 60)
        changed.clear()
    began = time.process_time()
    await asyncio.sleep(seconds)
    used = time.process_time() - began
    job = await store.get(first)
    assert job is not None
    assert job.phase is Phase.RUNNING, job
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return {
        "a look of the loop": used / (seconds * LOOKS_A_SECOND) * 1000,
        "memory": resident_mebibytes(),
    }


async def cpu_of(count: int, ask: Callable[[int], Awaitable[object]]) -> float:
    """Give the milliseconds of CPU time per question, ten of which are under way at a time."""
    began = time.process_time()
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(ask(number) for number in range(start, min(count, start + AT_ONCE))))
    return (time.process_time() - began) / count * 1000


async def put(cove: Cove, number: int, plain: Package, phase: Phase = Phase.ACCEPTED) -> Job:
    environment = cove.parts.environments["default"]
    now = time.time()
    done = phase is Phase.DONE
    job = Job(
        id=JobId(secrets.token_hex(16)),
        owner=f"0x{number % 8:040x}",
        chain_id=8996,
        environment=environment.id,
        agreement_id=f"0x{number:064x}",
        dataset_dids=(DID,),
        algorithm_did="",
        resources=environment.resources,
        created_at=now,
        expires_at=now + 3600,
        order_keys=(f"8996:0x{number:064x}:0x0:0",),
        phase=phase,
        outcome=Outcome.SUCCEEDED if done else None,
        started_at=now if done else None,
        finished_at=now + 30 if done else None,
        wait_until=now + 3600,
    )
    return await cove.parts.store.add(job, cove.parts.vault.seal(pack(plain)))


def resident_mebibytes() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("VmRSS")


if __name__ == "__main__":
    main()
