"""Where released results are kept."""

from __future__ import annotations

from typing import Final

from cove.ports import ResultStore
from cove.results.disk import DiskResults

RESULTS: Final[dict[str, type[ResultStore]]] = {"disk": DiskResults}
"""By name."""

__all__ = ["RESULTS", "DiskResults"]
