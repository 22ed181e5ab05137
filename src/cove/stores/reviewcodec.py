"""A review as a row and its votes as rows; by hand, since names of files may hold what pydantic's JSON refuses."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cove.core.airlock import HeldFile, Review, ReviewState, Vote
from cove.core.inspection_form import inspection_of, values_of
from cove.core.job import JobId, Verdict


@dataclass(frozen=True, slots=True)
class VoteRow:
    """One vote."""

    #: ``HeldFile.key``.
    file: str
    reviewer: str
    approve: bool
    sha256: str
    reason: str
    at: float


def vote_rows(review: Review) -> Sequence[VoteRow]:
    """Give all votes of a review."""
    return [
        VoteRow(file.key, vote.reviewer, vote.approve, vote.sha256, vote.reason, vote.at)
        for file in review.files
        for vote in file.votes
    ]


def document(review: Review) -> str:
    """Write what no column has, in ASCII."""
    return json.dumps({
        "owner": review.owner,
        "datasets": review.dataset_dids,
        "reviewers": review.reviewers,
        "files": [(one.path, one.type, one.size, one.sha256, one.reason, one.rule) for one in review.files],
        "passed": [(one.path, one.type, one.size, one.sha256, one.released, one.reason) for one in review.passed],
        "inspection": values_of(review.inspection),
        "note": review.note,
        "closed_by": review.closed_by,
        "closed_at": review.closed_at,
    })  # fmt: skip


def decode(row: Mapping[str, Any], rows: Iterable[VoteRow]) -> Review:
    """Give the review of a row and its votes."""
    given = json.loads(row["document"])
    votes: dict[str, list[Vote]] = {}
    for vote in rows:
        votes.setdefault(vote.file, []).append(Vote(vote.reviewer, vote.approve, vote.reason, vote.sha256, vote.at))
    files = (HeldFile(*values) for values in given["files"])
    return Review(
        job_id=JobId(row["job_id"]),
        attempt=row["attempt"],
        owner=given["owner"],
        dataset_dids=tuple(given["datasets"]),
        reviewers=given["reviewers"],
        opened_at=row["opened_at"],
        expires_at=row["expires_at"],
        files=tuple(dataclasses.replace(file, votes=tuple(votes.get(file.key, ()))) for file in files),
        passed=tuple(Verdict(*values) for values in given["passed"]),
        inspection=inspection_of(given["inspection"]),
        state=ReviewState(row["state"]),
        note=given["note"],
        closed_by=given["closed_by"],
        closed_at=given["closed_at"],
        settled=row["settled"],
        version=row["version"],
    )
