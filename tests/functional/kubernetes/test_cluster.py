"""What only a real cluster can show: pull secrets, images that are not there, evictions, a lost node, who may do what."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support import kubernetes as kube
from tests.support.runs import Channel, a_run, died, processes_of

from cove.core.errors import EngineUnfit
from cove.core.job import Container, RunId
from cove.core.lifecycle import Active, Exited, Observation
from cove.engines import opener
from cove.engines.kubernetes import KubernetesEngine
from cove.ports import EnginePlace, ImageSource

PATIENCE = 300.0


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[kube.TestCluster]:
    """The cluster, whose kubelet nobody touches meanwhile but a test with ``alone``."""
    found = kube.running()
    if not found.is_ours:
        pytest.skip("breaks and mends a node: needs the cluster of tests/kubernetes/cluster.sh")
    with kube.using(found, alone="alone" in request.fixturenames):
        yield found


@pytest.fixture
def alone() -> None:
    """Ask for a cluster that no other test uses meanwhile."""


@contextlib.asynccontextmanager
async def opened(cluster: kube.TestCluster, folder: Path, **options: Any) -> AsyncIterator[KubernetesEngine]:
    root = folder / "engine"
    root.mkdir(exist_ok=True)
    registry = "127.0.0.1:16405"
    images = {
        "host": ImageSource("registry", kube.algorithms(cluster, str(folder.parent))),
        "private": ImageSource("registry", f"{registry}/cove/private:1"),
        "nowhere": ImageSource("registry", f"{registry}/cove/nowhere:1"),
        "spoilt": ImageSource("registry", "Not an image"),
    }
    given = {
        "claim": cluster.claim(folder.parent), "folder": str(root), "sub_path": str(root.relative_to(folder.parent)),
        "kubeconfig": str(cluster.account), "keeper_image": kube.KEEPER, "isolated_runtime_class": "no-network",
        "cpu_reserved": 0.02,
    }  # fmt: skip
    engine = opener("kubernetes")(EnginePlace("kubernetes", folder / "own", images, given | options))
    assert isinstance(engine, KubernetesEngine)
    await engine.start()
    try:
        yield engine
        for run in await engine.runs():
            await engine.remove(run)
    finally:
        await engine.close()


async def ended(engine: KubernetesEngine, run: RunId) -> Exited:
    """Wait for the end of a run, whether a pod tells of it or not."""
    told = asyncio.Event()
    engine.on_exit(lambda one: told.set() if one == run else None)
    async with asyncio.timeout(PATIENCE):
        while not isinstance(seen := await one_look(engine, run), Exited):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await told.wait()
    return seen


async def one_look(engine: KubernetesEngine, run: RunId) -> Observation:
    return (await engine.observe([run]))[run]


async def test_a_private_image_is_pulled_with_its_secret(cluster: kube.TestCluster, tmp_path: Path) -> None:
    run = a_run(b"echo pulled", container=Container("private", entrypoint="sh $ALGO"))
    async with opened(cluster, tmp_path, image_pull_secrets=["private-registry"]) as engine:
        await engine.submit(run)
        assert (await ended(engine, run.id)).code == 0
        assert await engine.logs(run.id, 0, 100) == b"pulled\n"


@pytest.mark.parametrize(("image", "seconds"), [("nowhere", 30), ("spoilt", 600)])
async def test_an_image_that_cannot_be_pulled_is_refused(
    cluster: kube.TestCluster, tmp_path: Path, image: str, seconds: int
) -> None:
    """A busy node takes some seconds to say what it has against an image, and must not run out of them before."""
    run = a_run(container=Container(image, entrypoint="sh $ALGO"))
    async with opened(cluster, tmp_path, pending_seconds=seconds) as engine:
        await engine.submit(run)
        seen = await ended(engine, run.id)
    assert seen.failure == "image_refused"
    assert "127.0.0.1" not in seen.detail


async def test_a_run_for_which_there_is_no_node_is_given_up(cluster: kube.TestCluster, tmp_path: Path) -> None:
    run = a_run("pass")
    async with opened(cluster, tmp_path, pending_seconds=3, node_selector={"no": "such-node"}) as engine:
        await engine.submit(run)
        assert isinstance(await one_look(engine, run.id), Active)
        seen = await ended(engine, run.id)
    assert (seen.failure, seen.detail) == ("sandbox", "No node of the cluster had room for the run in time.")


async def test_a_graphics_processor_that_no_node_has_is_asked_for(cluster: kube.TestCluster, tmp_path: Path) -> None:
    run = a_run("pass", gpus=1)
    async with opened(cluster, tmp_path, pending_seconds=3) as engine:
        await engine.submit(run)
        assert (await ended(engine, run.id)).failure == "sandbox"


async def test_what_a_cluster_does_not_take_is_the_providers_to_mend(cluster: kube.TestCluster, tmp_path: Path) -> None:
    run = a_run("pass")
    async with opened(cluster, tmp_path, gpu_resource="not a resource!") as engine:
        with pytest.raises(EngineUnfit, match="does not take"):
            await engine.submit(replace(run, resources=replace(run.resources, gpus=1)))
        assert list(await engine.runs()) == []


async def test_one_that_writes_too_much_to_a_nodes_disk_is_evicted(cluster: kube.TestCluster, tmp_path: Path) -> None:
    script = """
print('begun', flush=True)
for n in range(8):
    Path(f'/data/outputs/{n}').write_bytes(bytes(1 << 20))
signal.pause()
"""
    run = a_run(script, disk_bytes=1 << 20, time_seconds=100)
    async with opened(cluster, tmp_path, scratch="disk") as engine:
        await engine.submit(run)
        seen = await ended(engine, run.id)
        assert (seen.code, seen.failure, seen.ended_by) == (137, "", "")
        assert await engine.logs(run.id, 0, 100) == b"begun\n"
        assert processes_of(run.id) == []


async def test_the_doctor_finds_the_rights_and_says_that_nobody_enforces_the_policy(
    cluster: kube.TestCluster, tmp_path: Path
) -> None:
    async with opened(cluster, tmp_path, isolated_runtime_class="") as engine:
        findings = {finding.part: finding for finding in await engine.examine()}
    assert findings["kubernetes rights"].ok
    assert findings["kubernetes volume"].ok
    network = findings["kubernetes network"]
    assert (network.ok, "not enforced" in network.seen) == (False, True)


async def test_the_doctor_sees_a_network_that_is_shut(cluster: kube.TestCluster, tmp_path: Path) -> None:
    async with opened(cluster, tmp_path) as engine:
        findings = {finding.part: finding for finding in await engine.examine()}
    assert findings["kubernetes network"].ok
    assert "reached nothing that one with it reached" in findings["kubernetes network"].seen


@pytest.mark.usefixtures("alone")
async def test_a_run_that_is_killed_before_its_keeper_when_their_pod_is_deleted_is_lost(
    cluster: kube.TestCluster, tmp_path: Path
) -> None:
    """A busy kubelet kills the containers of a pod one after the other: here this test does it, in the worst order."""
    channel = Channel(tmp_path / "channel")
    run = a_run("Path('/data/outputs/half').touch(); tell(); wait()", *channel.binds, time_seconds=300)
    kubelet = int((cluster.state / "pid" / "kubelet").read_text().split()[0])
    try:
        async with opened(cluster, tmp_path) as engine:
            await engine.submit(run)
            assert await channel.heard() == "ready"
            (algorithm,) = processes_of(run.id)
            os.kill(kubelet, signal.SIGSTOP)
            try:
                chosen = ("delete", "pod", "-l", f"cove.run={run.id}", "--wait=false")
                await asyncio.to_thread(cluster.admin, *chosen)
                os.kill(parent_of(algorithm), signal.SIGKILL)
                async with asyncio.timeout(PATIENCE):
                    while not has_record(tmp_path):
                        assert isinstance(await one_look(engine, run.id), Active)
                assert isinstance(await one_look(engine, run.id), Active)
            finally:
                os.kill(kubelet, signal.SIGCONT)
            assert (await ended(engine, run.id)).failure == "lost"
    finally:
        channel.close()


def has_record(folder: Path) -> bool:
    return any(folder.glob("engine/*/kept/end.json"))


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.usefixtures("alone")
async def test_a_run_on_a_lost_node_is_active_until_the_node_is_back(cluster: kube.TestCluster, tmp_path: Path) -> None:
    """The kubelet dies, the run goes on and ends, the cluster evicts its pod: nothing is certain before the kubelet is back."""
    channel = Channel(tmp_path / "channel")
    run = a_run("tell(); wait(); print('went on', flush=True)", *channel.binds, time_seconds=300)
    try:
        async with opened(cluster, tmp_path) as engine:
            await engine.submit(run)
            assert await channel.heard() == "ready"
            processes = processes_of(run.id)
            kubelet = int((cluster.state / "pid" / "kubelet").read_text().split()[0])
            os.kill(kubelet, signal.SIGKILL)
            try:
                chosen = ("get", "pods", "-l", f"cove.run={run.id}", "--watch")
                await asyncio.to_thread(cluster.wait_for, "Terminating", *chosen)
                assert isinstance(await one_look(engine, run.id), Active)
                channel.answer()
                await died(processes)
                assert isinstance(await one_look(engine, run.id), Active)
            finally:
                await asyncio.to_thread(cluster.up)
            seen = await ended(engine, run.id)
            assert (seen.code, seen.failure) == (0, "")
            assert await engine.logs(run.id, 0, 100) == b"went on\n"
    finally:
        channel.close()
