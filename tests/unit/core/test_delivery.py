"""Deliveries: which arise, and what becomes of them."""

from __future__ import annotations

from tests.support.jobs import a_job

from cove.core.delivery import Delivery, DeliveryKind, DeliveryState, advanced, arisen, ended, put_off
from cove.core.job import JobId, Phase

ONE = Delivery(JobId("a"), 1, DeliveryKind.STORAGE)


def test_they_arise_at_the_end_of_a_job_that_wants_them() -> None:
    wanting = {"onward": ("storage",), "attempt": 2}
    assert arisen(a_job(phase=Phase.CLEANING, **wanting)) == ()
    assert arisen(a_job(phase=Phase.DONE)) == ()
    assert arisen(a_job(phase=Phase.DONE, delete_requested_at=1.0, **wanting)) == ()
    job = a_job(phase=Phase.DONE, **wanting)
    assert arisen(job) == (Delivery(job.id, 2, DeliveryKind.STORAGE),)


def test_one_that_fails_waits_longer_each_time_and_is_given_up() -> None:
    first = put_off(ONE, (5.0, 50.0), 100.0, "down")
    assert (first.state, first.tries, first.due_at, first.note) == (DeliveryState.OPEN, 1, 105.0, "down")
    second = put_off(first, (5.0, 50.0), 200.0, "down")
    assert second.due_at == 250.0
    last = put_off(second, (5.0, 50.0), 300.0, "still down")
    assert (last.state, last.note) == (DeliveryState.FAILED, "still down")


def test_what_goes_well_counts_anew() -> None:
    failed = put_off(ONE, (5.0,), 100.0, "down")
    assert advanced(failed, "1").tries == 0
    assert ended(failed, DeliveryState.DONE).note == ""
