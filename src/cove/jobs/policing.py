"""Holds a job that is to start, or to run again, to the release policies of its datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cove.core.errors import Refused
from cove.core.policygate import HINTS, Candidate, algorithm_objection, consumer_objection, needs_files
from cove.core.releasepolicy import ReleasePolicy, strictest
from cove.jobs.parts import Parts
from cove.ports import RunLimit


@dataclass(frozen=True, slots=True)
class Ruled:
    """A dataset of a request, and its policy."""

    did: str
    #: The dotted field that a refusal stands under.
    field: str
    policy: ReleasePolicy


async def rules_of(parts: Parts, datasets: Sequence[tuple[str, str]]) -> tuple[Ruled, ...]:
    """Give the policies as they are now.

    Args:
        parts: The house.
        datasets: DID and field of each.

    Raises:
        Unavailable: One of them cannot be used; neither older nor other rules hold in its place.
    """
    policies = await parts.policies.of([did for did, _ in datasets])
    return tuple(Ruled(did, field, policy) for (did, field), policy in zip(datasets, policies, strict=True))


def frozen(ruled: Sequence[Ruled]) -> ReleasePolicy:
    """Give the one policy that a job runs under from now on."""
    return strictest(entry.policy for entry in ruled)


def wants_files(ruled: Sequence[Ruled], algorithm: Candidate) -> bool:
    """Say whether :func:`check` needs the digests of the algorithm's files."""
    return any(needs_files(entry.policy.algorithms, algorithm) for entry in ruled)


def check(ruled: Sequence[Ruled], consumer: str, algorithm: Candidate) -> None:
    """Return when every dataset's owner lets this account run this algorithm.

    Raises:
        Refused: With one of ``core.policygate.HINTS`` under the dataset's field.
    """
    for entry in ruled:
        code = consumer_objection(entry.policy.consumers, consumer) or algorithm_objection(
            entry.policy.algorithms, algorithm
        )
        if code:
            raise Refused(entry.field, code, hint=HINTS[code])


def run_limits(ruled: Sequence[Ruled], now: float) -> tuple[RunLimit, ...]:
    """Give how many starts each dataset's owner allows one account, for the store to hold."""
    return tuple(
        RunLimit(entry.did, entry.policy.consumers.runs, now - entry.policy.consumers.period_seconds, entry.field)
        for entry in ruled
        if entry.policy.consumers.runs is not None
    )


async def check_runs(parts: Parts, consumer: str, ruled: Sequence[Ruled]) -> None:
    """Return when the account has a run left on every dataset, as far as is known before anything is written.

    Raises:
        Refused: ``policy_runs_used_up``.
    """
    for limit in run_limits(ruled, parts.clock.now()):
        if await parts.store.runs(consumer, limit.dataset, limit.since) >= limit.runs:
            raise Refused(limit.field, "policy_runs_used_up", hint=HINTS["policy_runs_used_up"])
