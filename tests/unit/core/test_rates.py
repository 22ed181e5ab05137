from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cove.core.rates import MINUTE, Rate, charged, wait

RATES = st.integers(1, 5000).map(Rate.per_minute)
SECOND = 1_000_000_000
STEPS = st.lists(st.one_of(st.just(0), st.integers(0, SECOND), st.integers(0, 3 * MINUTE)), min_size=1, max_size=300)


def accepted(rate: Rate, steps: Sequence[int], start: int = 0) -> list[int]:
    """Ask after each step, and give the times at which the answer was yes."""
    times, now, whole_at = [], start, 0
    for step in steps:
        now += step
        if wait(rate, whole_at, now) == 0:
            whole_at = charged(rate, whole_at, now)
            times.append(now)
    return times


@given(most=st.integers(1, 40), steps=STEPS)
def test_no_window_holds_more_than_a_minutes_worth_at_once_and_what_comes_after(most: int, steps: list[int]) -> None:
    times = accepted(Rate.per_minute(most), steps)
    for first, began in enumerate(times):
        for count, ended in enumerate(times[first:], 1):
            window = ended - began
            assert count <= most + window * most // MINUTE


@given(rate=RATES, start=st.integers(0, 1 << 62), late=st.lists(st.integers(0, SECOND), max_size=200))
def test_who_stays_below_the_rate_is_never_refused(rate: Rate, start: int, late: list[int]) -> None:
    steps = [rate.interval + extra for extra in late]
    assert len(accepted(rate, steps, start)) == len(steps)


@given(most=st.integers(1, 5000), start=st.integers(0, 1 << 62))
def test_a_newcomer_may_ask_for_a_minutes_worth_at_once_and_for_no_more(most: int, start: int) -> None:
    assert len(accepted(Rate.per_minute(most), [0] * (most + 1), start)) == most


@given(rate=RATES, whole_at=st.integers(0, 1 << 40), now=st.integers(0, 1 << 40))
def test_who_waits_as_long_as_they_were_told_is_let_in_and_not_before(rate: Rate, whole_at: int, now: int) -> None:
    waiting = wait(rate, whole_at, now)
    assert wait(rate, whole_at, now + waiting) == 0
    assert not waiting or wait(rate, whole_at, now + waiting - 1) == 1


@given(rate=RATES, whole_at=st.integers(0, 1 << 40), now=st.integers(0, 1 << 40))
def test_a_budget_is_whole_after_a_period_of_quiet(rate: Rate, whole_at: int, now: int) -> None:
    if wait(rate, whole_at, now) == 0:
        assert charged(rate, whole_at, now) <= now + rate.period
