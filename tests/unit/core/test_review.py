"""What an inspection's findings mean for what leaves, under any policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.policies import UNCHECKED, policies, types

from cove.core.inspection import FileReport, Inspection, Match
from cove.core.policy import (
    ALGORITHM_LOG,
    CAPTURED_LOG,
    CONFIGURATION_LOG,
    HOLDS,
    IMAGE_LOG,
    OF_THE_ALGORITHM,
    ORDER_OF_TYPES,
    OUTPUT,
    PUBLISH_LOG,
    REFUSALS,
    RawOutput,
    ReleaseLimits,
    live_bytes,
    release,
    review,
    to_inspect,
)
from cove.core.releasepolicy import (
    CountRules,
    LeakRules,
    LogMode,
    LogRules,
    OutputRules,
    ReleasePolicy,
    ReviewMode,
    ReviewRules,
    strictest,
    type_allowed,
)

LIMITS = ReleaseLimits(file_bytes=80, total_bytes=200, files=3, log_bytes=70)
BUILT_IN = ReleasePolicy()
A, B = (RawOutput(name, OUTPUT, 10, name * 2) for name in "ab")
LOG = RawOutput(CAPTURED_LOG, ALGORITHM_LOG, 10, "ff")


def report(output: RawOutput, **found: object) -> FileReport:
    fields: dict[str, object] = {"content_type": "text/csv", **found}
    return FileReport(output.path, output.type, output.sha256, **fields)  # type: ignore[arg-type]


def rows(count: int) -> dict[str, object]:
    return {"matches": (Match("did", count),)}


def inspected(*files: FileReport, **fields: object) -> Inspection:
    return Inspection(files, **fields)  # type: ignore[arg-type]


def reasons(policy: ReleasePolicy, inspection: Inspection | None, *outputs: RawOutput) -> list[str]:
    return [verdict.reason for verdict in review(outputs or (A, B), LIMITS, policy, inspection)]


CLEAN = inspected(report(A), report(B), report(LOG, content_type="text/plain"))


def test_what_is_clean_leaves() -> None:
    assert reasons(BUILT_IN, CLEAN, A, B, LOG) == ["", "", ""]


def test_without_knowledge_everything_of_the_algorithms_is_held() -> None:
    ours = [RawOutput(f"{kind}.log", kind, 1, "aa") for kind in (IMAGE_LOG, CONFIGURATION_LOG, PUBLISH_LOG)]
    for inspection in (
        None,
        Inspection(failure="crashed"),
        replace(CLEAN, failure="time"),
        inspected(replace(report(A), sha256="00"), replace(report(B), path="c"), replace(report(LOG), type=OUTPUT)),
    ):
        verdicts = review([A, B, LOG, *ours], LIMITS, BUILT_IN, inspection)
        assert {v.path for v in verdicts if v.released} == {output.path for output in ours}
        assert {v.reason for v in verdicts if not v.released} == {"not_inspected"}
        assert all(v.held is not v.released for v in verdicts)


def test_a_failure_says_nothing_where_contents_decide_nothing() -> None:
    assert reasons(UNCHECKED, None) == ["", ""]
    assert to_inspect([A, B, LOG], LIMITS, UNCHECKED) == ()


@pytest.mark.parametrize("policy", [
    replace(UNCHECKED, outputs=OutputRules(types=frozenset({"text/csv"}))),
    replace(UNCHECKED, outputs=OutputRules(rows=9)),
    replace(UNCHECKED, counts=CountRules(frozenset({"ward"}))),
])  # fmt: skip
def test_rules_about_contents_need_an_inspection_also_without_the_leak_check(policy: ReleasePolicy) -> None:
    assert reasons(policy, None) == ["not_inspected"] * 2
    assert reasons(policy, inspected(report(A, **rows(9), canaries=1), report(B))) == ["", ""]
    assert to_inspect([A, LOG], LIMITS, policy) == (LOG, A)


def test_rows_at_the_bound_hold_all_and_rows_below_it_the_file_that_has_them() -> None:
    assert reasons(BUILT_IN, inspected(report(A, **rows(3)), report(B))) == ["leaked_rows", "leaked_elsewhere"]
    assert reasons(BUILT_IN, inspected(report(A, **rows(2)), report(B))) == ["warned_rows", ""]
    lenient = replace(BUILT_IN, leaks=LeakRules(fail_rows=9, warn_rows=3))
    assert reasons(lenient, inspected(report(A, **rows(2)), report(B))) == ["", ""]


def test_rows_count_over_all_files() -> None:
    both = (report(A, **rows(2)), report(B, **rows(2)))
    assert reasons(BUILT_IN, inspected(*both, rows=(("did", 2),))) == ["warned_rows"] * 2
    assert reasons(BUILT_IN, inspected(*both, rows=(("did", 3),))) == ["leaked_rows"] * 2
    assert reasons(BUILT_IN, inspected(*both, rows=(("did", 2), ("other", 1)))) == ["leaked_rows"] * 2


def test_rows_in_two_places_of_a_file_may_be_the_same() -> None:
    twice = report(A, matches=(Match("did", 2), Match("did", 2, "inner.zip/a"), Match("other", 1)))
    assert reasons(BUILT_IN, inspected(replace(twice, matches=twice.matches[:2]), report(B))) == ["warned_rows", ""]
    assert reasons(BUILT_IN, inspected(twice, report(B))) == ["leaked_rows", "leaked_elsewhere"]


def test_a_canary_holds_all_whatever_the_counts_say() -> None:
    policy = replace(BUILT_IN, leaks=LeakRules(fail_rows=1000, warn_rows=1000, canaries=frozenset({"bird"})))
    assert reasons(policy, inspected(report(A, canaries=1), report(B))) == ["canary", "leaked_elsewhere"]


def test_tables_types_and_groups_are_held_at_their_edges() -> None:
    policy = replace(
        BUILT_IN,
        outputs=OutputRules(rows=5, types=frozenset({"text/csv", "image/*"})),
        counts=CountRules(frozenset({"ward"}), 4),
    )
    assert reasons(policy, inspected(report(A, rows=5), report(B, rows=6))) == ["", "too_many_rows"]
    assert reasons(policy, inspected(report(A, smallest_group=4), report(B, smallest_group=3))) == ["", "small_groups"]
    kinds = inspected(report(A, content_type="image/png"), report(B, content_type="application/zip"))
    assert reasons(policy, kinds) == ["", "type"]
    assert reasons(policy, inspected(report(A, opaque="bomb"), report(B))) == ["opaque", ""]


def test_a_log_may_be_text_and_nothing_else_that_is_not_allowed() -> None:
    policy = replace(BUILT_IN, outputs=OutputRules(types=frozenset({"image/png"})))
    kinds = {"text/plain": "", "application/json": "", "image/png": "", "application/zip": "type"}
    for kind, reason in kinds.items():
        assert reasons(policy, inspected(report(LOG, content_type=kind)), LOG) == [reason]


def test_without_review_what_would_be_held_never_leaves() -> None:
    policy = replace(BUILT_IN, review=ReviewRules(ReviewMode.NONE))
    verdicts = review([A, B], LIMITS, policy, inspected(report(A, **rows(1)), report(B)))
    assert [(v.released, v.held) for v in verdicts] == [(False, False), (True, False)]


def test_with_review_always_nothing_leaves_by_itself() -> None:
    policy = replace(UNCHECKED, review=ReviewRules(ReviewMode.ALWAYS))
    ours = RawOutput("configuration.log", CONFIGURATION_LOG, 1, "aa")
    verdicts = review([A, LOG, ours], LIMITS, policy, None)
    assert [(v.reason, v.held) for v in verdicts] == [("", False), ("review_always", True), ("review_always", True)]
    found = inspected(report(A, **rows(1)))
    assert reasons(replace(policy, leaks=LeakRules()), found, A) == ["warned_rows"]


@pytest.mark.parametrize(("mode", "size", "reason"), [
    (LogMode.OFF, 0, "log_off"),
    (LogMode.TAIL, 5, ""),
    (LogMode.TAIL, 6, "too_large"),
    (LogMode.FULL, 70, ""),
    (LogMode.LIVE, 70, ""),
    (LogMode.LIVE, 71, "too_large"),
])  # fmt: skip
def test_the_log_leaves_as_far_as_its_mode_goes(mode: LogMode, size: int, reason: str) -> None:
    policy = replace(UNCHECKED, logs=LogRules(mode, 5), outputs=OutputRules(files=0, total_bytes=0, file_bytes=0))
    (verdict,) = review([replace(LOG, size=size)], LIMITS, policy, None)
    assert (verdict.reason, verdict.held) == (reason, False)
    further = RawOutput("more.log", ALGORITHM_LOG, 0, "aa")
    expected = "log_off" if mode in {LogMode.OFF, LogMode.TAIL} else "too_many"
    assert reasons(policy, None, further) == [expected]


def test_the_policys_own_bounds_are_refusals() -> None:
    def refused(**bounds: int) -> list[tuple[str, bool]]:
        policy = replace(BUILT_IN, outputs=OutputRules(**bounds))  # type: ignore[arg-type]
        return [(v.reason, v.held) for v in review([A, B], LIMITS, policy, CLEAN)]

    assert refused(file_bytes=9) == [("too_large", False)] * 2
    assert refused(files=1) == [("", False), ("too_many", False)]
    assert refused(total_bytes=19) == [("", False), ("total_too_large", False)]
    assert refused(total_bytes=20, files=2, file_bytes=10) == [("", False)] * 2


def test_live_logs_need_both_to_say_so() -> None:
    live = replace(BUILT_IN, logs=LogRules(LogMode.LIVE))
    assert live_bytes(LIMITS, 30, live, live_logs=True) == 40
    assert live_bytes(LIMITS, 80, live, live_logs=True) == 0
    assert live_bytes(LIMITS, 0, live, live_logs=False) == 0
    for mode in (LogMode.OFF, LogMode.TAIL, LogMode.FULL):
        assert live_bytes(LIMITS, 0, replace(live, logs=LogRules(mode)), live_logs=True) == 0


outputs = st.lists(
    st.builds(
        RawOutput,
        path=st.sampled_from(["a", "b", "c/d", CAPTURED_LOG, "../x", "\n"]),
        type=st.sampled_from([ALGORITHM_LOG, OUTPUT, OUTPUT, OUTPUT, CONFIGURATION_LOG]),
        size=st.integers(0, 90),
        sha256=st.sampled_from(["aa", "bb"]),
        regular=st.integers(0, 9).map(bool),
    ),
    max_size=6,
    unique_by=lambda output: (output.type, output.path),
)
matches = st.lists(st.builds(Match, dataset=st.sampled_from("xy"), rows=st.integers(0, 4)), max_size=2).map(tuple)


@st.composite
def inspections(draw: st.DrawFn, judged: Sequence[RawOutput]) -> Inspection:
    files = [
        FileReport(
            output.path,
            output.type,
            output.sha256 if draw(st.integers(0, 5)) else "00",
            draw(types),
            rows=draw(st.none() | st.integers(0, 6)),
            matches=draw(st.just(()) | matches),
            canaries=draw(st.sampled_from([0, 0, 1])),
            smallest_group=draw(st.none() | st.integers(0, 5)),
            opaque=draw(st.sampled_from(["", "", "unknown"])),
        )
        for output in judged
        if draw(st.integers(0, 5))
    ]
    counted = draw(st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 5)), max_size=2, unique_by=lambda n: n[0]))
    return Inspection(tuple(files), tuple(counted), draw(st.sampled_from(["", "", "", "memory"])))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[RawOutput], ReleasePolicy, Inspection | None]:
    judged = draw(outputs)
    return judged, draw(policies), draw(inspections(judged) if draw(st.integers(0, 9)) else st.none())


def leaving(judged: Sequence[RawOutput], policy: ReleasePolicy, inspection: Inspection | None) -> set[tuple[str, str]]:
    verdicts = review(judged, LIMITS, policy, inspection)
    return {(output.path, output.type) for output in judged if release(output, verdicts) is not None}


@given(cases())
def test_nothing_that_breaks_a_rule_is_released(
    case: tuple[list[RawOutput], ReleasePolicy, Inspection | None],
) -> None:
    judged, policy, inspection = case
    left = leaving(judged, policy, inspection)
    out = [o for o in judged if (o.path, o.type) in left and o.type in OF_THE_ALGORITHM]
    files = [o for o in out if o.path != CAPTURED_LOG or o.type == OUTPUT]
    rules = policy.outputs
    for kind in OF_THE_ALGORITHM:
        some = [o for o in files if o.type == kind]
        assert rules.files is None or len(some) <= rules.files
        assert rules.total_bytes is None or sum(o.size for o in some) <= rules.total_bytes
    assert all(o.regular and (rules.file_bytes is None or o.size <= rules.file_bytes) for o in files)
    assert not out or policy.review.mode is not ReviewMode.ALWAYS
    for output in out:
        if output.type == ALGORITHM_LOG:
            assert policy.logs.mode is not LogMode.OFF
            assert policy.logs.mode is not LogMode.TAIL or output.size <= policy.logs.tail_bytes
    known = {(r.path, r.type): r for r in inspection.files} if inspection else {}
    groups = bool(policy.counts.columns and policy.counts.threshold)
    for output in out:
        if not (policy.leaks.check or groups or rules.types is not None or rules.rows is not None):
            continue
        assert inspection is not None
        assert not inspection.failure
        found = known[output.path, output.type]
        assert found.sha256 == output.sha256
        if policy.leaks.check:
            assert inspection.matched_rows < policy.leaks.fail_rows
            assert not any(r.canaries for r in known.values())
            assert all(m.rows < policy.leaks.fail_rows for r in known.values() for m in r.matches)
            assert not found.matched_rows or inspection.matched_rows < policy.leaks.warn_rows
            assert not found.opaque
        assert rules.rows is None or found.rows is None or found.rows <= rules.rows
        assert not groups or found.smallest_group is None or found.smallest_group >= policy.counts.threshold
        text = output.type == ALGORITHM_LOG and found.content_type.startswith("text/")
        assert rules.types is None or text or type_allowed(found.content_type, rules.types)


@given(cases(), policies)
def test_a_stricter_policy_never_releases_more(
    case: tuple[list[RawOutput], ReleasePolicy, Inspection | None], other: ReleasePolicy
) -> None:
    judged, policy, inspection = case
    assert leaving(judged, strictest([policy, other]), inspection) <= leaving(judged, policy, inspection)


@given(cases(), st.data())
def test_more_findings_never_release_more(
    case: tuple[list[RawOutput], ReleasePolicy, Inspection | None], data: st.DataObject
) -> None:
    judged, policy, inspection = case
    if inspection is None:
        return
    worse = replace(
        inspection,
        files=tuple(_worse(found, data) for found in inspection.files),
        rows=tuple((did, count + data.draw(st.integers(0, 3))) for did, count in inspection.rows),
        failure=inspection.failure or data.draw(st.sampled_from(["", "", "time"])),
    )
    assert leaving(judged, policy, worse) <= leaving(judged, policy, inspection)
    assert leaving(judged, policy, None) <= leaving(judged, policy, inspection)


def _worse(found: FileReport, data: st.DataObject) -> FileReport:
    fewest = data.draw(st.none() | st.integers(0, 5)) if found.smallest_group is None else found.smallest_group - 1
    return replace(
        found,
        matches=(*found.matches, *data.draw(matches)),
        canaries=found.canaries + data.draw(st.integers(0, 1)),
        opaque=found.opaque or data.draw(st.sampled_from(["", "bomb"])),
        rows=data.draw(st.none() | st.integers(0, 6)) if found.rows is None else found.rows + 1,
        smallest_group=fewest,
    )


@given(cases())
def test_every_reason_is_known_and_only_what_a_person_may_let_out_is_held(
    case: tuple[list[RawOutput], ReleasePolicy, Inspection | None],
) -> None:
    judged, policy, inspection = case
    for verdict in review(judged, LIMITS, policy, inspection):
        assert verdict.released is (verdict.reason == "")
        assert verdict.released or verdict.reason in {**REFUSALS, **HOLDS}
        wants_review = policy.review.mode is not ReviewMode.NONE
        assert verdict.held is (verdict.reason in HOLDS and wants_review)
        assert verdict.type in OF_THE_ALGORITHM or verdict.reason not in HOLDS


@given(cases())
def test_what_is_refused_by_a_limit_is_not_looked_into(
    case: tuple[list[RawOutput], ReleasePolicy, Inspection | None],
) -> None:
    judged, policy, inspection = case
    looked = {(output.path, output.type) for output in to_inspect(judged, LIMITS, policy)}
    for verdict in review(judged, LIMITS, policy, inspection):
        if verdict.reason in REFUSALS:
            assert (verdict.path, verdict.type) not in looked
    assert ORDER_OF_TYPES.index(ALGORITHM_LOG) < ORDER_OF_TYPES.index(OUTPUT)
