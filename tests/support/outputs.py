"""Files that may leave, for tests of what keeps them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.support.policies import UNCHECKED

from cove.core.policy import OUTPUT, RawOutput, ReleasedOutput, ReleaseLimits, release, review

GENEROUS = ReleaseLimits(file_bytes=1 << 40, total_bytes=1 << 40, files=1 << 20, log_bytes=1 << 40)


def released(path: str, content: bytes, kind: str = OUTPUT) -> ReleasedOutput:
    """Give what policy gives for a file of this content."""
    raw = RawOutput(path, kind, len(content), hashlib.sha256(content).hexdigest())
    output = release(raw, review([raw], GENEROUS, UNCHECKED, None))
    assert output is not None
    return output


def written(place: Path, content: bytes) -> Path:
    """Write a file, and give its place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place
