from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.held import ANNA, BORIS, CARLA, NOW, a_held_job, a_review, held
from tests.support.jobs import ALICE

from cove.core import airlock
from cove.core.airlock import ReleaseState, Review, ReviewState, Vote
from cove.core.errors import Forbidden, Invalid, NotFound, Refused
from cove.core.job import Job, Outcome, Phase, Verdict

JOB = a_held_job()
PEOPLE = (ANNA, BORIS, CARLA)
VOTES = st.lists(st.tuples(st.sampled_from(PEOPLE), st.integers(0, 1), st.booleans()), max_size=12)


def vote(review: Review, number: int, who: str, *, approve: bool = True, reason: str = "I looked") -> Review:
    file = review.files[number]
    return airlock.voted(review, file.key, Vote(who, approve, reason, file.sha256, NOW + 1))


def cast(review: Review, votes: list[tuple[str, int, bool]]) -> Review:
    for who, number, approve in votes:
        try:
            review = vote(review, number, who, approve=approve)
        except Refused:
            continue
    return review


@given(votes=VOTES, reviewers=st.integers(1, 2))
def test_nothing_leaves_without_enough_different_people(votes: list[tuple[str, int, bool]], reviewers: int) -> None:
    review = cast(a_review(reviewers=reviewers, job=JOB), votes)
    for number, file in enumerate(review.files):
        said = [(who, approve) for who, about, approve in votes if about == number]
        if airlock.decided(file, reviewers):
            assert len(airlock.approvals(file)) >= reviewers
            assert airlock.approvals(file) <= {who for who, approve in said if approve}
        if any(not approve for _, approve in said) and airlock.decided(file, reviewers) is None:
            pytest.fail("a rejection decides")
    if review.state is ReviewState.OPEN:
        return
    after = airlock.applied(JOB, review)
    for verdict in after.verdicts:
        assert not verdict.held
        file_of = [file for file in review.files if (file.path, file.type) == (verdict.path, verdict.type)]
        if file_of:
            assert verdict.released is bool(airlock.decided(file_of[0], reviewers))
    assert after.phase is Phase.PUBLISHING


@given(votes=VOTES, reviewers=st.integers(1, 2), order=st.randoms())
def test_the_order_of_yes_votes_does_not_matter(votes: list[tuple[str, int, bool]], reviewers: int, order: Any) -> None:
    approvals = sorted({(who, number, True) for who, number, _ in votes})
    mixed = list(approvals)
    order.shuffle(mixed)
    one, other = (cast(a_review(reviewers=reviewers, job=JOB), some) for some in (approvals, mixed))
    assert one.state is other.state
    decisions = [[airlock.decided(file, reviewers) for file in review.files] for review in (one, other)]
    assert decisions[0] == decisions[1]


@given(votes=VOTES, reviewers=st.integers(1, 2))
def test_other_bytes_lose_every_vote(votes: list[tuple[str, int, bool]], reviewers: int) -> None:
    review = cast(a_review(reviewers=reviewers, job=JOB), votes)
    file = review.files[0]
    if review.state is not ReviewState.OPEN:
        with pytest.raises(Refused, match="closed"):
            airlock.observed(review, file.key, file.size, "0" * 64)
        return
    assert airlock.observed(review, file.key, file.size, file.sha256) is review
    after = airlock.observed(review, file.key, file.size, "0" * 64)
    assert airlock.decided(after.files[0], reviewers) is None
    assert airlock.approvals(after.files[0]) == frozenset()
    with pytest.raises(Refused, match="changed"):
        airlock.voted(after, file.key, Vote(ANNA, approve=True, reason="yes", sha256=file.sha256, at=NOW))


@given(votes=VOTES, ends=st.sampled_from(["expire", "return", "stop", "delete"]))
def test_an_end_without_a_decision_lets_nothing_new_out(votes: list[tuple[str, int, bool]], ends: str) -> None:
    review = cast(a_review(reviewers=2, job=JOB), votes)
    if review.state is not ReviewState.OPEN:
        return
    approved = {file.path for file in review.files if airlock.decided(file, 2)}
    wish = {"stop": {"stop_requested_at": NOW}, "delete": {"delete_requested_at": NOW}}.get(ends, {})
    job = replace(JOB, outcome=Outcome.SUCCEEDED, **wish)
    if ends == "return":
        review = airlock.returned(review, CARLA, "Too fine.", NOW)
    else:
        review = airlock.concluded(review, job, NOW + (4000 if ends == "expire" else 1))
    after = airlock.applied(job, review)
    released = {verdict.path for verdict in after.verdicts if verdict.released}
    assert released == (approved | {"mean.json"} if ends == "expire" else set())
    assert not any(verdict.held for verdict in after.verdicts)


def test_the_jobs_owner_decides_nothing() -> None:
    review = a_review(job=JOB)
    for name in (ALICE, ALICE.lower(), ALICE.upper().replace("0X", "0x")):
        with pytest.raises(Forbidden):
            vote(review, 0, name)
        with pytest.raises(Forbidden):
            airlock.returned(review, name, "mine", NOW)


def test_one_person_is_one_vote_however_they_write_their_account() -> None:
    review = vote(a_review(reviewers=2, job=JOB), 0, ANNA)
    review = vote(review, 0, ANNA.upper().replace("0X", "0x"))
    assert airlock.decided(review.files[0], 2) is None
    assert len(review.files[0].votes) == 1
    assert airlock.decided(vote(review, 0, BORIS).files[0], 2) is True


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 2001, "a\0b", "\ud800"])
def test_a_reason_is_needed_and_is_plain_text(reason: str) -> None:
    for approve in (True, False):
        with pytest.raises(Invalid, match="Validation"):
            vote(a_review(job=JOB), 0, ANNA, approve=approve, reason=reason)
    with pytest.raises(Invalid):
        airlock.returned(a_review(job=JOB), ANNA, reason, NOW)


def test_what_is_decided_stands() -> None:
    review = vote(a_review(job=JOB), 0, ANNA, approve=False)
    with pytest.raises(Refused, match="decided"):
        vote(review, 0, BORIS)
    closed = vote(review, 1, ANNA, approve=False)
    assert (closed.state, closed.closed_by) == (ReviewState.REJECTED, ANNA)
    with pytest.raises(Refused, match="closed"):
        airlock.returned(closed, BORIS, "late", NOW)
    assert airlock.concluded(closed, JOB, 9e12) is closed
    with pytest.raises(NotFound):
        airlock.voted(review, "f" * 32, Vote(ANNA, approve=True, reason="yes", sha256="0" * 64, at=NOW))


def test_after_its_time_nobody_decides() -> None:
    review = a_review(job=JOB, seconds=10)
    file = review.files[0]
    with pytest.raises(Refused, match="closed"):
        airlock.voted(review, file.key, Vote(ANNA, approve=True, reason="yes", sha256=file.sha256, at=NOW + 11))
    with pytest.raises(Refused, match="closed"):
        airlock.returned(review, ANNA, "no", NOW + 11)


def test_a_job_goes_on_by_its_own_closed_review_alone() -> None:
    review = a_review(job=JOB)
    with pytest.raises(ValueError, match="closed"):
        airlock.applied(JOB, review)
    closed = airlock.returned(review, ANNA, "no", NOW)
    for other in (replace(JOB, attempt=2), a_held_job()):
        with pytest.raises(ValueError, match="own"):
            airlock.applied(other, closed)


def test_a_failed_job_keeps_its_own_reason() -> None:
    job = replace(JOB, outcome=Outcome.ALGORITHM_FAILED, reason="exit_code_3", message="It failed.")
    after = airlock.applied(job, airlock.returned(a_review(job=job), ANNA, "no", NOW))
    assert (after.outcome, after.reason, after.message) == (Outcome.ALGORITHM_FAILED, "exit_code_3", "It failed.")


@pytest.mark.parametrize("state", [state for state in ReviewState if state is not ReviewState.OPEN])
def test_every_end_has_a_name_for_people(state: ReviewState) -> None:
    job: Job = replace(JOB, phase=Phase.DONE, review=str(state))
    assert airlock.release_state(job) == str(state)


def test_states_for_people() -> None:
    def at(phase: Phase) -> ReleaseState | None:
        return airlock.release_state(replace(JOB, phase=phase))

    assert at(Phase.RUNNING) is at(Phase.ACCEPTED) is None
    assert (at(Phase.FILTERING), at(Phase.HELD), at(Phase.DONE)) == ("checking", "held", "released")


def test_files_of_one_name_and_different_types_have_their_own_votes() -> None:
    twin = Verdict("rows.csv", "algorithmLog", 4, held("rows.csv").sha256, released=False, reason="canary", held=True)
    review = a_review(job=a_held_job(held("rows.csv"), twin))
    assert len({file.key for file in review.files}) == 2
    review = vote(review, 0, ANNA)
    assert [airlock.decided(file, 1) for file in review.files] == [True, None]
