"""What a data owner lets out of a dataset: the release policy, and the strictest of several."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final


class LogMode(StrEnum):
    """How much of what an algorithm prints may be read, from the least to the most."""

    #: Nothing; system events alone.
    OFF = "off"
    #: The last bytes, at the end, after the leak check.
    TAIL = "tail"
    #: All that is kept of it, at the end, after the leak check.
    FULL = "full"
    #: While it is written, unchecked, and all of it at the end after the leak check.
    LIVE = "live"


class ReviewMode(StrEnum):
    """When a person looks at results before they leave, from the least to the most."""

    #: Never: what may not leave by itself does not leave.
    NONE = "none"
    #: Where a check has failed or warned.
    ON_WARNING = "on_warning"
    #: Always.
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class AlgorithmRules:
    """Which algorithms may run on a dataset, beyond what its DDO says."""

    #: ``sha256:<hex>`` of an image, or hex of the algorithm's files (``core.trust.files_checksum``), or both with ``+``
    #: between them; one entry must hold in all its parts. None for any.
    digests: frozenset[str] | None = None
    #: Accounts, in lower case, that own the algorithm's NFT; None for any.
    publishers: frozenset[str] | None = None
    #: Whether code that comes with a request may run; it has neither publisher nor published digest.
    raw: bool = True


@dataclass(frozen=True, slots=True)
class ConsumerRules:
    """Who may run algorithms on a dataset, and how often."""

    #: Accounts in lower case; None for any.
    allowed: frozenset[str] | None = None
    #: Accounts in lower case.
    denied: frozenset[str] = frozenset()
    #: Runs that one consumer may start in a period; None for no bound.
    runs: int | None = None
    #: Seconds of the period, up to now.
    period_seconds: int = 86_400


@dataclass(frozen=True, slots=True)
class OutputRules:
    """Form and amount of what may leave; None always means no bound of the policy's own."""

    total_bytes: int | None = None
    files: int | None = None
    file_bytes: int | None = None
    #: Media types by content, ``text/csv`` or ``image/*``; None for any.
    types: frozenset[str] | None = None
    #: Rows of one table.
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class LogRules:
    """What of the algorithm's own text may leave."""

    mode: LogMode = LogMode.FULL
    #: Bytes at the end of the log that ``tail`` releases.
    tail_bytes: int = 4096


@dataclass(frozen=True, slots=True)
class LeakRules:
    """How outputs are compared with the actual input."""

    check: bool = True
    #: So many distinct input rows, over all files of a job together, and nothing leaves by itself; at least 1.
    fail_rows: int = 3
    #: So many, below ``fail_rows``, are a warning; at least 1.
    warn_rows: int = 1
    #: Columns each value of which identifies somebody: a value of theirs in an output counts as its row.
    identifiers: frozenset[str] = frozenset()
    #: Texts put into the data to be found again: one of them in an output fails, whatever the counts say.
    canaries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CountRules:
    """Which tables betray few people."""

    #: Columns by which an output table's rows are grouped, or counted, that the owner cares about.
    columns: frozenset[str] = frozenset()
    #: A group of fewer than so many is held; 0 for no such rule.
    threshold: int = 10


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """Who looks at what is held, and for how long it waits."""

    mode: ReviewMode = ReviewMode.ON_WARNING
    #: 1 or 2 different people must approve a file; one is enough to reject it.
    reviewers: int = 1
    #: Seconds until what nobody decided on is not released any more.
    expires_seconds: int = 30 * 86_400


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """One dataset's rules; its defaults hold without a policy file: checked, and held when in doubt."""

    algorithms: AlgorithmRules = AlgorithmRules()
    consumers: ConsumerRules = ConsumerRules()
    outputs: OutputRules = OutputRules()
    logs: LogRules = LogRules()
    leaks: LeakRules = LeakRules()
    counts: CountRules = CountRules()
    review: ReviewRules = ReviewRules()
    #: sha256 hex of the file that says so, by the DID of its dataset; empty for the built-in rules.
    digests: tuple[tuple[str, str], ...] = field(default=())


_LOG_ORDER: Final = tuple(LogMode)
_REVIEW_ORDER: Final = tuple(ReviewMode)


def strictest(policies: Iterable[ReleasePolicy]) -> ReleasePolicy:
    """Give one policy that is nowhere looser than any of several; of none, the built-in one.

    Of review modes it takes the one with more review: what ``none`` would have refused for good, a person may then let
    out where another dataset's owner wants persons to look.
    """
    several = tuple(policies)
    return functools.reduce(_stricter, several) if several else ReleasePolicy()


def canonical(policy: ReleasePolicy) -> str:
    """Write a policy as JSON, equal for equal policies: keys sorted, sets as sorted lists."""
    return json.dumps(asdict(policy), sort_keys=True, separators=(",", ":"), default=sorted)


def policy_digest(policy: ReleasePolicy) -> str:
    """Give the hex sha256 of :func:`canonical`: what a receipt names a job's policy by."""
    return hashlib.sha256(canonical(policy).encode()).hexdigest()


def _stricter(one: ReleasePolicy, other: ReleasePolicy) -> ReleasePolicy:
    return ReleasePolicy(
        algorithms=AlgorithmRules(
            digests=_both(one.algorithms.digests, other.algorithms.digests),
            publishers=_both(one.algorithms.publishers, other.algorithms.publishers),
            raw=one.algorithms.raw and other.algorithms.raw,
        ),
        consumers=_fewer_consumers(one.consumers, other.consumers),
        outputs=OutputRules(
            total_bytes=_least(one.outputs.total_bytes, other.outputs.total_bytes),
            files=_least(one.outputs.files, other.outputs.files),
            file_bytes=_least(one.outputs.file_bytes, other.outputs.file_bytes),
            types=_fewer_types(one.outputs.types, other.outputs.types),
            rows=_least(one.outputs.rows, other.outputs.rows),
        ),
        # A tail's length counts among those who want a tail.
        logs=min(one.logs, other.logs, key=lambda logs: (_LOG_ORDER.index(logs.mode), logs.tail_bytes)),
        leaks=LeakRules(
            check=one.leaks.check or other.leaks.check,
            fail_rows=min(one.leaks.fail_rows, other.leaks.fail_rows),
            warn_rows=min(one.leaks.warn_rows, other.leaks.warn_rows),
            identifiers=one.leaks.identifiers | other.leaks.identifiers,
            canaries=one.leaks.canaries | other.leaks.canaries,
        ),
        counts=CountRules(
            columns=one.counts.columns | other.counts.columns,
            threshold=max(one.counts.threshold, other.counts.threshold),
        ),
        review=ReviewRules(
            mode=max(one.review.mode, other.review.mode, key=_REVIEW_ORDER.index),
            reviewers=max(one.review.reviewers, other.review.reviewers),
            expires_seconds=min(one.review.expires_seconds, other.review.expires_seconds),
        ),
        digests=tuple(sorted({*one.digests, *other.digests})),
    )


def _fewer_consumers(one: ConsumerRules, other: ConsumerRules) -> ConsumerRules:
    bounded = [rules for rules in (one, other) if rules.runs is not None] or [one, other]
    return ConsumerRules(
        allowed=_both(one.allowed, other.allowed),
        denied=one.denied | other.denied,
        runs=_least(one.runs, other.runs),
        period_seconds=max(rules.period_seconds for rules in bounded),
    )


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _fewer_types(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """Give the types that both allow, where ``image/*`` covers ``image/png``."""
    if one is None or other is None:
        return other if one is None else one
    return frozenset(
        [kind for kind in one if type_allowed(kind, other)] + [kind for kind in other if type_allowed(kind, one)]
    )


def type_allowed(kind: str, allowed: frozenset[str]) -> bool:
    """Say whether a media type, or all that a pattern of them covers, is among those that are allowed."""
    return kind in allowed or f"{kind.partition('/')[0]}/*" in allowed


def _least(one: int | None, other: int | None) -> int | None:
    given: list[Any] = [value for value in (one, other) if value is not None]
    return min(given, default=None)
