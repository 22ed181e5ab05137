"""Turns: first come first served for one consumer, and one job each in turn between consumers."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from cove.core.queueing import place, turn, turn_at


class Queue:
    """A queue with one slot: what is taken is served until the next one is taken."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, str, int]] = []
        self.served: int | None = None
        self.arrivals = 0

    def come(self, consumer: str) -> int:
        self.arrivals += 1
        own = [turn_at(where) for where, who, _ in self.waiting if who == consumer]
        lowest = turn_at(min((where for where, _, _ in self.waiting), default=None))
        highest = max((found for found in own if found is not None), default=None)
        where = place(turn(self.served, lowest, highest), self.arrivals)
        self.waiting.append((where, consumer, self.arrivals))
        return self.arrivals

    def take(self) -> tuple[str, int] | None:
        if not self.waiting:
            self.served = None
            return None
        first = min(self.waiting)
        self.waiting.remove(first)
        self.served = turn_at(first[0])
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


@given(st.lists(st.tuples(st.integers(0, 2**30), st.integers(0, 2**32 - 1)), min_size=2, max_size=2, unique=True))
def test_places_are_in_the_order_of_turn_and_then_of_arrival(pairs: list[tuple[int, int]]) -> None:
    (one, first), (other, second) = sorted(pairs)
    assert place(one, first) < place(other, second) < 2**63
    assert turn_at(place(one, first)) == one
    assert turn_at(None) is None
