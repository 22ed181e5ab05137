"""Who lets out what was held: votes per file, by one or two people, none of whom owns the job.

A vote is for the very bytes that its voter saw. Once it is closed, a review changes no more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from cove.core.errors import Forbidden, Invalid, NotFound, Refused
from cove.core.inspection import Inspection
from cove.core.job import Job, JobId, Outcome, Phase, Verdict
from cove.core.policy import ALGORITHM_LOG, OUTPUT
from cove.core.releasepolicy import ReviewRules

MAX_REASON: Final = 2000
"""Characters of a reviewer's reason."""

_OF_THE_ALGORITHM: Final = frozenset({OUTPUT, ALGORITHM_LOG})


class ReviewState(StrEnum):
    """How far a review is; all but the first are final."""

    OPEN = "open"
    #: Decided, and something that was held may leave.
    RELEASED = "released"
    #: Decided, and nothing that was held may leave.
    REJECTED = "rejected"
    #: A reviewer gave the whole job back: nothing of the algorithm's leaves.
    RETURNED = "returned"
    #: Nobody decided in time: what was not approved by then stays.
    EXPIRED = "expired"
    #: The job's owner stopped or deleted it: nothing of the algorithm's leaves.
    WITHDRAWN = "withdrawn"


class ReleaseState(StrEnum):
    """Where a job's results are, for people."""

    CHECKING = "checking"
    HELD = "held"
    RELEASED = "released"
    REJECTED = "rejected"
    RETURNED = "returned"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person says of one file."""

    #: An account in lower case, or ``local:<name>`` of somebody at the owner's machine.
    reviewer: str
    approve: bool
    #: In the reviewer's words; for the owner's eyes.
    reason: str
    #: Hex digest of the bytes that it is about.
    sha256: str
    #: Unix time.
    at: float


@dataclass(frozen=True, slots=True)
class HeldFile:
    """One file in the airlock that a person is to look at."""

    path: str
    type: str
    size: int
    sha256: str
    #: Why it is held, as in ``Verdict.reason``.
    reason: str
    #: The line of the policy that holds it, for people: ``leaks.fail_rows = 3``; empty where none is known.
    rule: str = ""
    #: One per reviewer, the newest last.
    votes: tuple[Vote, ...] = ()

    @property
    def key(self) -> str:
        """Give the name that stands for it in requests and in the airlock."""
        return file_key(self.type, self.path)


@dataclass(frozen=True, slots=True)
class Review:
    """The review of one attempt of a job."""

    job_id: JobId
    attempt: int
    #: Of the job; checksummed.
    owner: str
    dataset_dids: tuple[str, ...]
    #: Different people who must approve a file: 1 or 2.
    reviewers: int
    opened_at: float
    #: Unix time after which nothing more is let out.
    expires_at: float
    files: tuple[HeldFile, ...]
    #: What left without a person's doing, if it leaves at all.
    passed: tuple[Verdict, ...] = ()
    inspection: Inspection = field(default_factory=Inspection)
    state: ReviewState = ReviewState.OPEN
    #: Why it was returned, in the reviewer's words, which the job's owner reads.
    note: str = ""
    #: Who closed it; empty while it is open, and where nobody did.
    closed_by: str = ""
    closed_at: float | None = None
    #: True once the job went on by what was decided.
    settled: bool = False
    #: For compare-and-swap writes.
    version: int = 1

    def file(self, key: str) -> HeldFile:
        """Give a file by its key.

        Raises:
            NotFound: There is no such file in the review.
        """
        found = next((one for one in self.files if one.key == key), None)
        if found is None:
            raise NotFound("The review has no such file.", hint="Ask for the review to see its files.")
        return found


def file_key(kind: str, path: str) -> str:
    """Give the name that stands for a file of a job: 32 hex digits of its type and path, which may be hostile."""
    return hashlib.sha256(f"{kind}\0{path}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def opened(
    job: Job, rules: ReviewRules, lines: Iterable[tuple[str, str]], inspection: Inspection, now: float
) -> Review:
    """Give the review of a job whose verdicts hold something.

    Args:
        job: In HELD.
        rules: How many reviewers, and for how long.
        lines: Of the policy, by the reason of a verdict.
        inspection: What was found in the files.
        now: Unix time.
    """
    known = dict(lines)
    held = (verdict for verdict in job.verdicts if verdict.held)
    return Review(
        job_id=job.id,
        attempt=job.attempt,
        owner=job.owner,
        dataset_dids=job.dataset_dids,
        reviewers=rules.reviewers,
        opened_at=now,
        expires_at=now + rules.expires_seconds,
        files=tuple(
            HeldFile(one.path, one.type, one.size, one.sha256, one.reason, known.get(one.reason, "")) for one in held
        ),
        passed=tuple(verdict for verdict in job.verdicts if verdict.released),
        inspection=inspection,
    )


def approvals(file: HeldFile) -> frozenset[str]:
    """Give who approved a file as it is now."""
    return frozenset(vote.reviewer for vote in file.votes if vote.approve and vote.sha256 == file.sha256)


def decided(file: HeldFile, reviewers: int) -> bool | None:
    """Say whether a file may leave; None while that is open. One person is enough to say no.

    Args:
        file: With its votes; those for other bytes than its present ones do not count.
        reviewers: So many different people must say yes.
    """
    if any(not vote.approve for vote in file.votes if vote.sha256 == file.sha256):
        return False
    return True if len(approvals(file)) >= max(1, reviewers) else None


def check_reviewer(review: Review, reviewer: str) -> None:
    """See that somebody may decide about a job at all.

    Raises:
        Forbidden: It is their own.
    """
    if reviewer.lower() == review.owner.lower():
        raise Forbidden("The owner of a job may not review its results.")


def voted(review: Review, key: str, vote: Vote) -> Review:
    """Give a review with one more vote; it closes once every file is decided.

    Args:
        review: As it is stored.
        key: Of the file (``HeldFile.key``).
        vote: Its ``sha256`` is of the bytes that the voter saw. A person's later vote replaces their earlier one.

    Raises:
        Forbidden: The voter owns the job.
        Invalid: There is no reason, or a very long one.
        NotFound: There is no such file.
        Refused: The review is closed, the file is decided, or its bytes are not those that the voter saw.
    """
    vote = replace(vote, reviewer=vote.reviewer.lower(), reason=checked_reason(vote.reason))
    check_reviewer(review, vote.reviewer)
    _check_open(review, vote.at)
    file = review.file(key)
    if vote.sha256.lower() != file.sha256:
        raise Refused("sha256", "changed", hint="The file is not the one that was looked at; look at it again.")
    if decided(file, review.reviewers) is not None:
        raise Refused("file", "decided", hint="Ask for the review to see what was decided.")
    vote = replace(vote, sha256=file.sha256)
    others = tuple(one for one in file.votes if one.reviewer != vote.reviewer)
    return _closed_if_decided(_with(review, replace(file, votes=(*others, vote))), vote)


def observed(review: Review, key: str, size: int, sha256: str) -> Review:
    """Give a review that knows what a file is now: other bytes than before lose every vote.

    Raises:
        NotFound: There is no such file.
        Refused: The review is closed.
    """
    file = review.file(key)
    if (file.size, file.sha256) == (size, sha256):
        return review
    _check_open(review)
    return _with(review, replace(file, size=size, sha256=sha256, votes=()))


def returned(review: Review, reviewer: str, reason: str, now: float) -> Review:
    """Give the whole job back to its owner, with a reason that its owner reads.

    Raises:
        Forbidden: The reviewer owns the job.
        Invalid: There is no reason, or a very long one.
        Refused: The review is closed.
    """
    text = checked_reason(reason)
    check_reviewer(review, reviewer)
    _check_open(review, now)
    return _closed(replace(review, note=text), ReviewState.RETURNED, reviewer.lower(), now)


def concluded(review: Review, job: Job, now: float) -> Review:
    """Close a review whose job's owner wants no results any more, or whose time is over; else give it as it is."""
    if review.state is not ReviewState.OPEN:
        return review
    if job.stop_requested_at is not None or job.delete_requested_at is not None:
        return _closed(review, ReviewState.WITHDRAWN, job.owner.lower(), now)
    if now > review.expires_at:
        return _closed(review, ReviewState.EXPIRED, "", now)
    return review


def applied(job: Job, review: Review) -> Job:
    """Give a held job as a closed review wants it: with new verdicts, in PUBLISHING.

    Raises:
        ValueError: The review is open, or another job's.
    """
    if review.state is ReviewState.OPEN or (review.job_id, review.attempt) != (job.id, job.attempt):
        raise ValueError("a job goes on by its own review, once that is closed")
    verdicts = tuple(_verdict(verdict, review) for verdict in job.verdicts)
    after = replace(job, phase=Phase.PUBLISHING, verdicts=verdicts, review=str(review.state))
    if review.state is ReviewState.WITHDRAWN:
        return replace(after, outcome=Outcome.STOPPED, reason="stopped", message="The job was stopped by its owner.")
    message = _message(review)
    if job.outcome is not Outcome.SUCCEEDED or not message:
        return after
    return replace(after, message=message)


def release_state(job: Job) -> ReleaseState | None:
    """Say where a job's results are; None before there are any."""
    if job.phase is Phase.HELD:
        return ReleaseState.HELD
    if job.phase in {Phase.FILTERING, Phase.PUBLISHING, Phase.CLEANING}:
        return ReleaseState.CHECKING
    if job.phase is not Phase.DONE:
        return None
    return ReleaseState(job.review) if job.review else ReleaseState.RELEASED


def checked_reason(reason: str) -> str:
    """Give a reason without blanks around it.

    Raises:
        Invalid: There is none, or it is very long.
    """
    text = reason.strip()
    if not text:
        raise Invalid({"reason": ["The reason field is required."]})
    if len(text) > MAX_REASON or any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise Invalid({"reason": [f"The reason may have {MAX_REASON} characters of plain text at the most."]})
    return text


def _verdict(verdict: Verdict, review: Review) -> Verdict:
    if review.state in {ReviewState.RETURNED, ReviewState.WITHDRAWN}:
        if verdict.type not in _OF_THE_ALGORITHM or not (verdict.held or verdict.released):
            return verdict
        return replace(verdict, released=False, held=False, reason=str(review.state))
    if not verdict.held:
        return verdict
    file = next((one for one in review.files if (one.path, one.type) == (verdict.path, verdict.type)), None)
    approved = None if file is None else decided(file, review.reviewers)
    if file is not None and approved:
        return replace(verdict, size=file.size, sha256=file.sha256, released=True, held=False, reason="")
    reason = ReviewState.EXPIRED if review.state is ReviewState.EXPIRED and approved is None else ReviewState.REJECTED
    return replace(verdict, released=False, held=False, reason=str(reason))


def _message(review: Review) -> str:
    match review.state:
        case ReviewState.RETURNED:
            return f"The data owner gave the results back: {review.note}"
        case ReviewState.EXPIRED:
            return "The data owner did not decide in time about results that wait for a review."
        case ReviewState.REJECTED:
            return "The data owner did not let the results out."
        case ReviewState.RELEASED if any(not decided(file, review.reviewers) for file in review.files):
            return "The data owner did not let all of the results out."
        case _:
            return ""


def _check_open(review: Review, now: float | None = None) -> None:
    if review.state is not ReviewState.OPEN:
        raise Refused("review", "closed", hint=f"It is {review.state}; what was decided stands.")
    if now is not None and now > review.expires_at:
        raise Refused("review", "closed", hint="Its time is over.")


def _with(review: Review, file: HeldFile) -> Review:
    return replace(review, files=tuple(file if one.key == file.key else one for one in review.files))


def _closed(review: Review, state: ReviewState, by: str, now: float) -> Review:
    return replace(review, state=state, closed_by=by, closed_at=now)


def _closed_if_decided(review: Review, last: Vote) -> Review:
    found = [decided(file, review.reviewers) for file in review.files]
    if None in found:
        return review
    state = ReviewState.RELEASED if any(found) else ReviewState.REJECTED
    return _closed(review, state, last.reviewer, last.at)


def reviewers_of(files: Sequence[HeldFile]) -> tuple[str, ...]:
    """Give everybody whose vote counts in what was decided, sorted."""
    return tuple(sorted({vote.reviewer for file in files for vote in file.votes if vote.sha256 == file.sha256}))
