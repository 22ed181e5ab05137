from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.support.policies import policies

from cove.core.policy import ReleaseLimits
from cove.core.policyexplained import duration, explain_release, explain_start, size
from cove.core.policygate import Candidate, algorithm_objection, consumer_objection
from cove.core.releasepolicy import LogMode, LogRules, ReleasePolicy, ReviewMode, ReviewRules

LIMITS = ReleaseLimits(10 << 30, 20 << 30, 1000, 2 << 20)


def test_the_built_in_policy_in_words() -> None:
    assert {line.rule: line.text for line in explain_release(ReleasePolicy(), LIMITS, live_logs=True)} == {
        "outputs": "at most 1000 files of 10 GiB, 20 GiB in all; others never leave.",
        "logs": "all of it, up to 2 MiB, leaves at the end, after the checks.",
        "leaks": "with 3 rows of the input or more everything is held for a person, with 1 or more the files that have them.",
        "review": "what is held waits for a person: one person must approve a file within 30 days.",
    }  # fmt: skip


def test_words_follow_log_and_review_modes() -> None:
    def said(policy: ReleasePolicy, rule: str, *, live: bool = True) -> str:
        return next(line.text for line in explain_release(policy, LIMITS, live_logs=live) if line.rule == rule)

    live = replace(ReleasePolicy(), logs=LogRules(LogMode.LIVE))
    assert said(live, "logs").endswith("while the job runs it is shown unchecked.")
    assert said(live, "logs", live=False).endswith("the environment shows none live.")
    assert said(replace(live, logs=LogRules(LogMode.OFF)), "logs").startswith("nothing")
    assert said(replace(live, logs=LogRules(LogMode.TAIL, 99)), "logs").startswith("the last 99 bytes")
    none = replace(live, review=ReviewRules(ReviewMode.NONE))
    assert said(none, "review").startswith("nobody looks")
    assert "refused" in said(none, "leaks")
    always = replace(live, review=ReviewRules(ReviewMode.ALWAYS, 2, 90))
    assert said(always, "review") == "nothing leaves by itself: 2 persons must approve a file within 90 seconds."


@given(policies, st.sampled_from(["a", "z"]), st.none() | st.builds(
    Candidate, raw=st.booleans(), image=st.sampled_from("abz"), files=st.none() | st.sampled_from("abz"), publisher=st.sampled_from("abz")
), st.none() | st.integers(0, 5))  # fmt: skip
def test_what_is_said_of_a_start_is_what_the_gate_does(
    policy: ReleasePolicy, consumer: str, algorithm: Candidate | None, used: int | None
) -> None:
    lines = explain_start(policy, consumer, algorithm, used)
    passes = {line.passes for line in lines}
    runs = policy.consumers.runs
    refused = (
        bool(consumer_objection(policy.consumers, consumer))
        or (algorithm is not None and bool(algorithm_objection(policy.algorithms, algorithm)))
        or (runs is not None and used is not None and used >= runs)
    )
    if False in passes:
        assert refused
    elif None not in passes:
        assert not refused
    assert all(line.text.endswith(".") for line in (*lines, *explain_release(policy, LIMITS, live_logs=False)))


def test_sizes_and_times_read_well() -> None:
    assert [size(count) for count in (0, 1023, 1024, 1536, 10 << 20, 2000 << 30)] == [
        "0 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "10 MiB", "2000 GiB",
    ]  # fmt: skip
    assert [duration(seconds) for seconds in (1, 60, 7200, 86_400 * 7)] == [
        "1 seconds",
        "1 minutes",
        "2 hours",
        "7 days",
    ]
