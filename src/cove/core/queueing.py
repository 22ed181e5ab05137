"""Whose job is next: each consumer's in the order in which they came, and the consumers in turns.

Every waiting job has a turn, and the lowest is next. A consumer's jobs take one turn after the other; the first of a
consumer who had none waiting takes the turn that is being served, so that it waits for one job of each other consumer
at most, however many theirs are (start-time fair queueing, with every job counted alike).
"""

from __future__ import annotations

from typing import Final

_ARRIVALS: Final = 1 << 32


def turn(served: int | None, waiting: int | None, own: int | None) -> int:
    """Give the turn of a job that comes into a queue.

    Args:
        served: The highest turn among the jobs that left this queue and are not done; None when there are none.
        waiting: The lowest turn in the queue; None when it is empty.
        own: The highest turn of this consumer's in the queue; None when none of theirs waits.
    """
    current = served if served is not None else waiting or 0
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
