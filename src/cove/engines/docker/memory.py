"""What Podman does not tell on hosts with cgroup version 1: that a run was ended because it had no memory left.

The kernel counts it in the run's cgroup, which is gone when Podman tells of the end, so it is asked to tell us at once.
This can be seen only from the daemon's own host, and only while the service is up; the exit code, 137, is told always.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final

from cove.core.job import RunId

_V1: Final = Path("/sys/fs/cgroup/memory")


class MemoryWatch:
    """The runs whose cgroups are listened to."""

    def __init__(self) -> None:
        self._held: dict[RunId, tuple[int, int]] = {}
        self._killed: set[RunId] = set()

    def watch(self, run: RunId, pid: int) -> None:
        """Listen to the cgroup of a run's first process; nothing where that cannot be done."""
        if run in self._held or pid <= 0:
            return
        with contextlib.suppress(OSError):
            folder = _group_of(pid)
            if folder is None:
                return
            counter = os.open(folder / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            told = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._held[run] = (counter, told)
            (folder / "cgroup.event_control").write_text(f"{told} {counter}")
            asyncio.get_running_loop().add_reader(told, self._hear, run)

    def was_killed(self, run: RunId) -> bool:
        """Say whether the kernel ended a process of a run for its memory."""
        return run in self._killed

    def forget(self, run: RunId) -> None:
        """Let go of a run."""
        self._killed.discard(run)
        held = self._held.pop(run, None)
        if held is not None:
            asyncio.get_running_loop().remove_reader(held[1])
            for descriptor in held:
                os.close(descriptor)

    def close(self) -> None:
        """Let go of all."""
        for run in list(self._held):
            self.forget(run)

    def _hear(self, run: RunId) -> None:
        """Take a word of the kernel: it says so before it kills and counts, and once more when the group is gone."""
        counter, told = self._held[run]
        with contextlib.suppress(OSError):
            os.read(told, 8)
            os.pread(counter, 4096, 0)
            self._killed.add(run)


def _group_of(pid: int) -> Path | None:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _V1 / path.strip("/")
    return None
