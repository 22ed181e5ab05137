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
    #: First host uid for jobs when the service is root.
    first_uid: int = 200_000
    #: How many uids there are.
    uids: int = 65_536
