"""What the engine is set up with: its table in the settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cove.core.errors import SettingsWrong

_NAME: Final = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
_ELF: Final = b"\x7fELF"


class Toleration(BaseModel):
    """One entry of ``tolerations``, as Kubernetes has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class KubernetesConfig(BaseModel):
    """All settings of the engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Name of the persistent volume claim that holds the runs' folders; it is mounted in every run's pod.
    claim: str = Field(pattern=_NAME)
    #: Where the same volume is mounted on this host, or in the pod that Cove runs in.
    folder: Path
    #: Where ``folder`` lies on the volume; empty for its root.
    sub_path: str = ""
    #: Image with python3 that watches over each run: Cove's own, or any other.
    keeper_image: str = Field(min_length=1)
    #: A kubeconfig file; empty: the account of the pod that Cove runs in.
    kubeconfig: str = ""
    #: A context of the kubeconfig; empty for its current one.
    context: str = ""
    #: Empty: that of the kubeconfig's context, or of the pod that Cove runs in.
    namespace: str = Field(default="", pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")
    #: A statically linked busybox on this host, for the nodes' processors; empty: the one on PATH.
    busybox: str = ""
    #: ``memory``: what a run writes lies in memory, and a full disk is told to it at once. ``disk``: it lies on the
    #: node's disk, and a run that writes too much is evicted some seconds later, without its outputs.
    scratch: Literal["memory", "disk"] = "memory"
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    #: RuntimeClass of every run; empty for the cluster's usual one.
    runtime_class: str = ""
    #: RuntimeClass of the runs that have no network, in the place of ``runtime_class``; empty for the same.
    isolated_runtime_class: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    #: Name of the resource that stands for one graphics processor.
    gpu_resource: str = "nvidia.com/gpu"
    #: Label of nodes whose value is an environment's ``gpu_type``; empty: the type is not looked at.
    gpu_label: str = ""
    #: Profile below the nodes' seccomp folder; empty for ``RuntimeDefault``.
    seccomp_profile: str = ""
    #: First uid for jobs, and how many there are; each run gets one of its own.
    first_uid: int = Field(default=200_000, ge=1)
    uids: int = Field(default=65_536, ge=1)
    #: Which part of a run's processors is kept free for it; 1.0 for all. Memory always is.
    cpu_reserved: float = Field(default=1.0, gt=0, le=1)
    #: Seconds that a run may wait for a node and its image.
    pending_seconds: int = Field(default=600, ge=1)
    #: Seconds after which the cluster forgets a finished Job by itself, should Cove never do it; by far longer than any
    #: pause of Cove's.
    ttl_seconds: int = Field(default=30 * 86_400, ge=3600)

    @property
    def shell(self) -> Path:
        """Give the static busybox that every run is started by."""
        return Path(self.busybox or shutil.which("busybox") or "/bin/busybox")


def read_config(name: str, options: Mapping[str, Any]) -> KubernetesConfig:
    """Check an engine's table.

    Args:
        name: The engine's name in the settings.
        options: The table.

    Raises:
        SettingsWrong: One clear sentence about the first field that is wrong.
    """
    try:
        config = KubernetesConfig.model_validate(dict(options))
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise SettingsWrong(f"engines.{name}.{field} is not a setting of the kubernetes engine.") from None
        if first["type"] == "missing":
            hint = {
                "claim": "Name the persistent volume claim that Cove and the runs share.",
                "folder": "Name the folder that the claim is mounted at here.",
                "keeper_image": "Name an image with python3 that the cluster can pull.",
            }.get(field)
            raise SettingsWrong(f"engines.{name}.{field} is missing.", hint=hint) from None
        raise SettingsWrong(f"engines.{name}.{field}: {first['msg']}.") from None
    if not config.folder.is_absolute():
        raise SettingsWrong(f"engines.{name}.folder must be an absolute path.")
    if config.sub_path.startswith("/") or ".." in config.sub_path.split("/"):
        raise SettingsWrong(f"engines.{name}.sub_path must be a path within the claim, without .. in it.")
    return config


def is_static(program: Path) -> bool:
    """Say whether a program needs no library: it must run in every image."""
    try:
        with program.open("rb") as file:
            head = file.read(64)
            if head[:5] != _ELF + b"\x02":
                return False
            order: Literal["little", "big"] = "little" if head[5] == 1 else "big"
            start, size, count = (
                int.from_bytes(head[at : at + wide], order) for at, wide in ((32, 8), (54, 2), (56, 2))
            )
            file.seek(start)
            kinds = [int.from_bytes(file.read(size)[:4], order) for _ in range(count)]
    except OSError:
        return False
    interpreter = 3
    return interpreter not in kinds and os.access(program, os.X_OK)
