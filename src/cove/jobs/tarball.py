"""``outputs.tar``: built while it is sent, so that results are stored once. It can be read from any offset."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cove.core.job import ResultFile
from cove.core.policy import OUTPUT

TAR_NAME: Final = "outputs.tar"
_BLOCK: Final = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the archive: given bytes, or the bytes of a stored result."""

    size: int
    literal: bytes = b""
    #: Key of the result whose bytes stand here; empty for a literal.
    key: str = ""


def plan(results: Sequence[ResultFile], modified: float) -> tuple[Segment, ...]:
    """Lay out the archive of a job's outputs: ``outputs/...``, regular files only, fixed owner and mode.

    Args:
        results: The job's results; only those of type ``output`` that are stored go in.
        modified: Unix time to stand as every file's date.
    """
    segments: list[Segment] = []
    for result in results:
        if result.type != OUTPUT or not result.key:
            continue
        header = _header(f"outputs/{result.filename}", result.filesize, int(modified))
        segments.append(Segment(len(header), literal=header))
        segments.append(Segment(result.filesize, key=result.key))
        padding = -result.filesize % _BLOCK
        if padding:
            segments.append(Segment(padding, literal=b"\0" * padding))
    end = b"\0" * (2 * _BLOCK)
    segments.append(Segment(len(end), literal=end))
    return tuple(segments)


def total(segments: Sequence[Segment]) -> int:
    """Give the size of the whole archive in bytes."""
    return sum(segment.size for segment in segments)


def _header(name: str, size: int, modified: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mtime = modified
    entry.mode = 0o644
    entry.uid = entry.gid = 1000
    entry.uname = entry.gname = "cove"
    buffer = io.BytesIO()
    buffer.write(entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
    return buffer.getvalue()
