"""Which outputs may leave: the only way from a RawOutput to a ReleasedOutput.

What an algorithm wrote is held back until it was looked at, file names and logs included. Limits of size, count and
name refuse a file for good; what an inspection found in contents holds it for a person, or refuses it too where the
policy wants no review. Nothing is released for want of knowledge: without an inspection that the policy needs, all is
held. What Cove itself wrote (the logs of configuration, image and publishing) quotes no algorithm, and has its limits
alone.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass
from typing import Final, NewType

from cove.core.inspection import FileReport, Inspection
from cove.core.job import Verdict
from cove.core.releasepolicy import LogMode, OutputRules, ReleasePolicy, ReviewMode, type_allowed

Reason = NewType("Reason", str)
"""Machine-readable; :data:`REASONS` has them all."""

REFUSALS: Final = {
    "not_a_file": "It is no regular file.",
    "bad_name": "Its name could mislead, or is no text.",
    "too_large": "It is larger than one file may be.",
    "too_many": "There are more files than may leave.",
    "total_too_large": "All files together are larger than may leave.",
    "log_off": "The policy lets out nothing of this log.",
}
"""Why a file never leaves."""
HOLDS: Final = {
    "not_inspected": "Nobody could look into it.",
    "opaque": "A large part of it cannot be looked into.",
    "canary": "It has a text that was put into the data to be found again.",
    "leaked_rows": "It has rows of the input, and the job has more of them than may leave.",
    "leaked_elsewhere": "Other files of the job have rows of the input, more than may leave.",
    "warned_rows": "It has rows of the input, fewer than the policy fails at.",
    "small_groups": "It counts a group of fewer than the policy's threshold.",
    "too_many_rows": "A table in it has more rows than may leave.",
    "type": "By its content it is of a type that may not leave.",
    "review_always": "The policy wants a person to look at everything.",
}
"""Why a file waits for a person, or never leaves where the policy wants no review."""
REASONS: Final = {**REFUSALS, **HOLDS}

OUTPUT: Final = "output"
ALGORITHM_LOG: Final = "algorithmLog"
CONFIGURATION_LOG: Final = "configurationLog"
IMAGE_LOG: Final = "imageLog"
PUBLISH_LOG: Final = "publishLog"

ORDER_OF_TYPES: Final = (IMAGE_LOG, CONFIGURATION_LOG, ALGORITHM_LOG, OUTPUT, PUBLISH_LOG)
"""In which order the results list shows them (``container.md``)."""

OF_THE_ALGORITHM: Final = frozenset({ALGORITHM_LOG, OUTPUT})
"""What an algorithm wrote; the rest is Cove's own."""

CAPTURED_LOG: Final = "algorithm.log"
"""Name of what a run printed; a file of the job's never has this one."""

MAX_NAME_BYTES: Final = 1024

_OF_ANY_LOG: Final = frozenset({"text/*", "application/json"})


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


def review(
    outputs: Iterable[RawOutput], limits: ReleaseLimits, policy: ReleasePolicy, inspection: Inspection | None
) -> tuple[Verdict, ...]:
    """Judge every output of a job, in the order of the results list.

    A file that breaks a limit is held back by itself; the total is counted in that order, so that the verdict does
    not depend on how a directory happened to be read.

    Args:
        outputs: Everything the job wrote, logs included.
        limits: From the owner's settings.
        policy: The strictest of the job's datasets.
        inspection: What was found in them; None: nobody looked.
    """
    verdicts: list[Verdict] = []
    findings = _Findings(policy, inspection)
    for output, refusal in _limited(outputs, limits, policy):
        reason = refusal or (findings.objection(output) if output.type in OF_THE_ALGORITHM else None)
        held = bool(reason) and not refusal and policy.review.mode is not ReviewMode.NONE
        verdicts.append(Verdict(output.path, output.type, output.size, output.sha256, not reason, reason or "", held))
    return tuple(verdicts)


def to_inspect(outputs: Iterable[RawOutput], limits: ReleaseLimits, policy: ReleasePolicy) -> tuple[RawOutput, ...]:
    """Give the outputs whose contents decide; none where the policy asks for nothing that is found in contents."""
    if not needs_inspection(policy):
        return ()
    return tuple(
        output
        for output, refusal in _limited(outputs, limits, policy)
        if not refusal and output.type in OF_THE_ALGORITHM
    )


def needs_inspection(policy: ReleasePolicy) -> bool:
    """Say whether any rule is about contents."""
    rules = policy.outputs
    return policy.leaks.check or rules.types is not None or rules.rows is not None or _counts(policy)


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


def live_bytes(limits: ReleaseLimits, shown: int, policy: ReleasePolicy, *, live_logs: bool) -> int:
    """Say how many further bytes of a running job's log its owner may see: what may leave at the end, and no more.

    Args:
        limits: From the owner's settings.
        shown: Bytes of it that were shown.
        policy: The strictest of the job's datasets; it must let out logs while they are written.
        live_logs: The environment's setting, which must do so too.
    """
    return max(0, limits.log_bytes - shown) if live_logs and policy.logs.mode is LogMode.LIVE else 0


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


def _limited(
    outputs: Iterable[RawOutput], limits: ReleaseLimits, policy: ReleasePolicy
) -> list[tuple[RawOutput, Reason | None]]:
    """Say of each output which limit it breaks, in the order of the results list.

    What breaks the owner's limits does not count in their totals, so that one huge file costs the others nothing. The
    policy's totals count all that keeps the owner's limits, also what breaks a limit of the policy's: else a stricter
    policy could make room for a file that a looser one refuses.
    """
    owners = {kind: _Room(limits.files, limits.total_bytes) for kind in OF_THE_ALGORITHM}
    own = {kind: _Room(policy.outputs.files, policy.outputs.total_bytes) for kind in OF_THE_ALGORITHM}
    judged: list[tuple[RawOutput, Reason | None]] = []
    for output in sorted(outputs, key=_place):
        refusal = _objection(output, limits)
        if not refusal and is_printed(output):
            refusal = _objection_to_log(output, policy)
        elif not refusal and output.type in OF_THE_ALGORITHM:
            refusal = owners[output.type].takes(output, only_if_it_fits=True)
            if not refusal:
                beyond = own[output.type].takes(output, only_if_it_fits=False)
                refusal = _objection_to_file(output, policy) or beyond
        judged.append((output, refusal))
    return judged


def is_printed(output: RawOutput) -> bool:
    """Say whether an output is what a run printed: one log of a bounded size, which is no file among others."""
    return (output.path, output.type) == (CAPTURED_LOG, ALGORITHM_LOG)


class _Room:
    """Counts what leaves of one type; a bound that is None does not hold."""

    def __init__(self, files: int | None, total: int | None) -> None:
        self._files = files
        self._total = total
        self._count = 0
        self._bytes = 0

    def takes(self, output: RawOutput, *, only_if_it_fits: bool) -> Reason | None:
        """Count an output, and say why there is no room for it."""
        problem = None
        if self._files is not None and self._count >= self._files:
            problem = Reason("too_many")
        elif self._total is not None and self._bytes + output.size > self._total:
            problem = Reason("total_too_large")
        if problem is None or not only_if_it_fits:
            self._count += 1
            self._bytes += output.size
        return problem


def _objection(output: RawOutput, limits: ReleaseLimits) -> Reason | None:
    if not output.regular:
        return Reason("not_a_file")
    if not safe_name(output.path):
        return Reason("bad_name")
    largest = limits.file_bytes if output.type == OUTPUT else limits.log_bytes
    return Reason("too_large") if output.size > largest else None


def _objection_to_log(output: RawOutput, policy: ReleasePolicy) -> Reason | None:
    match policy.logs.mode:
        case LogMode.OFF:
            return Reason("log_off")
        case LogMode.TAIL:
            return Reason("too_large") if output.size > policy.logs.tail_bytes else None
        case LogMode.FULL | LogMode.LIVE:
            return None


def _objection_to_file(output: RawOutput, policy: ReleasePolicy) -> Reason | None:
    # A tail is the end of what was printed; of further logs, any number of ends could be all of them.
    if output.type == ALGORITHM_LOG and policy.logs.mode in {LogMode.OFF, LogMode.TAIL}:
        return Reason("log_off")
    largest = policy.outputs.file_bytes
    return Reason("too_large") if largest is not None and output.size > largest else None


def _counts(policy: ReleasePolicy) -> bool:
    return bool(policy.counts.columns) and policy.counts.threshold > 0


class _Findings:
    """What an inspection means under a policy."""

    def __init__(self, policy: ReleasePolicy, inspection: Inspection | None) -> None:
        self._policy = policy
        self._wanted = needs_inspection(policy)
        self._reports = {(report.path, report.type): report for report in inspection.files} if inspection else {}
        self._failed = inspection is None or bool(inspection.failure)
        most = max((_at_least(report) for report in self._reports.values()), default=0)
        self._rows = max(inspection.matched_rows if inspection else 0, most) if policy.leaks.check else 0
        canaries = policy.leaks.check and any(report.canaries for report in self._reports.values())
        self._fails = canaries or self._rows >= policy.leaks.fail_rows

    def objection(self, output: RawOutput) -> Reason | None:
        """Give the gravest objection to an output of the algorithm's."""
        found = self._found(output) if self._wanted else None
        if found is None and self._policy.review.mode is ReviewMode.ALWAYS:
            return Reason("review_always")
        return found

    def _found(self, output: RawOutput) -> Reason | None:
        report = self._reports.get((output.path, output.type))
        if self._failed or report is None or report.sha256 != output.sha256:
            return Reason("not_inspected")
        for code, holds in (
            ("canary", self._policy.leaks.check and report.canaries > 0),
            ("leaked_rows", self._fails and report.matched_rows > 0),
            ("leaked_elsewhere", self._fails),
            ("warned_rows", report.matched_rows > 0 and self._rows >= self._policy.leaks.warn_rows),
            ("opaque", bool(report.opaque) and self._looks_inside()),
            ("small_groups", self._has_small_groups(report)),
            ("too_many_rows", _above(report.rows, self._policy.outputs.rows)),
            ("type", not _may_be(report, self._policy.outputs)),
        ):
            if holds:
                return Reason(code)
        return None

    def _looks_inside(self) -> bool:
        return self._policy.leaks.check or self._policy.outputs.rows is not None or _counts(self._policy)

    def _has_small_groups(self, report: FileReport) -> bool:
        smallest = report.smallest_group
        return _counts(self._policy) and smallest is not None and smallest < self._policy.counts.threshold


def _at_least(report: FileReport) -> int:
    """Give a number of distinct rows that are in a file for sure: the same ones may stand in several places of it."""
    most: dict[str, int] = {}
    for match in report.matches:
        most[match.dataset] = max(most.get(match.dataset, 0), match.rows)
    return sum(most.values())


def _above(number: int | None, bound: int | None) -> bool:
    return number is not None and bound is not None and number > bound


def _may_be(report: FileReport, rules: OutputRules) -> bool:
    """Say whether a file's type may leave; a log may always be text."""
    if rules.types is None:
        return True
    allowed = rules.types | _OF_ANY_LOG if report.type == ALGORITHM_LOG else rules.types
    return type_allowed(report.content_type.lower(), allowed)
