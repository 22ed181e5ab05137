"""What a run writes to: memory where it is little, else ext4 in a file of this host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cove.core.job import Resources
from cove.ports import Finding

_TRY: Final = Path(__file__).with_name("keepdisk.py")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS: Final = 30
_OURS_BYTES: Final = 1 << 20
#: A disk of ext4 is no smaller, whatever a run asks for.
_LEAST_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Disks:
    """How the disks of runs are made here."""

    #: Largest disk in bytes that is kept in memory where a file can be had.
    most_in_memory: int
    #: This host's memory in bytes.
    memory_bytes: int = sys.maxsize
    #: Path of mkfs.ext4; empty where a disk in a file cannot be had: everything is kept in memory then.
    mkfs: str = ""

    @classmethod
    def of_this_host(cls, folder: Path, most_in_memory: int) -> Disks:
        """Try one in a folder: that needs root, mkfs.ext4 and loop devices."""
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        mkfs = shutil.which("mkfs.ext4", path=_PATH) if os.getuid() == 0 else None
        if mkfs is None:
            return cls(most_in_memory, memory)
        words = [sys.executable, "-I", "-S", str(_TRY), "try", str(folder), mkfs]
        try:
            tried = subprocess.run(words, env={}, capture_output=True, check=False, timeout=_SECONDS)  # noqa: S603 - our own words
        except (OSError, subprocess.TimeoutExpired):
            return cls(most_in_memory, memory)
        return cls(most_in_memory, memory, mkfs if tried.returncode == 0 else "")

    def are_in_memory(self, resources: Resources) -> bool:
        """Say whether a run's disk is kept in memory, and so counts with its memory against one limit."""
        if not self.mkfs:
            return True
        fits = resources.memory_bytes + resources.disk_bytes <= self.memory_bytes
        return fits and resources.disk_bytes <= self.most_in_memory

    def mounts(self, planned: Mapping[str, Any], resources: Resources) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Give what the supervisor mounts, and the disk in a file that is asked of it; None where there is none.

        Args:
            planned: What it would mount with everything in memory (``plan.mounts``).
            resources: The run's limits.
        """
        if self.are_in_memory(resources):
            return dict(planned), None
        ours = planned["size"] - resources.disk_bytes
        disk = {
            "bytes": max(resources.disk_bytes, _LEAST_BYTES),
            "inodes": resources.inodes + (planned["inodes"] - resources.inodes) // 2,
            "mkfs": self.mkfs,
        }
        return {**planned, "size": ours + _OURS_BYTES}, disk

    def enforcement(self) -> str:
        """Say by what the limit is enforced."""
        if not self.mkfs:
            return "sized tmpfs"
        return f"sized tmpfs, ext4 in a file above {_readable(self.most_in_memory)}"

    def finding(self) -> Finding:
        """Say what a disk is made of here."""
        if self.mkfs:
            seen = f"up to {_readable(self.most_in_memory)} in memory, above as ext4 in a file of the state folder"
            return Finding("disks", ok=True, seen=seen)
        why = "only root can mount a file" if os.getuid() else "mkfs.ext4 or loop devices are missing"
        advice = "Run as root" if os.getuid() else "Install e2fsprogs, and allow /dev/loop-control and loop devices"
        seen = f"all that runs write is kept in memory, whatever its size: {why}"
        return Finding("disks", ok=True, seen=seen, advice=f"{advice} for disks larger than memory.")


def _readable(size: int) -> str:
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power and size % (1 << power) == 0:
            return f"{size >> power} {unit}"
    return f"{size} B"
