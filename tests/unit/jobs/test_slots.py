from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.jobs import a_job

from cove.core.job import Job
from cove.jobs.slots import Slots

JOBS = [a_job(environment=environment) for environment in ("a", "b") for _ in range(6)]
RUNS = {"a": 2, "b": 1}


@pytest.fixture
def slots() -> Slots:
    return Slots(RUNS)


def test_as_many_jobs_get_ready_as_may_run(slots: Slots) -> None:
    first, second, third = JOBS[:3]
    assert (slots.room("a"), slots.room("b"), slots.room("elsewhere")) == (2, 1, 0)
    slots.bring(first)
    slots.bring(second)
    assert (slots.room("a"), slots.room("b")) == (0, 1)
    assert slots.take(first)
    assert slots.room("a") == 1
    slots.bring(third)
    assert slots.room("a") == 0


def test_who_is_ready_first_runs_first(slots: Slots) -> None:
    first, second, third, fourth = JOBS[:4]
    assert slots.take(first)
    assert slots.take(second)
    for job in (fourth, third):
        slots.bring(job)
        assert not slots.take(job)
    assert slots.leave(first.id) == [fourth.id]
    assert slots.take(fourth)
    assert not slots.take(third)
    assert slots.leave(second.id) == [third.id]


def test_a_job_that_gives_up_waiting_is_passed_over(slots: Slots) -> None:
    first, second, third, fourth = JOBS[:4]
    assert slots.take(first)
    assert slots.take(second)
    for job in (third, fourth):
        slots.bring(job)
        assert not slots.take(job)
    assert slots.leave(third.id) == ()
    assert slots.room("a") == 1
    assert slots.leave(first.id) == [fourth.id]


def test_a_job_keeps_its_slot_until_it_leaves(slots: Slots) -> None:
    first, second, third = JOBS[:3]
    assert slots.take(first)
    slots.bring(first)
    assert slots.room("a") == 2
    assert slots.take(first)
    assert slots.take(second)
    assert not slots.take(third)


def test_what_runs_already_holds_a_slot_even_where_there_is_none(slots: Slots) -> None:
    for job in JOBS[:3]:
        slots.hold(job)
    slots.bring(JOBS[3])
    assert not slots.take(JOBS[3])
    assert slots.leave(JOBS[0].id) == []
    assert slots.leave(JOBS[1].id) == [JOBS[3].id]


def test_an_environment_does_not_wait_for_another(slots: Slots) -> None:
    for job in JOBS[:2]:
        assert slots.take(job)
    assert slots.take(JOBS[6])
    assert not slots.take(JOBS[2])
    assert not slots.take(JOBS[7])
    assert slots.leave(JOBS[6].id) == [JOBS[7].id]


STEPS = st.lists(st.tuples(st.sampled_from(["bring", "take", "leave"]), st.sampled_from(JOBS)), max_size=60)


@given(STEPS)
def test_no_order_of_events_runs_more_than_allowed_or_forgets_who_waits(steps: list[tuple[str, Job]]) -> None:
    slots = Slots(RUNS)
    running: dict[str, set[str]] = {"a": set(), "b": set()}
    waiting: dict[str, list[str]] = {"a": [], "b": []}
    for act, job in steps:
        place = job.environment
        if act == "bring":
            slots.bring(job)
        elif act == "take":
            took = slots.take(job)
            assert took is (job.id in running[place] or len(running[place]) < RUNS[place])
            if took:
                running[place].add(job.id)
                waiting[place] = [other for other in waiting[place] if other != job.id]
            elif job.id not in waiting[place]:
                waiting[place].append(job.id)
        else:
            held = job.id in running[place]
            running[place].discard(job.id)
            waiting[place] = [other for other in waiting[place] if other != job.id]
            free = RUNS[place] - len(running[place])
            assert list(slots.leave(job.id)) == (waiting[place][:free] if held else [])
        assert all(len(running[name]) <= RUNS[name] for name in RUNS)
