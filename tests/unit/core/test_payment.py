"""What a job costs, and what becomes of what was locked for it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.jobs import ALICE, a_job

from cove.core import receipt
from cove.core.job import JobId, Outcome, Phase, ResultFile
from cove.core.payment import (
    LOCK_MARGIN,
    Payment,
    PaymentState,
    TokenPrices,
    closed,
    cost,
    followed,
    given_back,
    lock_seconds,
    pauses,
    rate,
)

PRICES = TokenPrices(8996, "0x" + "1" * 40, (("cpu", Decimal("0.1")), ("ram", Decimal("0.01"))))
LOCKED = Payment(
    job_id=JobId("a" * 32), chain_id=8996, escrow="0x" + "2" * 40, token=PRICES.token, payer=ALICE, rate=10, amount=600,
    lock_seconds=7200, state=PaymentState.LOCKED, expires_at=10_000,
)  # fmt: skip


def test_a_minute_costs_what_its_parts_cost() -> None:
    assert rate(PRICES, (("cpu", 2.0), ("ram", 0.5), ("disk", 9.0)), 18) == 205 * 10**15
    assert rate(PRICES, (("cpu", 1.0),), 0) == 1  # rounded up


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 0), (-1, 0), (0.1, 1), (60, 1), (60.5, 2), (61, 2), (3600, 60)])
def test_each_minute_that_was_begun_counts(seconds: float, minutes: int) -> None:
    assert cost(10, seconds) == 10 * minutes


def test_a_lock_outlasts_the_wait_and_the_run() -> None:
    assert lock_seconds(60, 30) == 90 + LOCK_MARGIN


def test_a_job_that_waits_or_runs_is_left_alone() -> None:
    assert followed(LOCKED, a_job(), 5_000) is LOCKED
    running = a_job(phase=Phase.RUNNING, started_at=1_000.0)
    seen = followed(LOCKED, running, 5_000)
    assert (seen.state, seen.started_at, seen.ended_at) == (PaymentState.LOCKED, 1_000.0, None)
    assert followed(seen, running, 5_060) is seen
    over = followed(seen, replace(running, phase=Phase.FILTERING), 1_100)
    assert (over.state, over.ended_at) == (PaymentState.LOCKED, 1_100)
    assert followed(over, replace(running, phase=Phase.PUBLISHING), 1_200) is over


def done(outcome: Outcome, **changes: object) -> Payment:
    fields = {"phase": Phase.DONE, "outcome": outcome, "started_at": 1_000.0, "finished_at": 1_090.0, **changes}
    return followed(LOCKED, a_job(**fields), 5_000)


def test_a_run_that_is_over_is_claimed_by_the_minute() -> None:
    for outcome in (Outcome.SUCCEEDED, Outcome.STOPPED, Outcome.TIMED_OUT, Outcome.ALGORITHM_FAILED):
        found = done(outcome)
        assert (found.state, found.claim, found.due_at) == (PaymentState.CLAIMING, 20, 5_000)
    assert done(Outcome.SUCCEEDED, finished_at=999_999.0).claim == LOCKED.amount
    signed = ResultFile(receipt.NAME, 9, "publishLog", "ab" * 32, "key")
    assert done(Outcome.SUCCEEDED, results=(signed,)).proof == "ab" * 32


def test_what_the_provider_failed_at_costs_nothing() -> None:
    assert done(Outcome.PROVIDER_FAILED).claim == 0
    assert done(Outcome.STOPPED, started_at=None).claim == 0


def test_the_end_of_the_run_counts_and_not_what_came_after() -> None:
    seen = replace(LOCKED, started_at=1_000.0, ended_at=1_030.0)
    job = a_job(phase=Phase.DONE, outcome=Outcome.SUCCEEDED, started_at=1_000.0, finished_at=4_000.0)
    assert followed(seen, job, 5_000).claim == 10
    again = replace(job, started_at=3_930.0)  # the run was lost, and done again
    assert followed(seen, again, 5_000).claim == 20


def test_held_results_are_not_waited_for() -> None:
    held = a_job(phase=Phase.HELD, started_at=1_000.0, held_at=1_170.0)
    assert (followed(LOCKED, held, 5_000).state, followed(LOCKED, held, 5_000).claim) == (PaymentState.CLAIMING, 30)


def test_a_job_that_is_gone() -> None:
    assert followed(LOCKED, None, 5_000).claim == 0
    assert followed(replace(LOCKED, started_at=4_900.0), None, 5_000).claim == 20
    assert followed(replace(LOCKED, started_at=4_000.0, ended_at=4_010.0), None, 5_000).claim == 10


def test_a_lock_that_is_about_to_end_is_claimed_before_the_job_is_over() -> None:
    running = a_job(phase=Phase.RUNNING, started_at=8_000.0)
    assert followed(LOCKED, running, 9_000).state is PaymentState.LOCKED
    found = followed(LOCKED, running, 9_100)
    assert (found.state, found.claim) == (PaymentState.CLAIMING, 190)
    assert followed(LOCKED, a_job(), 9_100).claim == 0


def test_what_is_given_back_or_closed_begins_anew() -> None:
    back = given_back(replace(LOCKED, attempts=3, note="x"), 7.0)
    assert (back.state, back.claim, back.due_at, back.attempts, back.note) == (PaymentState.CLAIMING, 0, 7.0, 0, "")
    assert closed(back, "why").note == "why"


@given(longest=st.floats(min_value=0.001, max_value=1000))
def test_looks_at_a_lock_are_quick_at_first_and_never_further_apart_than_is_said(longest: float) -> None:
    seen = list(islice(pauses(longest), 40))
    assert seen[0] <= 0.2
    assert seen == sorted(seen)
    assert seen[-1] == longest
    assert all(after <= 1.5 * before for before, after in pairwise(seen))
