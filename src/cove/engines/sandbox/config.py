"""What the sandbox is set up with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cove.ports import ImageSource


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """All settings of the engine."""

    #: Folder of the runs.
    root: Path
    #: By ``image:tag`` or by image name.
    images: Mapping[str, ImageSource] = field(default_factory=dict)
    #: First host uid for jobs when the service is root.
    first_uid: int = 200_000
    #: How many uids there are.
    uids: int = 65_536
