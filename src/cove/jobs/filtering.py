"""What stands between a run's end and the verdicts: the log as it may leave, and what an inspector is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from cove.core.inspection import Inspection
from cove.core.policy import RawOutput
from cove.core.releasepolicy import ReleasePolicy
from cove.jobs import outputs, provisioning
from cove.ports import Collected, IndexedInput, InspectedFile, InspectionRequest, Inspector

INPUTS_FILE: Final = "inputs.json"
"""In a job's workspace: where the files of its datasets lie."""

TAIL_FILE: Final = "tail.log"
"""In a job's workspace: the end of its log, where no more may leave."""

_INPUTS: Final[TypeAdapter[tuple[IndexedInput, ...]]] = TypeAdapter(tuple[IndexedInput, ...])


def note_inputs(workspace: Path, inputs: tuple[IndexedInput, ...]) -> None:
    """Write down what outputs are to be compared with, so that a later service knows it too. Blocking."""
    (workspace / INPUTS_FILE).write_bytes(_INPUTS.dump_json(inputs))


def cut_log(workspace: Path, collected: Collected, size: int) -> Collected:
    """Have the end of the log be the log from now on, so that the very bytes that leave are looked at. Blocking.

    Args:
        workspace: The job's.
        collected: What the run left.
        size: Bytes at most.

    Raises:
        NoSpace: The disk is full.
    """
    tail = workspace / TAIL_FILE
    if collected.log != tail and collected.log.is_file():
        with provisioning.space_errors():
            workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
            outputs.cut_tail(collected.log, tail, size)
    return as_it_leaves(workspace, collected)


def as_it_leaves(workspace: Path, collected: Collected) -> Collected:
    """Give what a run left with the end of the log in place of the log, where it was cut."""
    tail = workspace / TAIL_FILE
    return replace(collected, log=tail) if tail.is_file() else collected


async def inspect(
    inspector: Inspector,
    workspace: Path,
    collected: Collected | None,
    chosen: Sequence[RawOutput],
    policy: ReleasePolicy,
) -> Inspection:
    """Have everything looked into whose content decides."""
    if not chosen or collected is None:
        return Inspection()
    try:
        inputs = await asyncio.to_thread(_noted, workspace) if policy.leaks.check else ()
    except (OSError, ValueError):
        return Inspection(failure="index")
    files = tuple(
        InspectedFile(file.path, file.type, outputs.place_of(collected, file.path, file.type), file.size, file.sha256)
        for file in chosen
    )
    return await inspector.inspect(InspectionRequest(files, inputs, policy.leaks, policy.counts))


def _noted(workspace: Path) -> tuple[IndexedInput, ...]:
    return _INPUTS.validate_json((workspace / INPUTS_FILE).read_bytes())
