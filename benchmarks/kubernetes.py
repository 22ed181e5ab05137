"""A trivial run on Kubernetes beside a bare Job of the same program: from its creation until its end is known.

    python benchmarks/kubernetes.py [--rounds 9] [--folder /tmp]

It needs the cluster of tests/kubernetes/cluster.sh; where none is up, nothing is measured. The two take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import kubernetes as kube

from cove.core.job import Bind, Container, JobId, Resources, Run, RunId, run_id
from cove.engines import opener
from cove.engines.kubernetes import access
from cove.engines.kubernetes.api import Cluster
from cove.ports import Engine, EnginePlace, ImageSource

GOAL_RATIO = 1.2
GOAL_SECONDS = 0.2
PATIENCE = 60.0


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    os.environ["COVE_TEST_KUBERNETES"] = "1"
    cluster = kube.found()
    if cluster is None:
        print("no cluster: nothing is measured (tests/kubernetes/cluster.sh up)")
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        place = EnginePlace(
            "kubernetes", Path(folder) / "own", {"image": ImageSource("registry", kube.KEEPER)},
            {
                "claim": cluster.claim(Path(folder)), "folder": folder, "kubeconfig": str(cluster.account),
                "keeper_image": kube.KEEPER, "isolated_runtime_class": "no-network", "cpu_reserved": 0.1,
            },
        )  # fmt: skip
        engine = opener("kubernetes")(place)
        owner = Cluster(access.of_file(cluster.state / "admin.kubeconfig"), kube.NAMESPACE)
        await engine.start()
        try:
            await measure(engine, owner, options.rounds)
        finally:
            for run in await engine.runs():
                await engine.remove(run)
            await engine.close()
            await owner.close()


async def measure(engine: Engine, owner: Cluster, rounds: int) -> None:
    ended: dict[RunId, asyncio.Event] = {}
    engine.on_exit(lambda run: ended[run].set())
    seconds: dict[str, list[float]] = {"cove": [], "bare": []}
    for number in range(rounds + 1):
        for name in sorted(seconds, reverse=bool(number % 2)):
            taken = await (one_run(engine, ended) if name == "cove" else bare(owner))
            if number:  # the first round warms the caches
                seconds[name].append(taken)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    goal = GOAL_RATIO * median["bare"] + GOAL_SECONDS
    print(f"bare Job, median     {median['bare'] * 1000:7.0f} ms   ({min(seconds['bare']) * 1000:.0f} at best)")
    print(f"cove's run, median   {median['cove'] * 1000:7.0f} ms   (goal: under {goal * 1000:.0f})")
    print(f"cove / bare          {median['cove'] / median['bare']:7.2f}")


async def one_run(engine: Engine, ended: dict[RunId, asyncio.Event]) -> float:
    run = Run(
        run_id(JobId(secrets.token_hex(16)), 1),
        Container("image", entrypoint="python3 $ALGO"),
        (Bind("", "/data/transformations/algorithm", b"pass\n"),),
        (),
        Resources(1.0, 128 << 20, 32 << 20, 1000, 32, 60, 1 << 20),
    )
    ended[run.id] = asyncio.Event()
    began = time.perf_counter()
    await engine.submit(run)
    async with asyncio.timeout(PATIENCE):
        await ended[run.id].wait()
    await engine.collect(run.id)
    taken = time.perf_counter() - began
    await engine.remove(run.id)
    return taken


async def bare(owner: Cluster) -> float:
    """Run a Job as one would write it by hand, in the same RuntimeClass."""
    name = f"bare-{secrets.token_hex(6)}"
    container = {"name": "main", "image": kube.KEEPER, "command": ["python3", "-c", "pass"]}
    pod = {
        "restartPolicy": "Never", "runtimeClassName": "no-network", "containers": [container],
        "automountServiceAccountToken": False,
    }  # fmt: skip
    body: dict[str, Any] = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": {"bare": name}},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }  # fmt: skip
    began = time.perf_counter()
    await owner.create(f"{owner.batch}/jobs", body)
    async with asyncio.timeout(PATIENCE):
        async for job in owner.watch(f"{owner.batch}/jobs", f"bare={name}"):
            if job.get("status", {}).get("conditions"):
                break
    taken = time.perf_counter() - began
    await owner.delete(f"{owner.batch}/jobs/{name}")
    return taken


if __name__ == "__main__":
    asyncio.run(main())
