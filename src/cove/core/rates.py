"""How often somebody may ask: the generic cell rate algorithm (ITU-T I.371), on whole nanoseconds.

All that is kept of a caller is one number: the time at which their budget would be whole again. What is not kept counts
as a whole budget, so whatever lies in the past may be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60_000_000_000
"""Nanoseconds."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a minute, one after the other; who was quiet may ask for a minute's worth at once."""

    #: Nanoseconds that give one more.
    interval: int
    #: Nanoseconds in which an empty budget becomes whole.
    period: int

    @classmethod
    def per_minute(cls, count: int) -> Rate:
        """Give the rate of so many in a minute, 1 or more; it is rounded down."""
        interval = -(-MINUTE // count)
        return cls(interval, count * interval)


def wait(rate: Rate, whole_at: int, now: int) -> int:
    """Say how long somebody must wait before they may ask; 0: not at all.

    Args:
        rate: How often they may.
        whole_at: When their budget is whole, as :func:`charged` gave it; any time in the past for a newcomer.
        now: Nanoseconds, on a clock that never goes back.
    """
    return max(0, max(whole_at, now) + rate.interval - rate.period - now)


def charged(rate: Rate, whole_at: int, now: int) -> int:
    """Give the time at which the budget is whole, once one was taken from it; an empty one becomes a debt."""
    return max(whole_at, now) + rate.interval
