"""A real cluster for the suites: its two accounts, a volume that its node and this process share, and images of folders."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

NAMESPACE = "cove"
SCRIPT = Path(__file__).parents[1] / "kubernetes" / "cluster.sh"
#: What the algorithms of the suites run in, and what watches over them.
ALGORITHMS = "localhost/cove/algorithms:1"
KEEPER = "localhost/cove/python:1"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECCOMP = "cove-test.json"
_BUILD_SECONDS = 3600
_PARTS = ("etcd", "apiserver", "manager", "scheduler", "containerd", "registry")
"""Of a cluster, without which no test works; its kubelet some tests end, and start again."""
_ROUNDS = 5
"""Of a loop, in which it has a connection that it accepted handled."""


@dataclass(frozen=True)
class TestCluster:
    """Where the cluster of ``tests/kubernetes/cluster.sh`` keeps its things."""

    __test__ = False

    state: Path
    #: Whether it may be broken, and has a registry.
    is_ours: ClassVar[bool] = True

    @property
    def runtime_class(self) -> str:
        """Of runs without network; empty where the cluster's own policies shut the network."""
        return "no-network"

    @property
    def seccomp(self) -> Path:
        """Where the node's kubelet looks for profiles."""
        return self.state / "kubelet" / "seccomp"

    @property
    def account(self) -> Path:
        """The kubeconfig of the account that has deploy/kubernetes/role.yaml and nothing else."""
        return self.state / "cove.kubeconfig"

    def admin(self, *words: str, given: str | None = None) -> str:
        """Run kubectl as the cluster's owner."""
        ended = subprocess.run(
            ["kubectl", "--kubeconfig", str(self.state / "admin.kubeconfig"), "-n", NAMESPACE, *words],
            input=given, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def wait_for(self, word: str, *words: str) -> None:
        """Run a kubectl that goes on, as the cluster's owner, until it says a word."""
        command = ["kubectl", "--kubeconfig", str(self.state / "admin.kubeconfig"), "-n", NAMESPACE, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watching:
            assert watching.stdout is not None
            timer = threading.Timer(120, watching.kill)
            timer.start()
            found = any(word in line for line in watching.stdout)
            timer.cancel()
            watching.kill()
        assert found, f"kubectl never said {word}"

    def up(self) -> None:
        """Start again what was killed."""
        subprocess.run([SCRIPT, "up"], check=True, capture_output=True, timeout=900)

    def containers(self, *words: str) -> str:
        """Ask the node's containerd."""
        ended = subprocess.run(
            ["ctr", "--address", str(self.state / "containerd.sock"), "--namespace", "k8s.io", *words],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def claim(self, folder: Path) -> str:
        """Have a claim whose volume is a folder of this host, and give its name."""
        name = f"test-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        _bind(self, name, str(folder))
        return name

    def load(self, reference: str, root: Path, environment: tuple[str, ...] = (f"PATH={PATH}",)) -> None:
        """Make an image of a folder, and have it on the node."""
        packed = root.with_name(f"{root.name}-{secrets.token_hex(4)}.tar")
        try:
            pack(reference, root, packed, environment)
            self.bring(packed)
        finally:
            packed.unlink(missing_ok=True)

    def bring(self, packed: Path) -> None:
        """Have the images of an archive on the node."""
        self.containers("images", "import", str(packed))

    def has(self, reference: str) -> bool:
        """Say whether an image is on the node."""
        return reference in self.containers("images", "ls", "-q").split()

    def unload(self, reference: str) -> None:
        """Have an image off the node."""
        self.containers("images", "rm", "--sync", reference)


def running() -> TestCluster:
    """Give the cluster of KUBECONFIG, or else ours, which is brought up where it is not, or skip."""
    if os.environ.get("COVE_TEST_KUBERNETES") != "1":
        pytest.skip("needs a cluster: run make test-kubernetes")
    if os.environ.get("KUBECONFIG"):
        from tests.support import adopted  # noqa: PLC0415 - it builds upon this

        return adopted.adopt(cache() / "adopted")
    if found() is None:
        # Waits for another process that builds it or brings it up.
        ended = subprocess.run([SCRIPT, "up"], capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
        assert ended.returncode == 0, ended.stderr
    cluster = found()
    assert cluster is not None
    return cluster


def found() -> TestCluster | None:
    """Give the cluster that is up; None where there is none, or but the files of one that was killed."""
    state = Path(os.environ.get("COVE_KUBE_STATE", cache() / "state"))
    is_up = (state / "furnished").is_file() and all(_runs(state / "pid" / name) for name in _PARTS)
    return TestCluster(state) if is_up else None


def _runs(noted: Path) -> bool:
    """Say whether the process that ``cluster.sh`` noted is still there, and not another with its number."""
    try:
        pid, birth = noted.read_text().split()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (OSError, ValueError):
        return False
    return fields[0] != "Z" and fields[19] == birth


@contextlib.contextmanager
def using(cluster: TestCluster, *, alone: bool = False) -> Iterator[None]:
    """Keep the node as it is for a test; ``alone`` is for one that ends or stops its kubelet, and waits for the others."""
    with (cluster.state / "next.lock").open("w") as door, (cluster.state / "node.lock").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)  # who waits for the room holds up who comes later
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield


def cache() -> Path:
    """Give the folder of what was built."""
    return Path(os.environ.get("COVE_KUBE_CACHE", Path.home() / ".cache" / "cove-kube"))


@functools.cache
def _bind(cluster: TestCluster, name: str, folder: str) -> None:
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "",
        "volumeName": name,
    }  # fmt: skip
    volume = {
        "accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Gi"}, "storageClassName": "",
        "hostPath": {"path": folder}, "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": NAMESPACE, "name": name},
    }  # fmt: skip
    items = [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": claim},
    ]
    cluster.admin("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    deadline = time.monotonic() + 180
    while cluster.admin("get", "pvc", name, "-o", "jsonpath={.status.phase}") != "Bound":
        assert time.monotonic() < deadline, "the claim was not bound"


@functools.cache
def algorithms(cluster: TestCluster, scratch: str) -> str:
    """Have the image of the suites' algorithms on the node: Debian's Python with some of this host's programs."""
    with (cluster.state / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cluster.has(ALGORITHMS):
            _make_algorithms(cluster, Path(scratch) / "algorithms")
    return ALGORITHMS


def _make_algorithms(cluster: TestCluster, root: Path) -> None:
    archive = cache() / "images" / "python.tar"
    with tarfile.open(archive) as packed:
        layer = packed.extractfile("layer.tar")
        assert layer is not None
        with tarfile.open(fileobj=layer) as files:
            files.extractall(root, filter="fully_trusted")  # noqa: S202 - made by the cluster's script
    for program in ("id", "date", "sleep", "stat", "cat", "cp", "ls"):
        _install(root, Path(f"/usr/bin/{program}"))
    cluster.load(ALGORITHMS, root)
    shutil.rmtree(root)


def _install(root: Path, program: Path) -> None:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for source in [program, *(Path(word) for word in listed.split() if word.startswith("/"))]:
        target = root / "usr" / source.resolve().relative_to("/usr")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy(source, target)
        if target.name != source.name:
            target.with_name(source.name).unlink(missing_ok=True)
            target.with_name(source.name).symlink_to(target.name)


def pack(reference: str, root: Path, target: Path, environment: tuple[str, ...]) -> None:
    """Write a folder as an image of one layer, in the form that ``docker save`` has."""
    layer = target.with_name(f"{target.name}.layer")
    with tarfile.open(layer, "w") as files:
        files.add(root, ".")
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    config = {
        "architecture": "amd64", "os": "linux", "config": {"Env": list(environment), "Cmd": ["/none"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}, "history": [{"created_by": "tests"}],
    }  # fmt: skip
    place = target.with_name(f"{target.name}.json")
    with tarfile.open(target, "w") as files:
        for name, content in (
            ("manifest.json", [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]),
            ("config.json", config),
        ):
            place.write_text(json.dumps(content))
            files.add(place, name)
        files.add(layer, "layer.tar")
    place.unlink()
    layer.unlink()


class Relay:
    """Passes connections on to the cluster's API, until it is silenced."""

    def __init__(self, host: str, port: int) -> None:
        self._far = (host, port)
        self._silent = False
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._silent = True
            self.drop()
            for _ in range(_ROUNDS):  # those that are accepted already come here, and go
                await asyncio.sleep(0)
            server.close()
            await asyncio.gather(*self._tasks)  # which end with their connections

    @contextlib.contextmanager
    def silenced(self) -> Iterator[None]:
        self._silent = True
        self.drop()
        yield
        self._silent = False

    def drop(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with self._kept(writer), contextlib.suppress(OSError):
            if self._silent:
                return
            far_reader, far_writer = await asyncio.open_connection(*self._far)
            with self._kept(far_writer):
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Know of a connection, so that it can be dropped, and leave none open."""
        self._open.add(writer)
        try:
            yield
        finally:
            self._open.discard(writer)
            writer.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await source.read(1 << 16):
            target.write(part)
            await target.drain()
    target.transport.abort()


def kubeconfig(account: Path, target: Path, port: int) -> None:
    """Write an account's kubeconfig that leads through a relay."""
    found = yaml.safe_load(account.read_text())
    found["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    target.write_text(yaml.safe_dump(found))
    target.chmod(0o600)


def far_end(account: Path) -> tuple[str, int]:
    """Give host and port of an account's cluster."""
    host, _, port = yaml.safe_load(account.read_text())["clusters"][0]["cluster"]["server"].rpartition(":")
    return host.removeprefix("https://"), int(port)
