"""Mock jobs: what an owner allows of them, and what the checks would have done to what they wrote.

A mock job reads synthetic samples, so nothing of what it writes is private, and all of it leaves, but for what breaks
the provider's own limits. The checks run all the same, with the samples in place of the data, and each file says what
would have become of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from cove.core.inspection import Inspection
from cove.core.job import Verdict
from cove.core.policy import RawOutput, ReleaseLimits, is_printed, review
from cove.core.releasepolicy import LeakRules, LogMode, ReleasePolicy

RELEASED: Final = "released"
HELD: Final = "held"
REFUSED: Final = "refused"
CUT: Final = "cut"
"""What would have become of a file; of a log that is cut, its end would have left."""

LOG_TAIL: Final = "log_tail"
"""Reason of a log of which only the end would leave."""

_ANYTHING: Final = ReleasePolicy(leaks=LeakRules(check=False))


@dataclass(frozen=True, slots=True)
class MockRules:
    """What an owner allows of mock jobs, beside what the policy says of any job."""

    #: Paths of the files that stand for a dataset's, in the order of its own; empty: no mock jobs on it.
    files: tuple[str, ...] = ()
    #: Of an algorithm: whether mock jobs may use its files without an order.
    free: bool = False


def checked_by(policy: ReleasePolicy) -> ReleasePolicy:
    """Give the policy that what a mock job wrote is looked into by.

    It knows no canaries, which stand in the private data: else a mock job could find out what they are, guess by guess.
    A log is looked at whole, also where only its end would leave.
    """
    logs = policy.logs
    if logs.mode is LogMode.TAIL:
        logs = replace(logs, tail_bytes=max(logs.tail_bytes, 1 << 50))
    return replace(policy, leaks=replace(policy.leaks, canaries=frozenset()), logs=logs)


def rehearse(
    outputs: Iterable[RawOutput], limits: ReleaseLimits, policy: ReleasePolicy, inspection: Inspection | None
) -> tuple[Verdict, ...]:
    """Judge every output of a mock job: what keeps the provider's limits leaves, and says what would have become of it.

    Args:
        outputs: Everything the job wrote, logs included.
        limits: From the provider's settings; what breaks these does not leave here either.
        policy: The strictest of the job's datasets.
        inspection: What was found in them, compared with the samples; None: nobody looked.
    """
    written = tuple(outputs)
    judged = review(written, limits, checked_by(policy), inspection)
    free = review(written, limits, _ANYTHING, None)
    return tuple(_told(verdict, let_out, policy) for verdict, let_out in zip(judged, free, strict=True))


def _told(judged: Verdict, let_out: Verdict, policy: ReleasePolicy) -> Verdict:
    printed = is_printed(RawOutput(judged.path, judged.type, judged.size, judged.sha256))
    if judged.released and printed and policy.logs.mode is LogMode.TAIL and judged.size > policy.logs.tail_bytes:
        return replace(let_out, reason=LOG_TAIL, would=CUT)
    fate = RELEASED if judged.released else HELD if judged.held else REFUSED
    return replace(let_out, reason=judged.reason or let_out.reason, held=False, would=fate)
