from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from tests.support.policies import policies, types

from cove.core.policygate import HINTS, Candidate, algorithm_objection, consumer_objection, needs_files
from cove.core.releasepolicy import (
    AlgorithmRules,
    ConsumerRules,
    LogMode,
    LogRules,
    ReleasePolicy,
    ReviewMode,
    canonical,
    policy_digest,
    strictest,
    type_allowed,
)

IMAGE, OTHER_IMAGE, FILES, OTHER_FILES = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}", "3" * 64, "4" * 64


@given(policies)
def test_the_strictest_of_one_twice_is_itself(one: ReleasePolicy) -> None:
    assert strictest([one]) == strictest([one, one]) == one


@given(policies, policies)
def test_the_order_of_two_does_not_matter(one: ReleasePolicy, other: ReleasePolicy) -> None:
    assert strictest([one, other]) == strictest([other, one])
    assert canonical(strictest([one, other])) == canonical(strictest([other, one]))


@given(policies, policies, policies)
def test_how_three_are_grouped_does_not_matter(a: ReleasePolicy, b: ReleasePolicy, c: ReleasePolicy) -> None:
    assert strictest([strictest([a, b]), c]) == strictest([a, strictest([b, c])]) == strictest([a, b, c])


@given(policies, policies)
def test_the_strictest_is_nowhere_looser(one: ReleasePolicy, other: ReleasePolicy) -> None:
    merged = strictest([one, other])
    for part in (one, other):
        for allowed, merged_allowed in (
            (part.algorithms.digests, merged.algorithms.digests),
            (part.algorithms.publishers, merged.algorithms.publishers),
            (part.consumers.allowed, merged.consumers.allowed),
        ):
            assert allowed is None or (merged_allowed is not None and merged_allowed <= allowed)
        for bound, merged_bound in (
            (part.outputs.total_bytes, merged.outputs.total_bytes),
            (part.outputs.files, merged.outputs.files),
            (part.outputs.file_bytes, merged.outputs.file_bytes),
            (part.outputs.rows, merged.outputs.rows),
            (part.consumers.runs, merged.consumers.runs),
            (part.leaks.fail_rows, merged.leaks.fail_rows),
            (part.leaks.warn_rows, merged.leaks.warn_rows),
            (part.review.expires_seconds, merged.review.expires_seconds),
        ):
            assert bound is None or (merged_bound is not None and merged_bound <= bound)
        assert merged.algorithms.raw <= part.algorithms.raw
        assert merged.consumers.denied >= part.consumers.denied
        assert part.consumers.runs is None or merged.consumers.period_seconds >= part.consumers.period_seconds
        assert merged.leaks.check >= part.leaks.check
        assert merged.leaks.identifiers >= part.leaks.identifiers
        assert merged.leaks.canaries >= part.leaks.canaries
        assert merged.counts.columns >= part.counts.columns
        assert merged.counts.threshold >= part.counts.threshold
        assert list(ReviewMode).index(merged.review.mode) >= list(ReviewMode).index(part.review.mode)
        assert merged.review.reviewers >= part.review.reviewers
        assert _shown(merged.logs, 50) <= _shown(part.logs, 50)
        assert set(part.digests) <= set(merged.digests)


def _shown(logs: LogRules, size: int) -> tuple[int, bool]:
    """Say how many bytes of a log leave, and whether at once."""
    kept = {LogMode.OFF: 0, LogMode.TAIL: min(size, logs.tail_bytes)}.get(logs.mode, size)
    return kept, logs.mode is LogMode.LIVE


@given(policies, policies, types)
def test_only_types_that_both_allow_are_allowed(one: ReleasePolicy, other: ReleasePolicy, kind: str) -> None:
    def allows(policy: ReleasePolicy) -> bool:
        return policy.outputs.types is None or type_allowed(kind, policy.outputs.types)

    assert allows(strictest([one, other])) == (allows(one) and allows(other))


def test_of_no_policies_the_built_in_one_holds() -> None:
    assert strictest([]) == ReleasePolicy()


@given(policies, policies)
def test_the_digest_tells_policies_apart(one: ReleasePolicy, other: ReleasePolicy) -> None:
    assert (policy_digest(one) == policy_digest(other)) is (one == other)


def test_the_digest_hangs_on_no_order_of_sets() -> None:
    names = [f"column {number}" for number in range(20)]
    one = replace(ReleasePolicy(), leaks=replace(ReleasePolicy().leaks, identifiers=frozenset(names)))
    other = replace(ReleasePolicy(), leaks=replace(ReleasePolicy().leaks, identifiers=frozenset(reversed(names))))
    assert canonical(one) == canonical(other)


def test_an_algorithm_is_known_by_image_by_files_or_by_both() -> None:
    whole = Candidate(raw=False, image=IMAGE.upper().replace("SHA", "sha"), files=FILES)

    def objection(*digests: str, candidate: Candidate = whole) -> str:
        return algorithm_objection(AlgorithmRules(digests=frozenset(digests)), candidate)

    assert objection(IMAGE) == objection(FILES) == objection(f"{IMAGE}+{FILES}") == ""
    assert objection(f"{IMAGE}+{OTHER_FILES}", f"{OTHER_IMAGE}+{FILES}", OTHER_IMAGE) == "policy_algorithm_digest"
    assert objection() == "policy_algorithm_digest"
    assert objection(FILES, candidate=replace(whole, files=None)) == "policy_algorithm_digest"
    assert algorithm_objection(AlgorithmRules(), whole) == ""


def test_files_are_read_only_where_that_can_tell() -> None:
    whole = Candidate(raw=False, image=IMAGE)

    def needed(*digests: str) -> bool:
        return needs_files(AlgorithmRules(digests=frozenset(digests)), whole)

    assert needed(FILES)
    assert needed(f"{IMAGE}+{FILES}")
    assert not needed(IMAGE, FILES)
    assert not needed(OTHER_IMAGE, f"{OTHER_IMAGE}+{FILES}")
    assert not needs_files(AlgorithmRules(), whole)
    assert not needs_files(AlgorithmRules(digests=frozenset({FILES})), replace(whole, raw=True))


def test_code_that_comes_along_passes_no_list() -> None:
    raw = Candidate(raw=True, image=IMAGE)
    assert algorithm_objection(AlgorithmRules(), raw) == ""
    assert algorithm_objection(AlgorithmRules(raw=False), raw) == "policy_raw_algorithm"
    assert algorithm_objection(AlgorithmRules(digests=frozenset({IMAGE})), raw) == "policy_algorithm_digest"
    assert algorithm_objection(AlgorithmRules(publishers=frozenset({""})), raw) == "policy_algorithm_publisher"


def test_publishers_are_compared_without_case_and_an_unknown_one_is_none_of_them() -> None:
    rules = AlgorithmRules(publishers=frozenset({"0xab"}))
    assert algorithm_objection(rules, Candidate(raw=False, image=IMAGE, publisher="0xAB")) == ""
    assert algorithm_objection(rules, Candidate(raw=False, image=IMAGE)) == "policy_algorithm_publisher"


def test_who_is_denied_is_out_even_where_allowed() -> None:
    rules = ConsumerRules(allowed=frozenset({"0xab", "0xcd"}), denied=frozenset({"0xcd"}))
    assert [consumer_objection(rules, account) for account in ("0xAB", "0xCD", "0xEF")] == [
        "",
        "policy_consumer_denied",
        "policy_consumer_not_allowed",
    ]
    assert consumer_objection(ConsumerRules(), "0xef") == ""


def test_every_reason_has_its_words() -> None:
    assert all(text.endswith((".", "later.", "access.")) for text in HINTS.values())
