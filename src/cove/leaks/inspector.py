"""The Inspector: indexes on a shelf, and one reading process per job."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from cove.core.inspection import FileReport, Inspection, Match
from cove.core.releasepolicy import CountRules, LeakRules
from cove.leaks.limits import LeakLimits
from cove.leaks.opening import NotThereError, open_regular
from cove.leaks.process import frames
from cove.leaks.process.starting import Fork, Template
from cove.leaks.shelf import FailedError, Shelf
from cove.ports import Finding, IndexedInput, InspectedFile, InspectionRequest

_BATCH_BYTES: Final = 8 << 20
_FIRST: Final = 0.1
_PART: Final = "leak check"
#: What :func:`cove.leaks.process.confinement.confine` takes away, and how an owner calls it.
HOLDS: Final = {
    "capabilities": "capabilities",
    "landlock": "files (Landlock)",
    "seccomp": "system calls (seccomp)",
}


class LeakInspector:
    """``cove.ports.Inspector`` by hashed cells.

    Args:
        shelf: Gives indexes.
        template: Starts reading processes.
        key: For hashes of cells, the one that the indexes were made with.
        limits: How much one inspection may use.
    """

    def __init__(self, shelf: Shelf, template: Template, key: bytes, limits: LeakLimits) -> None:
        self._shelf = shelf
        self._template = template
        self._key = key
        self._limits = limits
        self._readers = ThreadPoolExecutor(limits.at_once, "leaks")
        self._builders = ThreadPoolExecutor(limits.at_once, "leak-indexes")
        self._forks: set[Fork] = set()
        self._lock = threading.Lock()
        self._closed = False
        #: What the last reading process was held by.
        self.held: tuple[str, ...] = ()
        #: Processor time of the last reading process.
        self.cpu_seconds = 0.0

    def prepare(self, inputs: Sequence[IndexedInput], leaks: LeakRules) -> None:
        """Have the inputs' indexes made in the background, unless they are there. Never blocks, never fails."""
        with contextlib.suppress(RuntimeError):  # it is being closed
            self._builders.submit(self._template.warm)
            for wanted in inputs if leaks.check else ():
                self._builders.submit(self._prepare, wanted, leaks.identifiers)

    async def inspect(self, request: InspectionRequest) -> Inspection:
        """Look into every file; waits for the indexes."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._inspect, request)
        except RuntimeError:
            return Inspection(failure="crashed")

    async def forget(self, dataset: str) -> int:
        """Remove every index of a dataset, and give their number."""
        return await asyncio.to_thread(self._shelf.forget, dataset)

    async def examine(self) -> Sequence[Finding]:
        """Look at whether it works here, and what its processes are held by."""
        nothing = InspectionRequest((), (), LeakRules(check=False), CountRules())
        failure = (await self.inspect(nothing)).failure
        if failure:
            advice = "Nothing leaves by itself while it fails: look at leaks.memory and leaks.seconds."
            return [Finding(_PART, ok=False, seen=f"Looking at nothing failed: {failure}.", advice=advice)]
        seen = f"its processes give up {_listed(self.held)}"
        missing = [name for name in HOLDS if name not in self.held]
        if not missing:
            return [Finding(_PART, ok=True, seen=seen)]
        advice = f"{_listed(missing)} needs a kernel that has it (docs/reference/leak-check.md); the rest holds."
        return [Finding(_PART, ok=False, seen=f"{seen}, and not {_listed(missing)}", advice=advice)]

    async def datasets(self) -> list[str]:
        """Give the datasets that have kept indexes, in no order."""
        return await asyncio.to_thread(self._shelf.datasets)

    async def close(self) -> None:
        """End its processes. What was under way is given as failed."""
        self._closed = True
        self._readers.shutdown(wait=False, cancel_futures=False)
        self._builders.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._template.close()  # its forks end with it
        self._readers.shutdown(wait=True)
        self._builders.shutdown(wait=True)
        self._shelf.cool()
        self._template.close()

    def _prepare(self, wanted: IndexedInput, identifiers: frozenset[str]) -> None:
        with contextlib.suppress(FailedError, OSError), self._shelf.index(wanted, identifiers):
            pass

    def _inspect(self, request: InspectionRequest) -> Inspection:
        """Have everything looked into. Blocking."""
        reports: list[FileReport] = []
        try:
            with contextlib.ExitStack() as stack:
                wanted = _distinct(request.inputs) if request.leaks.check else []
                indexes = [stack.enter_context(self._shelf.index(each, request.leaks.identifiers)) for each in wanted]
                datasets = [each.dataset for each in wanted]
                fork = stack.enter_context(self._template.fork())
                end = _Conversation(fork, self._limits).hold(self._key, request, datasets, indexes, reports)
                self.held, self.cpu_seconds = end.held, end.cpu_seconds
                self._template.learn(arrow=end.arrow)
                return Inspection(tuple(reports), end.rows)
        except FailedError as problem:
            return Inspection(tuple(reports), failure=problem.failure)
        except TimeoutError:
            return Inspection(tuple(reports), failure="time")
        except (frames.ClosedError, OSError, KeyError, TypeError, ValueError):
            return Inspection(tuple(reports), failure="crashed")


@dataclasses.dataclass(frozen=True, slots=True)
class _End:
    rows: tuple[tuple[str, int], ...]
    held: tuple[str, ...]
    arrow: bool
    cpu_seconds: float


class _Conversation:
    """What is said with one reading process.

    Args:
        fork: The process.
        limits: Of the inspection.
    """

    def __init__(self, fork: Fork, limits: LeakLimits) -> None:
        self._channel = fork.channel
        self._limits = limits
        self._deadline = time.monotonic() + limits.seconds

    def hold(
        self,
        key: bytes,
        request: InspectionRequest,
        datasets: Sequence[str],
        indexes: Sequence[int],
        reports: list[FileReport],
    ) -> _End:
        """Hand everything over, a batch at a time, and collect what is said of it.

        Raises:
            FailedError: The process said so, or a file is another one than the surveyed.
            TimeoutError: It took too long.
            ClosedError: The process is gone.
        """
        order = {
            "order": "inspect",
            "key": key.hex(),
            "inputs": len(indexes),
            "leaks": {"canaries": sorted(request.leaks.canaries), "identifiers": sorted(request.leaks.identifiers)},
            "counts": {"columns": sorted(request.counts.columns), "threshold": request.counts.threshold},
            "limits": dataclasses.asdict(self._limits),
        }
        self._send(order)
        for start in range(0, len(indexes), frames.MAX_DESCRIPTORS):
            part = slice(start, start + frames.MAX_DESCRIPTORS)
            self._send({"datasets": list(datasets[part])}, indexes[part])
        for batch in _batches(request.files):
            reports.extend(self._batch(batch))
        self._send({"files": []})
        end = self._answer()
        rows = tuple((str(dataset), int(count)) for dataset, count in end["rows"])
        return _End(rows, tuple(map(str, end["held"])), bool(end["arrow"]), float(end["cpu"]))

    def _batch(self, batch: Sequence[InspectedFile]) -> list[FileReport]:
        descriptors: list[int] = []
        try:
            for file in batch:
                descriptor, size = open_regular(file.place)
                descriptors.append(descriptor)
                if size != file.size:
                    raise FailedError("changed")
            described = [{"path": file.path, "type": file.type, "size": file.size} for file in batch]
            self._send({"files": described}, descriptors)
        except NotThereError:
            raise FailedError("changed") from None
        finally:
            frames.close(descriptors)
        found = [_report(report) for report in self._answer()["reports"]]
        if [(report.path, report.type) for report in found] != [(file.path, file.type) for file in batch]:
            raise FailedError("crashed")
        if [report.sha256 for report in found] != [file.sha256 for file in batch]:
            raise FailedError("changed")
        return found

    def _send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        self._channel.settimeout(max(_FIRST, self._deadline - time.monotonic()))
        frames.send(self._channel, message, descriptors)

    def _answer(self) -> dict[str, Any]:
        self._channel.settimeout(max(_FIRST, self._deadline - time.monotonic()))
        answer, descriptors = frames.receive(self._channel)
        frames.close(descriptors)
        if failure := answer.get("failure"):
            raise FailedError(str(failure))
        return answer


def _distinct(inputs: Sequence[IndexedInput]) -> list[IndexedInput]:
    return list({(each.dataset, each.digest): each for each in inputs}.values())


def _batches(files: Sequence[InspectedFile]) -> list[list[InspectedFile]]:
    """Put so many files together as fit beside a message, and as are read in a moment."""
    found: list[list[InspectedFile]] = []
    size = 0
    for file in files:
        if not found or len(found[-1]) >= frames.MAX_DESCRIPTORS or size + file.size > _BATCH_BYTES:
            found.append([])
            size = 0
        found[-1].append(file)
        size += file.size
    return found


def _report(found: dict[str, Any]) -> FileReport:
    matches = tuple(
        Match(str(match["dataset"]), int(match["rows"]), str(match["where"]), tuple(map(str, match["examples"])))
        for match in found["matches"]
    )
    rows, smallest = found["rows"], found["smallest_group"]
    return FileReport(
        path=str(found["path"]),
        type=str(found["type"]),
        sha256=str(found["sha256"]),
        content_type=str(found["content_type"]),
        rows=None if rows is None else int(rows),
        matches=matches,
        canaries=int(found["canaries"]),
        smallest_group=None if smallest is None else int(smallest),
        opaque=str(found["opaque"]),
    )


def _listed(holds: Sequence[str]) -> str:
    return ", ".join(HOLDS.get(name, name) for name in holds) or "nothing"
