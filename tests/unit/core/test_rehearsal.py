from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.support.policies import policies

from cove.core.inspection import FileReport, Inspection, Match
from cove.core.policy import ALGORITHM_LOG, CAPTURED_LOG, IMAGE_LOG, OUTPUT, RawOutput, ReleaseLimits, review
from cove.core.rehearsal import checked_by, rehearse
from cove.core.releasepolicy import LeakRules, LogMode, LogRules, OutputRules, ReleasePolicy, ReviewMode, ReviewRules

LIMITS = ReleaseLimits(file_bytes=100, total_bytes=200, files=3, log_bytes=100)


def out(path: str, size: int = 10, kind: str = OUTPUT, *, regular: bool = True) -> RawOutput:
    return RawOutput(path, kind, size, path.ljust(64, "0"), regular)


def found(*outputs: RawOutput, rows: int = 0, canaries: int = 0) -> Inspection:
    matches = (Match("did:op:1", rows, "", ()),) if rows else ()
    files = [FileReport(one.path, one.type, one.sha256, "text/csv", 1, matches, canaries=canaries) for one in outputs]
    return Inspection(tuple(files), (("did:op:1", rows),) if rows else ())


def fates(policy: ReleasePolicy, inspection: Inspection | None, *outputs: RawOutput) -> list[tuple[bool, str, str]]:
    verdicts = rehearse(outputs, LIMITS, policy, inspection)
    assert not any(one.held for one in verdicts), "nobody is asked to look"
    return [(one.released, one.would, one.reason) for one in verdicts]


def test_what_a_check_finds_is_told_and_leaves() -> None:
    a = out("a")
    assert fates(ReleasePolicy(), found(a), a) == [(True, "released", "")]
    assert fates(ReleasePolicy(), found(a, rows=5), a) == [(True, "held", "leaked_rows")]
    never = ReleasePolicy(review=ReviewRules(ReviewMode.NONE))
    assert fates(never, found(a, rows=5), a) == [(True, "refused", "leaked_rows")]
    assert fates(ReleasePolicy(), None, a) == [(True, "held", "not_inspected")]
    assert fates(ReleasePolicy(outputs=OutputRules(file_bytes=9)), found(a), a) == [(True, "refused", "too_large")]


def test_the_providers_own_limits_hold() -> None:
    raw = (out("a", 101), out("b", regular=False), out("c\n"))
    assert fates(ReleasePolicy(), found(*raw), *raw) == [
        (False, "refused", "too_large"),
        (False, "refused", "not_a_file"),
        (False, "refused", "bad_name"),
    ]


def test_a_log_leaves_whole_and_says_what_would_have_been_cut() -> None:
    log, more, ours = (
        out(CAPTURED_LOG, 50, ALGORITHM_LOG),
        out("x.log", 5, ALGORITHM_LOG),
        out("image.log", 5, IMAGE_LOG),
    )
    for rules, expected in (
        (LogRules(LogMode.FULL), [("released", ""), ("released", "")]),
        (LogRules(LogMode.OFF), [("refused", "log_off"), ("refused", "log_off")]),
        (LogRules(LogMode.TAIL, 49), [("cut", "log_tail"), ("refused", "log_off")]),
        (LogRules(LogMode.TAIL, 50), [("released", ""), ("refused", "log_off")]),
    ):
        given_out = fates(ReleasePolicy(logs=rules), found(log, more), ours, log, more)
        assert given_out == [(True, "released", ""), *((True, *one) for one in expected)]
    assert fates(ReleasePolicy(logs=LogRules(LogMode.TAIL, 1)), found(log, rows=9), log) == [
        (True, "held", "leaked_rows")
    ]


def test_canaries_are_not_looked_for() -> None:
    policy = ReleasePolicy(leaks=LeakRules(canaries=frozenset({"tweet"})))
    assert checked_by(policy).leaks == LeakRules()


@given(
    policies,
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 150)), max_size=4, unique_by=lambda one: one[0]
    ),
)
def test_nothing_is_told_more_kindly_than_a_real_job_would_be(
    policy: ReleasePolicy, files: list[tuple[str, int]]
) -> None:
    raw = [out(name, size) for name, size in files]
    report = found(*raw)
    told = rehearse(raw, LIMITS, policy, report)
    blind = replace(policy, leaks=replace(policy.leaks, canaries=frozenset()))
    for real, mock in zip(review(raw, LIMITS, blind, report), told, strict=True):
        assert (mock.would == "released", mock.would == "held") == (real.released, real.held)
        assert mock.reason == real.reason
        assert (mock.released, mock.sha256) == (mock.reason == "" or mock.released, real.sha256)
