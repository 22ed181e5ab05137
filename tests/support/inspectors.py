"""Stand-ins for what compares outputs with inputs; they look at nothing, and are for tests of what asks them alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cove.core.inspection import FileReport, Inspection
from cove.core.releasepolicy import LeakRules
from cove.ports import Finding, IndexedInput, InspectionRequest


@dataclass
class NullInspector:
    """Finds nothing in anything, and remembers what it was asked."""

    #: Reason of failure to give; empty for none.
    failure: str = ""
    #: Matched rows to give.
    rows: tuple[tuple[str, int], ...] = ()
    #: Datasets that have indexes.
    kept: tuple[str, ...] = ()
    forgotten: list[str] = field(default_factory=list)
    prepared: list[Sequence[IndexedInput]] = field(default_factory=list)
    requests: list[InspectionRequest] = field(default_factory=list)

    def prepare(self, inputs: Sequence[IndexedInput], leaks: LeakRules) -> None:
        del leaks
        self.prepared.append(inputs)

    async def inspect(self, request: InspectionRequest) -> Inspection:
        self.requests.append(request)
        reports = [FileReport(file.path, file.type, file.sha256, "text/plain") for file in request.files]
        return replace(Inspection(tuple(reports)), failure=self.failure, rows=self.rows)

    async def examine(self) -> Sequence[Finding]:
        return ()

    async def datasets(self) -> Sequence[str]:
        return self.kept

    async def forget(self, dataset: str) -> int:
        self.forgotten.append(dataset)
        return 1

    async def close(self) -> None:
        pass
