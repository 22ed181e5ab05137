from __future__ import annotations

import copy
import hashlib
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.policies import UNCHECKED

from cove.core.job import Verdict
from cove.core.policy import (
    ALGORITHM_LOG,
    CONFIGURATION_LOG,
    ORDER_OF_TYPES,
    OUTPUT,
    RawOutput,
    ReleasedOutput,
    ReleaseLimits,
    release,
    review,
    safe_name,
)

LIMITS = ReleaseLimits(file_bytes=100, total_bytes=250, files=3, log_bytes=50)

names = st.one_of(st.sampled_from(["a", "b", "c/d", "../x", "", "\n"]), st.text(max_size=6))
raw_outputs = st.builds(
    RawOutput,
    path=names,
    type=st.sampled_from(ORDER_OF_TYPES),
    size=st.integers(0, 130),
    sha256=st.sampled_from(["aa", "bb"]),
    regular=st.booleans(),
)


def raw(path: str, size: int = 1, kind: str = OUTPUT) -> RawOutput:
    return RawOutput(path, kind, size, hashlib.sha256(path.encode()).hexdigest())


def reasons(outputs: list[RawOutput], limits: ReleaseLimits = LIMITS) -> dict[str, str]:
    return {verdict.path: verdict.reason for verdict in review(outputs, limits, UNCHECKED, None)}


def test_only_release_makes_a_released_output() -> None:
    with pytest.raises(TypeError):
        ReleasedOutput("a", OUTPUT, 1, "aa", None)
    with pytest.raises(TypeError):
        ReleasedOutput("a", OUTPUT, 1, "aa", object())
    with pytest.raises(TypeError):
        ReleasedOutput("a", OUTPUT, 1, "aa")  # type: ignore[call-arg]


def test_a_released_output_cannot_be_made_into_another() -> None:
    output = raw("a")
    released = release(output, review([output], LIMITS, UNCHECKED, None))
    assert released is not None
    for change in ({"path": "b"}, {"sha256": "00"}, {"size": 9}, {"type": ALGORITHM_LOG}):
        with pytest.raises((TypeError, ValueError)):
            replace(released, **change)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        released.path = "b"  # type: ignore[misc]
    assert "_made_by_release" not in repr(released)


def test_a_copy_of_a_released_output_says_what_it_said() -> None:
    output = raw("a")
    released = release(output, review([output], LIMITS, UNCHECKED, None))
    assert released is not None
    assert copy.copy(released) == copy.deepcopy(released) == released


@given(st.lists(raw_outputs, max_size=8, unique_by=lambda output: (output.type, output.path)), st.randoms())
def test_the_verdict_does_not_hang_on_the_order_of_reading(outputs: list[RawOutput], chance: random.Random) -> None:
    shuffled = list(outputs)
    chance.shuffle(shuffled)
    assert review(shuffled, LIMITS, UNCHECKED, None) == review(outputs, LIMITS, UNCHECKED, None)


@given(st.lists(raw_outputs, max_size=8))
def test_what_is_released_keeps_every_limit(outputs: list[RawOutput]) -> None:
    verdicts = review(outputs, LIMITS, UNCHECKED, None)
    assert len(verdicts) == len(outputs)
    leaving = [verdict for verdict in verdicts if verdict.released]
    data = [verdict for verdict in leaving if verdict.type == OUTPUT]
    assert len(data) <= LIMITS.files
    assert sum(verdict.size for verdict in data) <= LIMITS.total_bytes
    assert all(verdict.size <= LIMITS.file_bytes for verdict in data)
    assert all(verdict.size <= LIMITS.log_bytes for verdict in leaving if verdict.type != OUTPUT)
    assert all(safe_name(verdict.path) for verdict in leaving)
    assert all(verdict.released is not bool(verdict.reason) for verdict in verdicts)
    assert [ORDER_OF_TYPES.index(verdict.type) for verdict in verdicts] == sorted(
        ORDER_OF_TYPES.index(verdict.type) for verdict in verdicts
    )


@given(st.lists(raw_outputs, max_size=8))
def test_what_is_held_back_is_never_released(outputs: list[RawOutput]) -> None:
    verdicts = review(outputs, LIMITS, UNCHECKED, None)
    passed = {(v.path, v.type, v.size, v.sha256) for v in verdicts if v.released}
    for output in outputs:
        released = release(output, verdicts)
        if released is not None:
            assert output.regular
            assert (released.path, released.type, released.size, released.sha256) in passed


def test_limits_hold_at_their_edge() -> None:
    assert reasons([raw("a", 100), raw("b", 101)]) == {"a": "", "b": "too_large"}
    assert reasons([raw("a", 50, ALGORITHM_LOG), raw("b", 51, CONFIGURATION_LOG)]) == {"a": "", "b": "too_large"}
    assert reasons([raw("a", 100), raw("b", 100), raw("c", 50)]) == {"a": "", "b": "", "c": ""}
    assert reasons([raw("a", 100), raw("b", 100), raw("c", 51)]) == {"a": "", "b": "", "c": "total_too_large"}
    assert reasons([raw(name, 1) for name in "abcd"]) == {"a": "", "b": "", "c": "", "d": "too_many"}
    assert reasons([raw("a", 0)], ReleaseLimits(0, 0, 1, 0)) == {"a": ""}
    assert reasons([raw("a", 0)], ReleaseLimits(9, 9, 0, 9)) == {"a": "too_many"}


def test_a_file_that_is_held_back_costs_the_others_nothing() -> None:
    assert reasons([raw("a", 1000), raw("b", 100), raw("c", 100), raw("d", 60), raw("e", 50)]) == {
        "a": "too_large",
        "b": "",
        "c": "",
        "d": "total_too_large",
        "e": "",
    }


def test_logs_do_not_count_as_outputs() -> None:
    logs = [raw(f"{number}.log", 50, ALGORITHM_LOG) for number in range(3)]
    assert set(reasons([*logs, raw("a", 100), raw("b", 100), raw("c", 50)]).values()) == {""}


def test_further_logs_are_bounded_like_outputs_and_what_was_printed_is_not_among_them() -> None:
    logs = [raw(f"{number}.log", 50, ALGORITHM_LOG) for number in range(9)]
    assert list(reasons([*logs, raw("algorithm.log", 50, ALGORITHM_LOG)]).values()) == [""] * 3 + ["too_many"] * 6 + [
        ""
    ]
    large = [raw(f"{number}.log", 50, ALGORITHM_LOG) for number in range(3)]
    assert list(reasons(large, replace(LIMITS, total_bytes=100)).values()) == ["", "", "total_too_large"]


def test_a_log_and_an_output_of_one_name_are_two_files() -> None:
    outputs = [raw("a", 60), raw("a", 60, ALGORITHM_LOG)]
    verdicts = review(outputs, LIMITS, UNCHECKED, None)
    assert [release(output, verdicts) is not None for output in outputs] == [True, False]


def test_what_is_no_file_never_leaves() -> None:
    pipe = replace(raw("a"), regular=False)
    assert review([pipe], LIMITS, UNCHECKED, None)[0].reason == "not_a_file"
    assert release(pipe, review([raw("a")], LIMITS, UNCHECKED, None)) is None


def test_a_file_that_changed_since_is_not_released() -> None:
    output = raw("a", 5)
    verdicts = review([output], LIMITS, UNCHECKED, None)
    assert release(output, verdicts) is not None
    for changed in (replace(output, sha256="00"), replace(output, size=6), replace(output, path="b")):
        assert release(changed, verdicts) is None
    assert release(output, ()) is None


def test_of_two_verdicts_on_one_file_the_first_counts() -> None:
    output = raw("a")
    held = Verdict("a", OUTPUT, 1, output.sha256, released=False, reason="too_large")
    passed = replace(held, released=True, reason="")
    assert release(output, (held, passed)) is None


@pytest.mark.parametrize("name", ["a", "a.b", "a/b", ".hidden", "..a", "a..b", "a b", "ä/日本", "-rf", "a" * 1024])
def test_common_names_are_fit(name: str) -> None:
    assert safe_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "/a",
        "//a",
        "../a",
        "a/..",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "./a",
        "a\nb",
        "a\0b",
        "a\x7f",
        "a\u202eb",
        "a\u200b",
        "a\u2028b",
        "\udcff",
        "\ufeffa",
        "a" * 1025,
        "é" * 513,
    ],
)
def test_names_that_could_mislead_are_not(name: str) -> None:
    assert not safe_name(name)
    assert review([RawOutput(name, OUTPUT, 1, "aa")], LIMITS, UNCHECKED, None)[0].reason == "bad_name"


@given(st.text(st.characters(exclude_categories=()), max_size=12))
def test_any_name_at_all_is_judged(name: str) -> None:
    if safe_name(name):
        assert name == name.strip("/")
        assert ".." not in name.split("/")
        name.encode("utf-8")
