from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.documents import DATATOKEN, an_asset

from cove.core.asset import ComputeTerms, Credentials, Service, TrustedAlgorithm
from cove.core.errors import Refused
from cove.core.trust import (
    AlgorithmOnTrial,
    container_checksum,
    files_checksum,
    may_consume,
    may_reach_network,
    may_run,
    may_use_root,
    needs_files_checksum,
)

DATASET = an_asset()
PUBLISHERS = st.sampled_from(["0xAa", "0xBb", "0xCc"])
CHECKSUMS = st.sampled_from(["", "ab", "cd"])
ENTRIES = st.builds(TrustedAlgorithm, st.sampled_from(["did:1", "did:2", "*", ""]), CHECKSUMS, CHECKSUMS)
TERMS = st.builds(
    ComputeTerms,
    allow_raw_algorithm=st.booleans(),
    trusted_publishers=st.none() | st.lists(PUBLISHERS | st.just("*"), max_size=3).map(tuple),
    trusted_algorithms=st.none() | st.lists(ENTRIES, max_size=3).map(tuple),
)
PUBLISHED = st.builds(
    AlgorithmOnTrial,
    st.sampled_from(["did:1", "did:2", "did:3"]),
    PUBLISHERS | st.just(""),
    st.none() | CHECKSUMS,
    st.none() | CHECKSUMS,
)
RAW = AlgorithmOnTrial(None, "", None, None)
ADDRESSES = st.frozensets(st.sampled_from(["0xaa", "0xbb", "0xcc"]))


def service(terms: ComputeTerms | None) -> Service:
    return Service("1", 0, "compute", DATATOKEN, "", "0x04", 0, terms)


def refusal(terms: ComputeTerms, algorithm: AlgorithmOnTrial) -> str | None:
    try:
        may_run(DATASET, service(terms), algorithm)
    except Refused as problem:
        assert problem.field == "dataset"
        return problem.reason
    return None


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        (ComputeTerms(), None),
        (ComputeTerms(trusted_publishers=(), trusted_algorithms=()), None),
        (ComputeTerms(trusted_publishers=("0xaA",)), None),
        (ComputeTerms(trusted_publishers=("*",)), None),
        (ComputeTerms(trusted_publishers=("0xBb",)), "not_trusted_algo_publisher"),
        (ComputeTerms(trusted_algorithms=(TrustedAlgorithm("did:1"),)), None),
        (ComputeTerms(trusted_algorithms=(TrustedAlgorithm("*"),)), None),
        (ComputeTerms(trusted_algorithms=(TrustedAlgorithm("did:2"),)), "not_trusted_algo"),
        (ComputeTerms(trusted_algorithms=(TrustedAlgorithm(""),)), "no_publisherTrustedAlgorithms"),
        (ComputeTerms(trusted_algorithms=(TrustedAlgorithm("did:1", "AB", "Cd"),)), None),
        (ComputeTerms(trusted_algorithms=(TrustedAlgorithm("did:1", "ff", ""),)), "algorithm_file_checksum_mismatch"),
        (
            ComputeTerms(trusted_algorithms=(TrustedAlgorithm("did:1", "ab", "ff"),)),
            "algorithm_container_checksum_mismatch",
        ),
        (ComputeTerms(trusted_algorithms=(TrustedAlgorithm("did:1", "ff"), TrustedAlgorithm("did:1", "ab"))), None),
        (
            ComputeTerms(trusted_publishers=("0xBb",), trusted_algorithms=(TrustedAlgorithm("did:1"),)),
            "not_trusted_algo_publisher",
        ),
        (
            ComputeTerms(trusted_publishers=("0xAa",), trusted_algorithms=(TrustedAlgorithm("did:2"),)),
            "not_trusted_algo",
        ),
    ],
)
def test_published_algorithms(terms: ComputeTerms, reason: str | None) -> None:
    assert refusal(terms, AlgorithmOnTrial("did:1", "0xAa", "ab", "cd")) == reason


def test_a_service_without_compute_runs_nothing() -> None:
    with pytest.raises(Refused, match="service_not_access_compute"):
        may_run(DATASET, service(None), RAW)


@given(TERMS)
def test_raw_code_passes_with_the_flag_alone(terms: ComputeTerms) -> None:
    assert refusal(terms, RAW) == (None if terms.allow_raw_algorithm else "no_raw_algo_allowed")


@given(TERMS, PUBLISHED)
def test_the_flag_for_raw_code_changes_nothing_for_published(terms: ComputeTerms, algorithm: AlgorithmOnTrial) -> None:
    flipped = replace(terms, allow_raw_algorithm=not terms.allow_raw_algorithm)
    assert refusal(terms, algorithm) == refusal(flipped, algorithm)


@given(TERMS, PUBLISHED, st.integers(0, 2))
def test_a_shorter_trusted_list_allows_no_more_unless_it_is_empty(
    terms: ComputeTerms, algorithm: AlgorithmOnTrial, position: int
) -> None:
    publishers, algorithms = terms.trusted_publishers or (), terms.trusted_algorithms or ()
    fewer_publishers = publishers[:position] + publishers[position + 1 :]
    fewer_algorithms = algorithms[:position] + algorithms[position + 1 :]
    if refusal(terms, algorithm) is None:
        return
    if fewer_publishers:
        assert refusal(replace(terms, trusted_publishers=fewer_publishers), algorithm) is not None
    if fewer_algorithms:
        assert refusal(replace(terms, trusted_algorithms=fewer_algorithms), algorithm) is not None


@given(TERMS, PUBLISHED)
def test_case_changes_nothing(terms: ComputeTerms, algorithm: AlgorithmOnTrial) -> None:
    shouted = replace(
        terms,
        trusted_publishers=terms.trusted_publishers and tuple(entry.upper() for entry in terms.trusted_publishers),
        trusted_algorithms=terms.trusted_algorithms
        and tuple(
            TrustedAlgorithm(entry.did.upper(), entry.files_checksum.upper(), entry.container_checksum.upper())
            for entry in terms.trusted_algorithms
        ),
    )
    assert refusal(shouted, algorithm) == refusal(terms, algorithm)


@given(TERMS, PUBLISHED, CHECKSUMS)
def test_the_files_are_needed_wherever_they_can_matter(
    terms: ComputeTerms, algorithm: AlgorithmOnTrial, other: str
) -> None:
    if not needs_files_checksum(service(terms), algorithm):
        assert refusal(terms, algorithm) == refusal(terms, replace(algorithm, files_checksum=other))


def test_raw_code_is_not_read_for_its_checksum() -> None:
    terms = ComputeTerms(trusted_algorithms=(TrustedAlgorithm("*", "ab"),))
    assert not needs_files_checksum(service(terms), RAW)


def test_checksums_are_those_of_the_specification() -> None:
    one, two = (hashlib.sha256(text).hexdigest() for text in (b"1", b"2"))
    assert files_checksum([one.upper(), two]) == one + two
    assert container_checksum("python3 $ALGO", "sha256:ab") == hashlib.sha256(b"python3 $ALGOsha256:ab").hexdigest()
    assert len(container_checksum("\ud800", "")) == 64


def consumable(credentials: Credentials, address: str, state: int = 0) -> str | None:
    try:
        may_consume(replace(DATASET, credentials=credentials, state=state), address)
    except Refused as problem:
        return problem.reason
    return None


@given(ADDRESSES, ADDRESSES)
def test_an_allow_list_counts_alone(allow: frozenset[str], deny: frozenset[str]) -> None:
    for address in ("0xaa", "0xAA", "0xdd"):
        allowed = consumable(Credentials(allow, deny), address) is None
        assert allowed == (address.lower() in allow)


@given(st.none() | ADDRESSES, ADDRESSES, ADDRESSES)
def test_more_denied_never_allows_more(
    allow: frozenset[str] | None, deny: frozenset[str], more: frozenset[str]
) -> None:
    for address in ("0xaa", "0xbb", "0xdd"):
        if consumable(Credentials(allow, deny), address) is not None:
            assert consumable(Credentials(allow, deny | more), address) is not None


def test_states_of_the_nft() -> None:
    assert [consumable(Credentials(), "0xaa", state) for state in range(7)] == [
        None, "asset_end_of_life", "asset_deprecated", "asset_revoked", "asset_ordering_disabled", None, "asset_state_6",
    ]  # fmt: skip


def test_everybody_and_nobody() -> None:
    assert consumable(Credentials(frozenset({"*"})), "0xaa") is None
    assert consumable(Credentials(frozenset()), "0xaa") == "credential_not_in_allow_list"
    assert consumable(Credentials(None, frozenset({"*"})), "0xaa") == "credential_in_deny_list"


def test_a_root_serves_the_publishers_listed_for_it() -> None:
    assert may_use_root("0xAA", frozenset({"0xaa"}))
    assert may_use_root("", frozenset({"*"}))
    assert not may_use_root("0xaa", frozenset())
    assert not may_use_root("0xbb", frozenset({"0xaa"}))
    assert not may_use_root("", frozenset({"", "0xaa"}))


def test_a_job_reaches_the_network_only_where_all_its_datasets_allow_it() -> None:
    open_terms, closed = service(ComputeTerms(allow_network_access=True)), service(ComputeTerms())
    assert may_reach_network([open_terms, open_terms])
    assert not may_reach_network([open_terms, closed])
    assert not may_reach_network([open_terms, service(None)])
