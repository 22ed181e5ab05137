"""Whether a dataset's release policy lets a job start: its algorithm, and its consumer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cove.core.releasepolicy import AlgorithmRules, ConsumerRules

HINTS: Final = {
    "policy_raw_algorithm": "The dataset's owner lets published algorithms run, and no code that comes with a request.",
    "policy_algorithm_digest": "The dataset's owner trusts other algorithms, by their digests.",
    "policy_algorithm_publisher": "The dataset's owner trusts other publishers of algorithms.",
    "policy_consumer_denied": "The dataset's owner has shut this account out.",
    "policy_consumer_not_allowed": "The dataset's owner lists who may compute on it: ask for access.",
    "policy_runs_used_up": "The dataset's owner bounds how often an account may compute on it: try again later.",
}
"""What each reason for a refusal means, for people."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rules need to know of an algorithm."""

    #: Whether its code came with the request.
    raw: bool
    #: ``sha256:<hex>`` of its image, as its container section states it; engines run no other.
    image: str
    #: Hex digests of its files, concatenated; None: not computed (see :func:`needs_files`).
    files: str | None = None
    #: Account that owns its NFT; empty for raw code or when unknown.
    publisher: str = ""


def needs_files(rules: AlgorithmRules, algorithm: Candidate) -> bool:
    """Say whether :func:`algorithm_objection` needs the digests of the algorithm's files, which cost reading them."""
    if rules.digests is None or algorithm.raw:
        return False
    image = algorithm.image.lower()
    return image not in rules.digests and any(
        entry.startswith(f"{image}+") or not entry.startswith("sha256:") for entry in rules.digests
    )


def algorithm_objection(rules: AlgorithmRules, algorithm: Candidate) -> str:
    """Give the code of why an algorithm may not run on a dataset; empty where it may.

    Raw code has neither publisher nor published digest, so a list of either keeps it out.
    """
    if algorithm.raw:
        if not rules.raw:
            return "policy_raw_algorithm"
        if rules.digests is not None:
            return "policy_algorithm_digest"
        return "" if rules.publishers is None else "policy_algorithm_publisher"
    if rules.digests is not None:
        facts = {algorithm.image.lower(), (algorithm.files or "").lower()} - {""}
        if not any(set(entry.split("+")) <= facts for entry in rules.digests):
            return "policy_algorithm_digest"
    if rules.publishers is not None and algorithm.publisher.lower() not in rules.publishers:
        return "policy_algorithm_publisher"
    return ""


def consumer_objection(rules: ConsumerRules, account: str) -> str:
    """Give the code of why an account may not compute on a dataset; empty where it may. Denied counts more."""
    if account.lower() in rules.denied:
        return "policy_consumer_denied"
    if rules.allowed is not None and account.lower() not in rules.allowed:
        return "policy_consumer_not_allowed"
    return ""
