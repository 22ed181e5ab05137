"""Turns: first come first served for one consumer, and one job each in turn between consumers."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.queueing import expected_wait, expected_wait_of_tier, place, turn, turn_at


class Queue:
    """A queue with some slots: what is taken runs until it is ended."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.waiting: list[tuple[int, str, int]] = []
        self.running: list[tuple[int, str, int]] = []
        self.arrivals = 0

    def come(self, consumer: str) -> int:
        self.arrivals += 1
        own = [where for where, who, _ in (*self.waiting, *self.running) if who == consumer]
        served = max((where for where, _, _ in self.running), default=None)
        lowest = min((where for where, _, _ in self.waiting), default=None)
        where = place(turn(turn_at(served), turn_at(lowest), turn_at(max(own, default=None))), self.arrivals)
        self.waiting.append((where, consumer, self.arrivals))
        return self.arrivals

    def take(self) -> tuple[str, int] | None:
        """End the run that began first where all slots are taken, and start the next one."""
        if len(self.running) >= self.slots or not self.waiting:
            self.running = self.running[1:]
        if not self.waiting:
            return None
        first = min(self.waiting)
        self.waiting.remove(first)
        self.running.append(first)
        return first[1], first[2]


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=60))
def test_a_consumers_own_jobs_go_in_the_order_in_which_they_came(events: list[str | None]) -> None:
    queue = Queue()
    taken: dict[str, list[int]] = defaultdict(list)
    for consumer in [*events, *[None] * len(events)]:
        if consumer is not None:
            queue.come(consumer)
        elif (found := queue.take()) is not None:
            taken[found[0]].append(found[1])
    assert sum(map(len, taken.values())) == len([one for one in events if one is not None])
    for arrivals in taken.values():
        assert arrivals == sorted(arrivals)


@given(
    jobs=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50), min_size=1),
    served=st.integers(0, 40),
)
def test_who_comes_late_waits_for_one_job_of_each_other_at_most(jobs: dict[str, int], served: int) -> None:
    queue = Queue()
    for consumer, count in jobs.items():
        for _ in range(count):
            queue.come(consumer)
    for _ in range(served):
        queue.take()
    waiting = {who for _, who, _ in queue.waiting}
    mine = queue.come("late")
    ahead = []
    while (found := queue.take()) is not None and found[1] != mine:
        ahead.append(found[0])
    assert len(ahead) == len(set(ahead))
    assert set(ahead) <= waiting


@given(slots=st.integers(1, 4), many=st.integers(1, 200), served=st.integers(1, 40))
def test_nobodys_many_jobs_stand_before_a_newcomers_first(slots: int, many: int, served: int) -> None:
    queue = Queue(slots)
    for _ in range(many):
        queue.come("many")
    for _ in range(served):
        queue.take()
    mine = queue.come("late")
    assert queue.take() == ("late", mine)


@given(slots=st.integers(1, 3), rounds=st.integers(2, 40))
def test_who_always_has_one_more_job_does_not_keep_the_others_waiting(slots: int, rounds: int) -> None:
    queue = Queue(slots)
    for _ in range(rounds):
        queue.come("many")
    taken = []
    for _ in range(2 * rounds):
        queue.come("eager")
        found = queue.take()
        assert found is not None
        taken.append(found[0])
    assert taken.count("many") >= rounds - slots - 1


def test_a_run_of_days_does_not_hold_time_still() -> None:
    queue = Queue()
    queue.running = [(place(2, 1), "days", 1)]
    queue.waiting = [(place(500, 2), "many", 2)]
    queue.arrivals = 2
    assert turn_at(queue.waiting[0][0]) == 500
    queue.come("late")
    queue.come("late")
    assert [turn_at(where) for where, who, _ in queue.waiting if who == "late"] == [499, 500]


@pytest.mark.parametrize(
    ("position", "under_way", "durations", "seconds"),
    [
        (1, 1, [], 0.0),
        (1, 2, [], None),
        (1, 2, [30.0], 15.0),
        (3, 2, [10.0, 20.0], 22.5),
        (3, 4, [10.0, 20.0], 37.5),
    ],
)
def test_the_wait_is_that_of_the_runs_before(
    position: int, under_way: int, durations: list[float], seconds: float | None
) -> None:
    assert expected_wait(position, under_way, 2, durations) == seconds


@pytest.mark.parametrize(
    ("ahead", "free_ahead", "free", "seconds"),
    [
        (0, 0, True, 0.0),
        (1, 1, True, 10.0),  # of three slots one is for free jobs
        (1, 0, True, 0.0),
        (3, 1, True, 10.0),
        (9, 0, True, 23.3),
        (9, 9, False, 0.0),  # free jobs do not take the others' slots
        (9, 7, False, 5.0),
        (3, 0, False, 3.3),
    ],
)
def test_free_jobs_wait_for_their_own_slots_and_others_not_for_them(
    *, ahead: int, free_ahead: int, free: bool, seconds: float
) -> None:
    assert expected_wait_of_tier(ahead, free_ahead, 3, 1, [10.0], free=free) == seconds


def test_nothing_is_expected_where_no_run_has_finished() -> None:
    assert expected_wait_of_tier(1, 1, 3, 1, [], free=True) is None
    assert expected_wait_of_tier(9, 1, 3, 1, [], free=False) is None
    assert expected_wait_of_tier(3, 3, 3, 1, [], free=False) == 0.0


@given(ahead=st.integers(0, 50), more=st.integers(0, 50), free=st.booleans())
def test_where_no_free_job_waits_the_tier_changes_nothing_for_the_others(*, ahead: int, more: int, free: bool) -> None:
    wait = expected_wait_of_tier(ahead, 0, 4, 2, [1.0], free=free)
    assert wait == expected_wait(1, ahead, 4, [1.0])
    assert wait is not None
    behind = expected_wait_of_tier(ahead + more, more, 4, 2, [1.0], free=free)
    assert behind is not None
    assert behind >= wait if free else behind <= (expected_wait(1, ahead + more, 4, [1.0]) or 0.0)


@given(st.lists(st.tuples(st.integers(0, 2**30), st.integers(0, 2**32 - 1)), min_size=2, max_size=2, unique=True))
def test_places_are_in_the_order_of_turn_and_then_of_arrival(pairs: list[tuple[int, int]]) -> None:
    (one, first), (other, second) = sorted(pairs)
    assert place(one, first) < place(other, second) < 2**63
    assert turn_at(place(one, first)) == one
    assert turn_at(None) is None
