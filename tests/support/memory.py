"""The most memory that a process held, whoever allocated it; see proc(5)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PROCESS: Final = Path("/proc/self")


def forget_peak() -> int:
    """Let the most memory of this process be what it holds now, and give that in bytes."""
    (_PROCESS / "clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Give the most memory that this process held since the last was forgotten, in bytes."""
    lines = (_PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
