"""The objects that a cluster is given, against snapshots: a change of any field is seen in review."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cove.core.job import Resources, RunId
from cove.engines.kubernetes import manifests
from cove.engines.kubernetes.config import KubernetesConfig, Toleration

SNAPSHOTS = Path(__file__).with_name("snapshots")
PLAIN = KubernetesConfig(claim="cove-runs", folder=Path("/runs"), keeper_image="cove:1")
RESOURCES = Resources(1.5, 1 << 30, 2 << 30, 1000, 64, 3600, 1 << 20)
ORDER = manifests.JobOrder(
    RunId(f"{'ab' * 16}-1"), "0123456789abcdef", "python@sha256:ff", RESOURCES, network=False, user=200_007, folder="f00d"
)  # fmt: skip
FULL = PLAIN.model_copy(
    update={
        "scratch": "disk", "node_selector": {"pool": "jobs"}, "tolerations": (Toleration(key="jobs", operator="Exists"),),
        "runtime_class": "gvisor", "isolated_runtime_class": "no-network", "image_pull_secrets": ("registry",),
        "gpu_label": "nvidia.com/gpu.product", "seccomp_profile": "cove.json", "cpu_reserved": 0.5,
    }
)  # fmt: skip
GPU = replace(ORDER, resources=replace(RESOURCES, gpus=2, gpu_type="A100"), network=True)
BUILT: dict[str, dict[str, Any]] = {
    "plain": manifests.job(ORDER, PLAIN),
    "full": manifests.job(ORDER, FULL),
    "gpu": manifests.job(GPU, FULL),
    "policy": manifests.network_policy(),
    "probe": manifests.probe("cove-probe-1", "0123456789abcdef", "pass", FULL, network=False),
}


@pytest.mark.parametrize("name", sorted(BUILT))
def test_what_is_built_is_what_was_agreed(name: str) -> None:
    """Run with COVE_TEST_SNAPSHOTS=write to take over a change."""
    place = SNAPSHOTS / f"{name}.json"
    text = json.dumps(BUILT[name], indent=2, sort_keys=True) + "\n"
    if os.environ.get("COVE_TEST_SNAPSHOTS") == "write":
        place.write_text(text)
    assert text == place.read_text()


@pytest.mark.parametrize("name", ["plain", "full", "gpu", "probe"])
def test_every_pod_is_within_the_restricted_standard(name: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards, "Restricted"."""
    pod = BUILT[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod)
    assert all(set(volume) <= {"name", "persistentVolumeClaim", "emptyDir"} for volume in pod.get("volumes", ()))
    for container in pod["containers"]:
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}


def test_the_algorithm_is_shown_nothing_of_what_is_kept_of_it() -> None:
    algorithm = BUILT["plain"]["spec"]["template"]["spec"]["containers"][1]
    mounted = {mount["mountPath"]: mount for mount in algorithm["volumeMounts"]}
    assert all(mount.get("readOnly") for mount in mounted.values() if mount["name"] == "claim")
    assert not any("kept" in mount.get("subPath", "") for mount in mounted.values())
    assert not any(ORDER.run in mount.get("subPath", "") for mount in mounted.values())


@pytest.mark.parametrize(
    ("made", "lost"),
    [
        ({"a": {"b": 1}, "c": [{"d": "x", "more": 1}], "e": False}, ""),
        ({"a": {"b": 1}, "c": [{"d": "other words for the same"}]}, ""),
        ({"a": {}, "c": [{"d": "x"}]}, "a.b"),
        ({"a": {"b": 1}, "c": [{}]}, "c[0].d"),
        ({"a": {"b": 1}}, "c"),
        ({"a": {"b": 1}, "c": [{"d": "x"}], "e": True}, "e"),
    ],
)
def test_a_field_that_was_dropped_is_named(made: dict[str, Any], lost: str) -> None:
    assert manifests.dropped({"a": {"b": 1}, "c": [{"d": "x"}], "e": False}, made) == lost
