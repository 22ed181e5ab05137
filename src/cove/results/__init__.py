"""Where released results are kept, and what waits for a person's decision."""

from __future__ import annotations

from typing import Final

from cove.ports import Airlock, ResultStore
from cove.results.airlock import DiskAirlock
from cove.results.disk import DiskResults

RESULTS: Final[dict[str, type[ResultStore]]] = {"disk": DiskResults}
"""By name."""

AIRLOCKS: Final[dict[str, type[Airlock]]] = {"disk": DiskAirlock}
"""By name."""

__all__ = ["AIRLOCKS", "RESULTS", "DiskAirlock", "DiskResults"]
