"""What the sandbox is set up with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cove.ports import ImageSource, ImageStore


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """All settings of the engine."""

    #: Folder of the runs.
    root: Path
    #: By ``image:tag`` or by image name.
    images: Mapping[str, ImageSource] = field(default_factory=dict)
    #: Where images of registries and archives are; None: there are none.
    store: ImageStore | None = None
    #: First host uid for jobs when the service is root; a job's group has the same number.
    first_uid: int = 458_752
    #: How many uids there are; as many runs can live at the same time.
    uids: int = 65_536
    #: Path of the group that runs' cgroups are made in, below the top of each hierarchy or the delegated group.
    cgroup: str = "cove"
    #: Largest disk of a run in bytes that is kept in memory where this host can keep it in a file.
    disk_in_memory: int = 2 << 30
