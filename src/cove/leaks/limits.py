"""How much the leak check may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INDEX_MAGIC: Final = b"cove leak index 1\n"
"""What every index begins with."""


@dataclass(frozen=True, slots=True)
class LeakLimits:
    """Bounds of the process that reads files, and of what is kept."""

    #: Bytes that one inspection, or the making of one index, may allocate.
    memory: int = 1 << 30
    #: Seconds of one inspection, of processor and of wall time.
    seconds: float = 120.0
    #: Seconds for making the index of one input.
    index_seconds: float = 3600.0
    #: Bytes of all indexes kept on disk; those that were not used for longest go first.
    cache_bytes: int = 4 << 30
    #: Bytes of indexes kept in memory while jobs come.
    warm_bytes: int = 256 << 20
    #: A larger output is not looked into.
    file_bytes: int = 64 << 20
    #: Bytes that all packed outputs of a job may unpack to; more is a bomb.
    unpacked_bytes: int = 512 << 20
    #: Members of packed outputs of a job.
    members: int = 20_000
    #: How many containers may lie in each other.
    depth: int = 2
    #: So many bytes that nobody understands are opaque.
    opaque_bytes: int = 16_384
    #: Seconds without work after which the waiting process ends.
    idle_seconds: float = 300.0
    #: Inspections and builds at a time.
    at_once: int = 2
