"""A cluster that somebody else made, for the suite of the Engine Protocol: that of KUBECONFIG.

Its one node is this host, or sees this host's folders (k3s or minikube without a machine of its own, for two), and its
account may make a namespace, a role and volumes. Settings, each for what no API of a cluster tells:

- ``COVE_KUBE_IMPORT``: the command that brings an archive of images to the node (``k3s ctr images import``, for one),
- ``COVE_KUBE_REMOVE``: the command that removes an image from it,
- ``COVE_KUBE_SECCOMP``: the folder in which its kubelet looks for profiles,
- ``COVE_KUBE_RUNTIME_CLASS``: of runs without network, where the cluster enforces no policies.
"""

from __future__ import annotations

import base64
import fcntl
import functools
import json
import os
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from tests.support import kubernetes as kube

_ROLE: Final = Path(__file__).parents[2] / "deploy" / "kubernetes" / "role.yaml"
_TOKEN: Final = "cove-tests"
_PATIENCE: Final = 60


@dataclass(frozen=True)
class AdoptedCluster(kube.TestCluster):
    """It keeps its accounts in ``state``; the cluster itself is left as it is, but for the namespace and its images."""

    __test__ = False
    is_ours = False

    @property
    def runtime_class(self) -> str:
        return os.environ.get("COVE_KUBE_RUNTIME_CLASS", "")

    @property
    def seccomp(self) -> Path:
        return Path(os.environ.get("COVE_KUBE_SECCOMP", "/var/lib/kubelet/seccomp"))

    def bring(self, packed: Path) -> None:
        _run(*_words("COVE_KUBE_IMPORT", "ctr --namespace k8s.io images import"), str(packed))

    def has(self, reference: str) -> bool:
        return self._noted(reference).exists()

    def load(self, reference: str, root: Path, environment: tuple[str, ...] = (f"PATH={kube.PATH}",)) -> None:
        super().load(reference, root, environment)
        self._noted(reference).touch()

    def unload(self, reference: str) -> None:
        self._noted(reference).unlink(missing_ok=True)
        _run(*_words("COVE_KUBE_REMOVE", "ctr --namespace k8s.io images rm --sync"), reference)

    def _noted(self, reference: str) -> Path:
        return self.state / f"image-{reference.replace('/', '_')}"


@functools.cache
def adopt(state: Path) -> AdoptedCluster:
    """Make what Cove asks for in the cluster of KUBECONFIG, once, and give it.

    Args:
        state: Where its accounts are kept; of another cluster, it is made anew.
    """
    cluster = AdoptedCluster(state)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / "adopted.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        admin = _run("kubectl", "config", "view", "--raw", "--minify", "--flatten")
        place = state / "admin.kubeconfig"
        if not place.exists() or place.read_text() != admin or not cluster.account.exists():
            for left in state.glob("image-*"):
                left.unlink()
            cluster.account.unlink(missing_ok=True)
            place.write_text(admin)
            place.chmod(0o600)
            _furnish(cluster)
    return cluster


def _furnish(cluster: AdoptedCluster) -> None:
    names: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kube.NAMESPACE}}
    cluster.admin("apply", "-f", "-", given=json.dumps(names))
    cluster.admin("apply", "-f", str(_ROLE))
    secret = {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": _TOKEN, "annotations": {"kubernetes.io/service-account.name": "cove-engine"}},
    }  # fmt: skip
    cluster.admin("apply", "-f", "-", given=json.dumps(secret))
    deadline = time.monotonic() + _PATIENCE
    while not (token := cluster.admin("get", "secret", _TOKEN, "-o", "jsonpath={.data.token}")):
        assert time.monotonic() < deadline, "the cluster gave the account cove-engine no token"
    _run(str(kube.SCRIPT), "images")
    cluster.bring(kube.cache() / "images" / "python.tar")
    account: dict[str, Any] = yaml.safe_load((cluster.state / "admin.kubeconfig").read_text())
    account["users"] = [{"name": "me", "user": {"token": base64.b64decode(token).decode()}}]
    account["contexts"][0]["context"] |= {"user": "me", "namespace": kube.NAMESPACE}
    cluster.account.touch(mode=0o600)
    cluster.account.write_text(yaml.safe_dump(account))


def _words(name: str, default: str) -> list[str]:
    return shlex.split(os.environ.get(name, default))


def _run(*words: str) -> str:
    ended = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, f"{words[0]}: {ended.stderr}"
    return ended.stdout
