"""What every part needs: the time, and what an examination found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Give the Unix time in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, for ``cove doctor`` and the environment's description."""

    #: ``sandbox``, ``cgroups``, ``database``, ``disk``, ``chain 8996``, ``keys``...
    part: str
    ok: bool
    #: What was seen, one sentence.
    seen: str
    #: What to do; empty when there is nothing to do.
    advice: str = ""
