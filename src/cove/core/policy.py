"""Which outputs may leave: the only way from a RawOutput to a ReleasedOutput.

What an algorithm wrote is held back until it was looked at, file names and logs included. The size, count and name
rules here are the first of the checks; a check that reads contents gives its findings as further ``Reason`` values.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass
from typing import Final, NewType

from cove.core.job import Verdict

Reason = NewType("Reason", str)
"""Machine-readable: ``too_large``, ``too_many``, ``total_too_large``, ``bad_name``, ``not_a_file``."""

OUTPUT: Final = "output"
ALGORITHM_LOG: Final = "algorithmLog"
CONFIGURATION_LOG: Final = "configurationLog"
IMAGE_LOG: Final = "imageLog"
PUBLISH_LOG: Final = "publishLog"

ORDER_OF_TYPES: Final = (IMAGE_LOG, CONFIGURATION_LOG, ALGORITHM_LOG, OUTPUT, PUBLISH_LOG)
"""In which order the results list shows them (``container.md``)."""

MAX_NAME_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class ReleaseLimits:
    """How much of what a job wrote may leave."""

    #: Bytes of one file.
    file_bytes: int
    #: Bytes of all outputs of a job together.
    total_bytes: int
    #: Number of output files.
    files: int
    #: Bytes of one log.
    log_bytes: int


@dataclass(frozen=True, slots=True)
class RawOutput:
    """One file as the algorithm left it: hostile until released.

    It names the file and never gives its bytes; ``regular`` was read from the opened descriptor, not from a path.
    """

    path: str
    type: str
    size: int
    sha256: str
    regular: bool = True


_PASS = object()


@dataclass(frozen=True, slots=True)
class ReleasedOutput:
    """A file that may leave. Only :func:`release` makes one."""

    path: str
    type: str
    size: int
    sha256: str
    # Not a field: ``dataclasses.replace`` would hand a field on to a changed copy.
    _made_by_release: InitVar[object]

    def __post_init__(self, _made_by_release: object) -> None:
        """Refuse to be made by anybody else.

        Raises:
            TypeError: It was not :func:`release` that called.
        """
        if _made_by_release is not _PASS:
            msg = "a ReleasedOutput is made by cove.core.policy.release alone"
            raise TypeError(msg)


def review(outputs: Iterable[RawOutput], limits: ReleaseLimits) -> tuple[Verdict, ...]:
    """Judge every output of a job, in the order of the results list.

    A file that breaks a limit is held back by itself; the total is counted in that order, so that the verdict does
    not depend on how a directory happened to be read.

    Args:
        outputs: Everything the job wrote, logs included.
        limits: From the owner's settings.
    """
    verdicts: list[Verdict] = []
    count = 0
    total = 0
    for output in sorted(outputs, key=_place):
        reason = _objection(output, limits, count, total)
        if not reason and output.type == OUTPUT:
            count += 1
            total += output.size
        verdicts.append(Verdict(output.path, output.type, output.size, output.sha256, not reason, reason or ""))
    return tuple(verdicts)


def release(output: RawOutput, verdicts: Sequence[Verdict]) -> ReleasedOutput | None:
    """Give what may leave of one output, or None when it is held back.

    Args:
        output: The file as it is now; it must still have the digest that was judged.
        verdicts: What :func:`review` said.
    """
    for verdict in verdicts:
        if (verdict.path, verdict.type) == (output.path, output.type):
            unchanged = output.regular and (verdict.size, verdict.sha256) == (output.size, output.sha256)
            if verdict.released and unchanged:
                return ReleasedOutput(output.path, output.type, output.size, output.sha256, _PASS)
            return None
    return None


def live_bytes(limits: ReleaseLimits, shown: int, *, live_logs: bool) -> int:
    """Say how many further bytes of a running job's log its owner may see: what may leave at the end, and no more.

    Args:
        limits: From the owner's settings.
        shown: Bytes of it that were shown.
        live_logs: The environment's setting, by which the owner releases logs while they are written.
    """
    return max(0, limits.log_bytes - shown) if live_logs else 0


def safe_name(path: str) -> bool:
    """Say whether a relative path is fit to be shown, stored and put into an archive.

    Args:
        path: With ``/`` between its parts.
    """
    if not path or path.startswith("/") or len(path.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        return False
    if posixpath.normpath(path) != path or path.split("/", 1)[0] in {".", ".."}:
        return False
    return not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in path)


def _place(output: RawOutput) -> tuple[int, str]:
    return ORDER_OF_TYPES.index(output.type), output.path


def _objection(output: RawOutput, limits: ReleaseLimits, count: int, total: int) -> Reason | None:
    if not output.regular:
        return Reason("not_a_file")
    if not safe_name(output.path):
        return Reason("bad_name")
    if output.type != OUTPUT:
        return Reason("too_large") if output.size > limits.log_bytes else None
    if output.size > limits.file_bytes:
        return Reason("too_large")
    if count >= limits.files:
        return Reason("too_many")
    if total + output.size > limits.total_bytes:
        return Reason("total_too_large")
    return None
