"""Pure: the objects that the cluster is given, each built by one function from one value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from cove.core.job import Resources, RunId
from cove.engines.kubernetes.config import KubernetesConfig

Json = dict[str, Any]

#: Label of everything of one run: its RunId.
RUN: Final = "cove.run"
#: Label of everything of one engine of one Cove, so that several can share a namespace.
ENGINE: Final = "cove.engine"
#: Label that the network policy selects by: ``none`` or ``allowed``.
NETWORK: Final = "cove.network"
ALGORITHM: Final = "algorithm"
KEEPER: Final = "keeper"
POLICY: Final = "cove-no-network"
#: Processes that are not the algorithm's and have its user: two of the first process's, and the keeper.
OUR_PROCESSES: Final = 4
#: The cluster's own end of a pod is always at once: every grace is the keeper's, long before.
_GRACE_SECONDS: Final = 1
_MARGIN_SECONDS: Final = 900
_KEEPER_MEMORY: Final = 128 << 20
_KEEPER_CPU: Final = "1"
_BLOCK: Final = 512
_SCRATCH: Final = (
    ("outputs", "/data/outputs"), ("logs", "/data/logs"), ("home", "/home/job"), ("tmp", "/tmp"), ("shm", "/dev/shm"),  # noqa: S108 - inside
)  # fmt: skip
_KEEPER_COMMAND: Final = ("python3", "-I", "-S", "/.cove/keeper.py", "/.cove", "/kept", "/scratch")


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What one run's Job is built from."""

    run: RunId
    #: Value of the label ``ENGINE``.
    engine: str
    #: As the nodes pull it.
    image: str
    resources: Resources
    network: bool
    #: The run's own uid, which is its gid too.
    user: int
    #: The run's folder on the claim.
    folder: str


def job_name(run: RunId) -> str:
    """Name a run's Job: after its RunId, so that a second one cannot be made."""
    return f"cove-{run}"


def job(order: JobOrder, config: KubernetesConfig) -> Json:
    """Build the Job of a run: one pod, never a second try."""
    labels = {RUN: order.run, ENGINE: order.engine}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(order.run), "labels": labels},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            # A net below the keeper's own clock: it counts from before the pod has a node.
            "activeDeadlineSeconds": config.pending_seconds + order.resources.time_seconds + _MARGIN_SECONDS,
            "ttlSecondsAfterFinished": config.ttl_seconds,
            "template": {
                "metadata": {"labels": labels | {NETWORK: "allowed" if order.network else "none"}},
                "spec": _pod(order, config),
            },
        },
    }


def _pod(order: JobOrder, config: KubernetesConfig) -> Json:
    pod = _bare_pod(config, order.user, network=order.network)
    selector = dict(config.node_selector)
    if order.resources.gpus and order.resources.gpu_type and config.gpu_label:
        selector[config.gpu_label] = order.resources.gpu_type
    return pod | {
        # In this order: the algorithm's container waits for its keeper.
        "containers": [_keeper(order, config), _algorithm(order, config)],
        "volumes": [
            {"name": "claim", "persistentVolumeClaim": {"claimName": config.claim}},
            {"name": "scratch", "emptyDir": _scratch(order.resources, config)},
        ],
        **({"nodeSelector": selector} if selector else {}),
    }


def _bare_pod(config: KubernetesConfig, user: int, *, network: bool) -> Json:
    """Give what every pod of Cove's has: the restricted standard, and nothing of the cluster's."""
    profile = (
        {"type": "Localhost", "localhostProfile": config.seccomp_profile}
        if config.seccomp_profile
        else {"type": "RuntimeDefault"}
    )
    pod: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostname": "cove",
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "seccompProfile": profile,
        },
    }  # fmt: skip
    if not network:
        # A name server that is not there, in the place of the cluster's.
        pod |= {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"]}}
    runtime = config.runtime_class if network else config.isolated_runtime_class or config.runtime_class
    if runtime:
        pod["runtimeClassName"] = runtime
    if config.tolerations:
        pod["tolerations"] = [entry.model_dump(exclude_defaults=True) for entry in config.tolerations]
    if config.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in config.image_pull_secrets]
    return pod


def _scratch(resources: Resources, config: KubernetesConfig) -> Json:
    if config.scratch == "memory":
        return {"medium": "Memory", "sizeLimit": str(resources.disk_bytes)}
    return {"sizeLimit": str(resources.disk_bytes)}


def _locked() -> Json:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    }


def _keeper(order: JobOrder, config: KubernetesConfig) -> Json:
    amounts = {"cpu": "10m", "memory": str(_KEEPER_MEMORY), "ephemeral-storage": "64Mi"}
    return {
        "name": KEEPER,
        "image": config.keeper_image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(_KEEPER_COMMAND),
        "env": [{"name": "COVE_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
        "securityContext": _locked(),
        "resources": {"requests": amounts, "limits": amounts | {"cpu": _KEEPER_CPU}},
        "volumeMounts": [
            _of_claim(order, "control", "/.cove"),
            _of_claim(order, "kept", "/kept", read_only=False),
            {"name": "scratch", "mountPath": "/scratch"},
        ],
    }


def _algorithm(order: JobOrder, config: KubernetesConfig) -> Json:
    wanted = order.resources
    # A file system in memory counts with the memory of who writes to it.
    memory = wanted.memory_bytes + (wanted.disk_bytes if config.scratch == "memory" else 0)
    disk = 0 if config.scratch == "memory" else wanted.disk_bytes
    amounts = {
        "cpu": _cpus(wanted.cpus),
        "memory": str(memory),
        "ephemeral-storage": str(disk + (16 << 20)),
    }
    if wanted.gpus:
        amounts[config.gpu_resource] = str(wanted.gpus)
    largest = math.ceil(2 * wanted.disk_bytes / _BLOCK)
    return {
        "name": ALGORITHM,
        "image": order.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/.cove/busybox", "sh", "/.cove/first.sh", str(wanted.processes + OUR_PROCESSES), str(largest)],
        "securityContext": _locked(),
        "resources": {"requests": amounts | {"cpu": _cpus(wanted.cpus * config.cpu_reserved)}, "limits": amounts},
        "volumeMounts": [
            _of_claim(order, "control", "/.cove"),
            _of_claim(order, "data", "/data"),
            _of_claim(order, "control/passwd", "/etc/passwd"),
            _of_claim(order, "control/group", "/etc/group"),
            {"name": "scratch", "mountPath": "/.cove/pipes", "subPath": "pipes", "readOnly": True},
            *({"name": "scratch", "mountPath": place, "subPath": name} for name, place in _SCRATCH),
        ],
    }


def _cpus(count: float) -> str:
    return f"{max(1, round(count * 1000))}m"


def _of_claim(order: JobOrder, part: str, place: str, *, read_only: bool = True) -> Json:
    return {"name": "claim", "mountPath": place, "subPath": f"{order.folder}/{part}", "readOnly": read_only}


def network_policy() -> Json:
    """Build the policy that shuts every run without network in: nothing in, nothing out."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": POLICY},
        "spec": {"podSelector": {"matchLabels": {NETWORK: "none"}}, "policyTypes": ["Ingress", "Egress"]},
    }


def probe(name: str, engine: str, script: str, config: KubernetesConfig, *, network: bool) -> Json:
    """Build a Job that tries the network with a few lines of Python.

    Args:
        name: The Job's name.
        engine: Value of the label ``ENGINE``; probes have no ``RUN``.
        script: The lines.
        config: The engine's settings.
        network: Whether the policy lets it out.
    """
    amounts = {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "16Mi"}
    container = {
        "name": "probe",
        "image": config.keeper_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-I", "-S", "-c", script],
        "securityContext": _locked(),
        "resources": {"requests": amounts, "limits": amounts},
    }
    labels = {"cove.probe": name, ENGINE: engine, NETWORK: "allowed" if network else "none"}
    pod = _bare_pod(config, config.first_uid, network=network) | {"containers": [container]}
    if config.node_selector:
        pod["nodeSelector"] = config.node_selector
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 60,
            "ttlSecondsAfterFinished": 60,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def dropped(sent: Any, made: Any, place: str = "") -> str:  # noqa: ANN401 - any JSON
    """Say which field of an object the cluster did not take over; empty when it took all.

    An old API drops what it does not know in silence, and a limit that is not there must not be promised.
    """
    if isinstance(sent, dict):
        if not isinstance(made, dict):
            return place
        for name, value in sent.items():
            if lost := dropped(value, made.get(name), f"{place}.{name}".lstrip(".")):
                return lost
        return ""
    if isinstance(sent, list):
        if not isinstance(made, list) or len(made) < len(sent):
            return place
        return next((lost for n, value in enumerate(sent) if (lost := dropped(value, made[n], f"{place}[{n}]"))), "")
    if isinstance(sent, bool) and not sent:  # false is the same as nothing, and left out
        return "" if not made else place
    return "" if made is not None else place
