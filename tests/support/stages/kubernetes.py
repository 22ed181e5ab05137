"""Kubernetes, for the suite of the Engine Protocol: the cluster of tests/kubernetes/cluster.sh."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support import kubernetes as kube
from tests.support.runs import Channel, Stage, Traits

from cove.core import kernel
from cove.core.job import RunId
from cove.engines import opener
from cove.ports import Engine, EnginePlace, ImageSource

CHECKSUM = f"sha256:{'ab' * 32}"
TRAITS = Traits(
    user=None,
    working_directory="/home/job/work",
    gives=frozenset({"gpus", "network"}),
    first_process_is_bare=False,
    memory_is_closed=False,
    namespaces=frozenset({"ipc", "mnt", "net", "pid", "uts"}),
    own_places=frozenset(
        {
            "/etc/hostname",
            "/etc/resolv.conf",
            "/var",
            "/sys",
            "/run",
            "/root",
            "/opt",
            "/boot",
            "/srv",
            "/mnt",
            "/.cove/first.sh",
        }
    ),
    network_is_bare=False,
    processes=3,
    owns_home=False,
    mounts_tell_nothing=False,
    # Asking for more than to be told of pressure needs rights that no run has.
    open_in_proc=frozenset(f"/proc/pressure/{what}" for what in ("cpu", "io", "irq", "memory")),
    counts_files=False,
    beginning=5,
    crowd=0.3,
)


@contextlib.asynccontextmanager
async def kubernetes(folder: Path, channel: Channel) -> AsyncIterator[Stage]:
    cluster = kube.running()
    with kube.using(cluster):
        async with _staged(cluster, folder, channel) as stage:
            yield stage


@contextlib.asynccontextmanager
async def _staged(cluster: kube.TestCluster, folder: Path, channel: Channel) -> AsyncIterator[Stage]:
    root = folder / "engine"
    root.mkdir(exist_ok=True)
    base = folder.parent
    image = kube.algorithms(cluster, str(base))
    cluster.seccomp.mkdir(exist_ok=True)
    (cluster.seccomp / kube.SECCOMP).write_text(kernel.oci_profile(platform.machine()) or "{}")
    small = f"localhost/cove/small-{folder.name.replace('_', '-')}"
    images = {
        "host": ImageSource("registry", image),
        "sealed": ImageSource("registry", image, checksum=CHECKSUM),
        "small:1": ImageSource("registry", f"{small}:1"),
    }
    loaded: list[str] = []

    def load(name: str) -> None:
        loaded.append(f"{small}:{len(loaded) + 1}")
        cluster.load(loaded[-1], folder / name)
        images["small:1"] = ImageSource("registry", loaded[-1])

    def lose(run: RunId) -> None:
        cluster.admin("delete", "pod", "-l", f"cove.run={run}", "--grace-period=1", "--wait")

    relay = kube.Relay(*kube.far_end(cluster.account))
    async with relay.running():
        kube.kubeconfig(cluster.account, folder / "kubeconfig", relay.port)
        options = {
            "claim": cluster.claim(base),
            "folder": str(root),
            "sub_path": str(root.relative_to(base)),
            "kubeconfig": str(folder / "kubeconfig"),
            "keeper_image": kube.KEEPER,
            "isolated_runtime_class": cluster.runtime_class,
            "cpu_reserved": 0.02,
            "seccomp_profile": kube.SECCOMP,
        }

        def again() -> Engine:
            return opener("kubernetes")(EnginePlace("kubernetes", folder / "own", images, options))

        engine = again()
        await engine.start()
        stage = Stage(
            engine=engine,
            again=again,
            lose=lose,
            cripple=relay.drop,
            enforced=frozenset({"memory", "pids", "cpu"}),
            channel=channel,
            folder=folder,
            traits=TRAITS,
            silenced=relay.silenced,
            load=load,
        )
        yield stage
        try:
            await stage.forget()
        finally:
            await stage.engine.close()
            for reference in loaded:
                cluster.unload(reference)
