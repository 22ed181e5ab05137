"""What ``cove doctor`` sees of a cluster: the way to it, the rights, the volume, and whether the network is shut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cove.core.errors import Unavailable
from cove.engines.kubernetes import manifests
from cove.engines.kubernetes.api import ApiError, Cluster, Json
from cove.engines.kubernetes.config import KubernetesConfig, is_static
from cove.ports import Finding

RIGHTS: Final = (
    ("batch", "jobs", ("create", "list", "patch", "delete")),
    ("", "pods", ("list", "watch", "delete")),
    ("networking.k8s.io", "networkpolicies", ("get", "create")),
)
"""All that the engine asks of a cluster; deploy/kubernetes/role.yaml grants it and nothing else."""

_PORT: Final = 7707
_PROBE_SECONDS: Final = 40.0
_LISTEN: Final = f"""
import socket
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", {_PORT}))
server.listen()
while True:
    server.accept()[0].close()
"""
_CONNECT: Final = f"""
import socket, sys, time
for _ in range(5):
    try:
        socket.create_connection(("{{address}}", {_PORT}), 1).close()
        sys.exit(0)
    except OSError:
        time.sleep(0.3)
sys.exit(1)
"""


async def examine(cluster: Cluster, config: KubernetesConfig, engine: str) -> Sequence[Finding]:
    """Look at everything; the network is tried by three short pods."""
    findings = [await asyncio.to_thread(_volume, config)]
    try:
        findings.append(await _rights(cluster))
        if findings[-1].ok:
            findings.append(await _network(cluster, config, engine))
    except Unavailable as problem:
        findings.append(
            Finding("kubernetes", ok=False, seen=problem.message, advice="Check kubeconfig, and the cluster's API.")
        )
    return findings


def _volume(config: KubernetesConfig) -> Finding:
    part = "kubernetes volume"
    if not is_static(config.shell):
        return Finding(
            part, ok=False, seen=f"{config.shell} is no statically linked busybox",
            advice="Install one (Debian: busybox-static), or name it in the engine's setting busybox.",
        )  # fmt: skip
    if not os.access(config.folder, os.W_OK):
        return Finding(
            part, ok=False, seen="the folder of the claim cannot be written to",
            advice="Mount the claim at the engine's setting folder, writable for Cove's user.",
        )  # fmt: skip
    return Finding(part, ok=True, seen=f"the claim {config.claim} is mounted here and can be written to")


async def _rights(cluster: Cluster) -> Finding:
    part = "kubernetes rights"
    wanted = [(group, kind, verb) for group, kind, verbs in RIGHTS for verb in verbs]
    answers = await asyncio.gather(*(_may(cluster, *right) for right in wanted))
    missing = [f"{verb} {kind}" for (_, kind, verb), may in zip(wanted, answers, strict=True) if not may]
    if missing:
        return Finding(
            part, ok=False, seen=f"the account may not {', '.join(missing)}",
            advice="Apply deploy/kubernetes/role.yaml in the namespace.",
        )  # fmt: skip
    return Finding(part, ok=True, seen=f"the account may run Jobs in the namespace {cluster.namespace}")


async def _may(cluster: Cluster, group: str, kind: str, verb: str) -> bool:
    attributes = {"namespace": cluster.namespace, "group": group, "resource": kind, "verb": verb}
    body: Json = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }  # fmt: skip
    try:
        answer = await cluster.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    except ApiError:
        return True  # nothing can be said: the first use tells
    return bool(answer.get("status", {}).get("allowed"))


async def _network(cluster: Cluster, config: KubernetesConfig, engine: str) -> Finding:
    part = "kubernetes network"
    tag = secrets.token_hex(4)
    names = [f"cove-probe-{tag}-{what}" for what in ("listener", "open", "shut")]
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await _start(cluster, manifests.probe(names[0], engine, _LISTEN, config, network=True))
            address = await _state(cluster, names[0], _address)
            script = _CONNECT.format(address=address)
            for name, network in ((names[1], True), (names[2], False)):
                await _start(cluster, manifests.probe(name, engine, script, config, network=network))
            reached = [await _state(cluster, name, _end) == "Succeeded" for name in names[1:]]
    except TimeoutError:
        return Finding(
            part, ok=False, seen="the probe pods did not run, so it is not known whether a run can reach the network",
            advice="Look at the pods named cove-probe-* in the namespace.",
        )  # fmt: skip
    except ApiError as problem:
        return Finding(part, ok=False, seen=f"the cluster refused the probe ({problem.reason})", advice="See its log.")
    finally:
        for name in names:
            with contextlib.suppress(ApiError, Unavailable):
                await cluster.delete(f"{cluster.batch}/jobs/{name}")
    return judge(reached_open=reached[0], reached_shut=reached[1])


def judge(*, reached_open: bool, reached_shut: bool) -> Finding:
    """Say what two connections tell: one from a pod that may, one from a pod that may not."""
    part = "kubernetes network"
    if reached_shut:
        return Finding(
            part, ok=False, seen="a pod without network reached another pod: the NetworkPolicy is not enforced",
            advice="Use a network plug-in that enforces NetworkPolicy, or set isolated_runtime_class.",
        )  # fmt: skip
    if not reached_open:
        return Finding(
            part, ok=True,
            seen="a pod without network reached nothing, nor did one with it: the policy itself was not shown",
        )  # fmt: skip
    return Finding(part, ok=True, seen="a pod without network reached nothing that one with it reached")


async def _start(cluster: Cluster, job: Mapping[str, Any]) -> None:
    await cluster.create(f"{cluster.batch}/jobs", dict(job))


async def _state(cluster: Cluster, name: str, what: Any) -> str:  # noqa: ANN401 - one of the two below
    while True:
        pods, _ = await cluster.items(f"{cluster.core}/pods", f"cove.probe={name}")
        for pod in pods:
            if found := what(pod.get("status", {})):
                return str(found)
        await asyncio.sleep(0.2)


def _address(status: Mapping[str, Any]) -> str:
    return str(status.get("podIP", "")) if status.get("phase") == "Running" else ""


def _end(status: Mapping[str, Any]) -> str:
    return str(status["phase"]) if status.get("phase") in {"Succeeded", "Failed"} else ""
