from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.jobs import a_job

from cove.core.job import Job, Tier
from cove.jobs.slots import Slots

JOBS = [a_job(environment=environment, place=place) for environment in ("a", "b") for place in range(1, 7)]
RUNS = {"a": 2, "b": 1}


@pytest.fixture
def slots() -> Slots:
    return Slots(RUNS)


def test_as_many_jobs_get_ready_as_may_run(slots: Slots) -> None:
    first, second, third = JOBS[:3]
    slots.bring(first)
    assert slots.may_bring(second)
    slots.bring(second)
    assert not slots.may_bring(third)
    assert slots.may_bring(JOBS[6])
    assert slots.take(first)
    assert slots.may_bring(third)
    slots.bring(third)
    assert not slots.may_bring(JOBS[3])
    assert not slots.may_bring(a_job(environment="elsewhere"))


def test_newcomers_whose_turn_is_before_get_ready_too(slots: Slots) -> None:
    for job in JOBS[4:6]:
        slots.bring(job)
    for job in JOBS[:2]:
        assert slots.may_bring(job)
        slots.bring(job)
    assert not slots.may_bring(JOBS[2])
    assert not slots.has_room("a")
    assert slots.take(JOBS[0])
    assert slots.may_bring(JOBS[2])


def test_whose_turn_is_before_runs_first(slots: Slots) -> None:
    first, second, third, fourth = JOBS[:4]
    assert slots.take(first)
    assert slots.take(second)
    for job in (fourth, third):
        slots.bring(job)
        assert not slots.take(job)
    assert slots.leave(first.id) == [third.id]
    assert not slots.take(fourth)
    assert slots.take(third)
    assert slots.leave(second.id) == [fourth.id]


def test_a_slot_is_not_kept_for_who_is_not_ready(slots: Slots) -> None:
    slots.bring(JOBS[0])
    assert slots.take(JOBS[1])


def test_who_cannot_go_on_lets_others_go_before(slots: Slots) -> None:
    first, second, third, fourth = JOBS[:4]
    assert slots.take(first)
    assert slots.take(second)
    assert not slots.take(third)
    assert not slots.take(fourth)
    assert slots.step_back(third.id) == []
    assert slots.step_back(second.id) == ()
    assert not slots.take(third)
    assert slots.leave(first.id) == [third.id]
    assert slots.step_back(third.id) == [fourth.id]
    assert slots.take(fourth)


def test_a_job_that_gives_up_waiting_is_passed_over(slots: Slots) -> None:
    first, second, third, fourth = JOBS[:4]
    assert slots.take(first)
    assert slots.take(second)
    for job in (third, fourth):
        slots.bring(job)
        assert not slots.take(job)
    assert slots.leave(third.id) == []
    assert slots.leave(first.id) == [fourth.id]


def test_who_gives_up_when_its_turn_came_lets_the_next_one_go(slots: Slots) -> None:
    first, second, third, fourth = JOBS[:4]
    for job in (first, second):
        assert slots.take(job)
    for job in (third, fourth):
        assert not slots.take(job)
    assert slots.leave(first.id) == [third.id]
    assert slots.leave(third.id) == [fourth.id]


def test_a_job_keeps_its_slot_until_it_leaves(slots: Slots) -> None:
    first, second, third = JOBS[:3]
    assert slots.take(first)
    slots.bring(first)
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


def test_nobody_gets_ready_while_too_many_wait_for_their_judgement(slots: Slots) -> None:
    behind = [a_job(environment="a", place=place) for place in range(10, 26)]
    for job in behind[:-1]:
        assert slots.take(job)
        assert slots.end(job) == []
    assert slots.may_bring(JOBS[0])
    slots.hold(behind[-1])
    assert slots.may_bring(JOBS[0])
    slots.end(behind[-1])
    assert not slots.may_bring(JOBS[0])
    assert slots.may_bring(JOBS[6])
    assert slots.take(JOBS[0])  # it was ready before
    assert slots.is_behind(behind[3].id)
    slots.leave(behind[3].id)
    assert not slots.is_behind(behind[3].id)
    assert slots.may_bring(JOBS[1])


def test_the_end_of_a_run_lets_the_next_one_go_and_what_runs_again_is_not_behind(slots: Slots) -> None:
    first, second, third = JOBS[:3]
    assert slots.take(first)
    assert slots.take(second)
    assert not slots.take(third)
    assert slots.end(first) == [third.id]
    assert not slots.end(first)
    assert slots.knows(first.id)
    slots.bring(first)
    assert not slots.is_behind(first.id)
    slots.end(second)
    slots.hold(second)
    assert not slots.is_behind(second.id)


def test_free_jobs_leave_slots_for_others() -> None:
    slots = Slots({"a": 3}, {"a": 1})
    free = [a_job(environment="a", place=place, tier=Tier(free=True)) for place in range(1, 6)]
    paid = [a_job(environment="a", place=place, tier=Tier(free=False)) for place in range(11, 14)]
    assert slots.parts_free("a")
    assert slots.may_bring(free[0])
    slots.bring(free[0])
    assert not slots.may_bring(free[1])  # while the one before it is not ready, it would but wait
    assert slots.take(free[0])
    for job in free[1:3]:
        slots.bring(job)
        assert not slots.take(job)
    assert not slots.may_bring(free[3])
    for job in paid[:2]:
        assert slots.may_bring(job)
        slots.bring(job)
        assert slots.take(job)
    assert not slots.take(paid[2])
    assert slots.leave(free[0].id) == [free[1].id]
    assert slots.take(free[1])
    assert slots.leave(paid[0].id) == [paid[2].id]


def test_without_a_number_of_their_own_free_jobs_take_all_slots() -> None:
    slots = Slots({"a": 2})
    assert not slots.parts_free("a")
    for job in (a_job(environment="a", place=place, tier=Tier(free=True)) for place in (1, 2)):
        assert slots.may_bring(job)
        assert slots.take(job)
    assert not slots.take(a_job(environment="a", place=0))


STEPS = st.lists(st.tuples(st.sampled_from(["bring", "take", "leave"]), st.sampled_from(JOBS)), max_size=60)


@given(STEPS)
def test_no_order_of_events_runs_more_than_allowed_or_forgets_who_waits(steps: list[tuple[str, Job]]) -> None:
    slots = Slots(RUNS)
    running: dict[str, set[str]] = {"a": set(), "b": set()}
    waiting: dict[str, dict[str, int]] = {"a": {}, "b": {}}
    for act, job in steps:
        place = job.environment
        free = RUNS[place] - len(running[place])
        if act == "bring":
            slots.bring(job)
        elif act == "take":
            took = slots.take(job)
            before = [other for other in waiting[place].values() if other < job.place]
            assert took is (job.id in running[place] or len(before) < free)
            if took:
                running[place].add(job.id)
                waiting[place].pop(job.id, None)
            else:
                waiting[place][job.id] = job.place
        else:
            known = job.id in running[place] or job.id in waiting[place]
            running[place].discard(job.id)
            waiting[place].pop(job.id, None)
            free = RUNS[place] - len(running[place])
            following = sorted(waiting[place], key=waiting[place].__getitem__)[:free]
            assert list(slots.leave(job.id)) == (following if known else [])
        assert all(len(running[name]) <= RUNS[name] for name in RUNS)
