"""An inspection as JSON values, and back; names of files may hold anything, so ASCII JSON is to be made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cove.core.inspection import FileReport, Inspection, Match


def values_of(inspection: Inspection) -> dict[str, Any]:
    """Give an inspection as JSON values."""
    return dataclasses.asdict(inspection)


def inspection_of(given: Mapping[str, Any]) -> Inspection:
    """Read what :func:`values_of` gave."""
    return Inspection(
        files=tuple(_report(one) for one in given["files"]),
        rows=tuple((did, rows) for did, rows in given["rows"]),
        failure=given["failure"],
    )


def _report(given: Mapping[str, Any]) -> FileReport:
    matches = tuple(Match(**{**one, "examples": tuple(one["examples"])}) for one in given["matches"])
    return FileReport(**{**given, "matches": matches})
