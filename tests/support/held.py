"""Reviews, and what a policy would hold, for tests of what keeps and decides them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.jobs import a_job
from tests.support.outputs import written

from cove.core import airlock
from cove.core.airlock import Review
from cove.core.inspection import FileReport, Inspection, Match
from cove.core.job import Container, InputAsset, Job, Outcome, Package, Phase, Verdict
from cove.core.policy import OUTPUT, RawOutput, ReleaseLimits, review
from cove.core.releasepolicy import ReleasePolicy, ReviewRules
from cove.jobs.steps import pack
from cove.ports import Airlock, JobStore, ReviewStore, Vault

Contents = Mapping[str, bytes]

NOW = 1_700_000_000.0
ANNA, BORIS, CARLA = (f"0x{digit * 40}" for digit in "abc")
FINDINGS = Inspection(
    (
        FileReport("rows.csv", OUTPUT, "ab" * 32, "text/csv", 5, (Match("did:op:1", 5, "", ("A***,4*",)),), canaries=1),
        FileReport("\udcff", OUTPUT, "ab" * 32, "application/octet-stream", opaque="unknown"),
    ),
    (("did:op:1", 5),),
)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def held(path: str, content: bytes = b"rows", reason: str = "leaked_rows") -> Verdict:
    return Verdict(path, OUTPUT, len(content), digest(content), released=False, reason=reason, held=True)


def a_held_job(*verdicts: Verdict, **changes: Any) -> Job:
    """Give a job in HELD; without verdicts, with two files held and one that may leave by itself."""
    passed = Verdict("mean.json", OUTPUT, 2, digest(b"{}"), released=True)
    given = verdicts or (held("rows.csv"), held("\udcff", b"x", "opaque"), passed)
    return a_job(**{"phase": Phase.HELD, "verdicts": given, **changes})


def a_review(*, reviewers: int = 1, seconds: int = 3600, job: Job | None = None) -> Review:
    rules = ReviewRules(reviewers=reviewers, expires_seconds=seconds)
    return airlock.opened(job or a_held_job(), rules, [("leaked_rows", "leaks.fail_rows = 3")], FINDINGS, NOW)


def holding(names: Iterable[str]) -> Any:
    """Give a judge that also holds outputs of these names, whatever is in them."""
    wanted = frozenset(names)

    def judge(
        outputs: Sequence[RawOutput], limits: ReleaseLimits, policy: ReleasePolicy, inspection: Inspection | None
    ) -> tuple[Verdict, ...]:
        return tuple(
            replace(one, released=False, held=True, reason="leaked_rows")
            if one.path in wanted and one.released
            else one
            for one in review(outputs, limits, policy, inspection)
        )

    return judge


async def store_held(  # noqa: PLR0917 - each once
    jobs: JobStore, reviews: ReviewStore, keeps: Airlock, vault: Vault, source: Path, owner: str, contents: Contents
) -> Job:
    """Put a job into a house as if its run was over, and all that it wrote was held."""
    verdicts = tuple(held(name, content) for name, content in contents.items())
    now = time.time()
    job = a_job(
        owner=owner, phase=Phase.HELD, held_at=now, verdicts=verdicts, outcome=Outcome.SUCCEEDED, exit_code=0,
        created_at=now - 60, expires_at=0.0, started_at=now - 50,
    )  # fmt: skip
    for verdict in verdicts:
        place = written(source, contents[verdict.path])
        keeps.put(job.id, verdict, lambda place=place: place)  # type: ignore[misc]
    package = Package((), InputAsset("", "", None), Container("cove/host"), "print(1)")
    await jobs.add(job, vault.seal(pack(package)))
    found = Inspection(
        tuple(
            FileReport(name, OUTPUT, digest(content), "text/csv", 2, (Match("did:op:1", 2, "", ("A**,4*",)),))
            for name, content in contents.items()
        ),
        (("did:op:1", 2),),
    )
    await reviews.add(airlock.opened(job, ReviewRules(), [("leaked_rows", "leaks.fail_rows = 3")], found, now))
    return job
