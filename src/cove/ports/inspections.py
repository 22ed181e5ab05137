"""What looks into outputs: a process of its own, since it reads hostile files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cove.core.inspection import Inspection
from cove.core.releasepolicy import CountRules, LeakRules
from cove.ports.common import Finding


@dataclass(frozen=True, slots=True)
class IndexedInput:
    """One file of a dataset, as a job reads it."""

    #: DID of its dataset.
    dataset: str
    #: Where it lies on this host; a folder stands for all files below it.
    place: Path
    #: Names its content; equal for equal bytes, and changed when they change.
    digest: str
    #: Its name for the algorithm, which may tell its form.
    name: str = ""


@dataclass(frozen=True, slots=True)
class InspectedFile:
    """One file that a job wrote."""

    path: str
    #: ``output`` or ``algorithmLog``.
    type: str
    place: Path
    #: Bytes, and hex digest, as surveyed: other content is a failure.
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class InspectionRequest:
    """All that is to be compared."""

    files: tuple[InspectedFile, ...]
    inputs: tuple[IndexedInput, ...]
    leaks: LeakRules
    counts: CountRules


class Inspector(Protocol):
    """Compares outputs with inputs."""

    def prepare(self, inputs: Sequence[IndexedInput], leaks: LeakRules) -> None:
        """Have the inputs' indexes made in the background, unless they are there. Never blocks, never fails."""
        ...

    async def inspect(self, request: InspectionRequest) -> Inspection:
        """Look into every file; waits for the indexes.

        It never raises for what files or inputs are: a failure is in the answer.
        """
        ...

    async def examine(self) -> Sequence[Finding]:
        """Look at whether it works here, and what its processes are held by."""
        ...

    async def datasets(self) -> Sequence[str]:
        """Give the DIDs of the datasets that have kept indexes, in no order."""
        ...

    async def forget(self, dataset: str) -> int:
        """Remove every index of a dataset, and give their number."""
        ...

    async def close(self) -> None:
        """End its processes. What was under way is given as failed."""
        ...
