from __future__ import annotations

import pytest

from cove.core.enforcement import check_strict, unenforced
from cove.core.errors import SettingsWrong

GOOD = {"memory": "cgroup", "processes": "rlimit", "cpu": "cgroup", "disk": "sized tmpfs"}


def test_what_bounds_the_whole_run_is_enough() -> None:
    assert unenforced(GOOD) == ()
    check_strict("default", "sandbox", GOOD)


@pytest.mark.parametrize("weak", ["none", "rlimit per process"])
@pytest.mark.parametrize("limit", sorted(GOOD))
def test_nothing_or_a_bound_of_each_process_alone_is_not(limit: str, weak: str) -> None:
    assert unenforced(GOOD | {limit: weak}) == (limit,)


def test_an_engine_that_does_not_say_does_not_enforce() -> None:
    assert unenforced({}) == ("memory", "processes", "cpu", "disk")


def test_a_refusal_names_every_limit_and_what_to_do() -> None:
    with pytest.raises(SettingsWrong) as refusal:
        check_strict("big", "sandbox", GOOD | {"memory": "rlimit per process", "cpu": "none"})
    assert refusal.value.message == (
        "Environment big is strict, and its engine sandbox cannot enforce here: memory (rlimit per process), cpu (none)."
    )
    assert refusal.value.hint is not None
    for word in ("memory: ", "cpu: ", "strict = false"):
        assert word in refusal.value.hint
    assert "disk: " not in refusal.value.hint
