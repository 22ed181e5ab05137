from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.access.limits import AtOnce, Budgets, LimitOptions, Limits
from cove.core import rates
from cove.core.errors import RateLimited, TooMany
from cove.core.rates import MINUTE, Rate

SECOND = 1_000_000_000
OPTIONS = LimitOptions(client=3, address=3, outside=3, failures=3, outside_at_once=8, log_streams=1)
ASKED = st.lists(
    st.tuples(st.integers(0, 9), st.one_of(st.integers(0, SECOND), st.integers(0, 2 * MINUTE))), max_size=200
)


class Clock:
    def __init__(self) -> None:
        self.now = 10 * MINUTE

    def __call__(self) -> int:
        return self.now


@given(per_minute=st.integers(1, 5), asked=ASKED)
def test_what_is_forgotten_changes_no_answer(per_minute: int, asked: list[tuple[int, int]]) -> None:
    budgets, rate, kept, now = Budgets(per_minute), Rate.per_minute(per_minute), dict[int, int](), 0
    for caller, step in asked:
        now += step
        waiting = rates.wait(rate, kept.get(caller, 0), now)
        assert budgets.take(str(caller), now) == waiting
        if not waiting:
            kept[caller] = rates.charged(rate, kept.get(caller, 0), now)


@given(asked=st.lists(st.tuples(st.integers(0, 200), st.integers(0, SECOND)), max_size=300))
def test_many_callers_take_no_more_room_than_two_tables(asked: list[tuple[int, int]]) -> None:
    budgets, now = Budgets(2, most=10), 0
    for caller, step in asked:
        now += step
        budgets.take(str(caller), now)
        assert len(budgets) <= 20


def test_callers_who_were_quiet_take_no_room() -> None:
    budgets = Budgets(60)
    for caller in range(1000):
        budgets.take(str(caller), caller)
    budgets.take("a", 2 * MINUTE)
    budgets.take("a", 4 * MINUTE)
    assert len(budgets) <= 2


def test_a_rate_of_zero_is_none() -> None:
    budgets = Budgets(0)
    assert not any(budgets.take("a", 0) for _ in range(10_000))
    assert len(budgets) == 0


def test_who_comes_back_when_they_were_told_to_is_let_in() -> None:
    clock = Clock()
    limits = Limits(OPTIONS, clock)
    for _ in range(3):
        limits.request("a")
    with pytest.raises(RateLimited) as caught:
        limits.request("a")
    assert (caught.value.code, caught.value.retry_after) == ("rate_limited", 20)
    limits.request("b")
    clock.now += caught.value.retry_after * SECOND
    limits.request("a")


def test_an_account_is_counted_in_any_spelling_and_only_when_it_asked() -> None:
    limits = Limits(OPTIONS, Clock())
    for _ in range(9):
        limits.may_ask("0xAB")
    for _ in range(3):
        limits.asked("0xAB")
    with pytest.raises(RateLimited, match="account"):
        limits.may_ask("0xab")


def test_wrong_proofs_keep_a_client_from_proving_and_no_other() -> None:
    limits = Limits(OPTIONS, Clock())
    for _ in range(3):
        limits.may_prove("a")
        limits.failed("a")
    with pytest.raises(RateLimited, match="wrong"):
        limits.may_prove("a")
    limits.may_prove("b")
    limits.request("a")


def test_no_client_has_more_than_a_quarter_under_way_and_all_no_more_than_all() -> None:
    places = AtOnce(8, 2)
    held = [places.one(client) for client in "aabbccdd"]
    for one in held:
        one.__enter__()
    for client in "ae":
        with pytest.raises(TooMany, match="under way"), places.one(client):
            pass
    held[0].__exit__(None, None, None)
    with places.one("a"):
        pass
    held[7].__exit__(None, None, None)
    with places.one("e"), pytest.raises(TooMany), places.one("b"):
        pass


def test_what_finds_no_place_is_not_counted() -> None:
    limits = Limits(replace(OPTIONS, outside=2), Clock())
    with limits.looking("a"), limits.looking("a"):
        for _ in range(5):
            with pytest.raises(TooMany, match="under way"), limits.looking("a"):
                pass
        with pytest.raises(RateLimited), limits.asking("a"):
            pass
