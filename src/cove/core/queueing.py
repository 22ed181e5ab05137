"""Whose job is next: each consumer's in the order in which they came, and the consumers in turns.

Every job has a turn, and the lowest that waits is next. A consumer's jobs take one turn after the other, those that run
included; the first of a consumer who had none takes the turn that is being served, which comes before everything that
waits with a later one. So it waits for the runs under way and one job of each other newcomer, however many jobs wait
(start-time fair queueing, with every job counted alike).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_ARRIVALS: Final = 1 << 32


def turn(served: int | None, waiting: int | None, own: int | None) -> int:
    """Give the turn of a job that comes into a queue.

    Args:
        served: The highest turn among the jobs that run; None when none runs.
        waiting: The lowest turn among the jobs that have not started; None when there are none. The turn before it is
            taken where that is higher: a run that takes days would otherwise hold time still for newcomers.
        own: The highest turn of this consumer's jobs that run or have not started; None when there are none.
    """
    current = max(served or 0, (waiting or 0) - 1, 0)
    return current if own is None else max(current, own + 1)


def place(turn_of_job: int, arrival: int) -> int:
    """Give a place in the queue: by turn, and then by arrival.

    Args:
        turn_of_job: From :func:`turn`.
        arrival: Counts every job that ever came; under 2**32.
    """
    return turn_of_job * _ARRIVALS + arrival


def turn_at(place_of_job: int | None) -> int | None:
    """Give the turn of a place; None for None."""
    return None if place_of_job is None else place_of_job // _ARRIVALS


def expected_wait(position: int, under_way: int, at_a_time: int, durations: Sequence[float]) -> float | None:
    """Estimate the seconds until a waiting job starts: as many runs as are before it, in as many slots, of mean length.

    It knows nothing of how long a job will take: it holds where the next runs are like the last ones, and where nobody
    comes who takes a turn before.

    Args:
        position: 1 is next.
        under_way: Jobs that left the queue and are not done.
        at_a_time: Runs that the environment allows at a time.
        durations: Seconds of the environment's last finished runs.

    Returns:
        0 where a slot is free; None where one is not and no run has finished yet.
    """
    before = position + under_way - at_a_time
    if before <= 0:
        return 0.0
    if not durations:
        return None
    return round(sum(durations) / len(durations) * before / at_a_time, 1)


def expected_wait_of_tier(
    ahead: int, free_ahead: int, at_a_time: int, free_at_a_time: int, durations: Sequence[float], *, free: bool
) -> float | None:
    """Estimate as :func:`expected_wait` does, where jobs of the free tier get fewer of the slots than there are.

    A free job waits for the free ones before it as well, which have only their own slots. One that is not free shares
    with its like at least the slots that free ones do not get.

    Args:
        ahead: Jobs that wait before it, and those that left the queue and are not done.
        free_ahead: How many of these are free.
        at_a_time: Runs that the environment allows at a time.
        free_at_a_time: How many of these may be free, at least 1 and fewer than all.
        durations: Seconds of the environment's last finished runs.
        free: Whether the job is free.

    Returns:
        As :func:`expected_wait`.
    """
    whole = expected_wait(1, ahead, at_a_time, durations)
    if free:
        own = expected_wait(1, free_ahead, free_at_a_time, durations)
        return None if whole is None or own is None else max(whole, own)
    own = expected_wait(1, ahead - free_ahead, at_a_time - free_at_a_time, durations)
    return min((seconds for seconds in (whole, own) if seconds is not None), default=None)
