"""Which image names a pattern lets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.imagerules import image_problem
from cove.core.job import Container

DIGEST = "sha256:" + "ab" * 32


def allowed(reference: str, *patterns: str) -> bool:
    image, _, tag = reference.partition(" ")
    return not image_problem(Container(image, tag), patterns, digests_only=False)


@pytest.mark.parametrize(
    ("reference", "pattern"),
    [
        ("ghcr.io/site/tool 1.2", "ghcr.io/site/tool:1.2"),
        ("ghcr.io/site/tool 1.2", "ghcr.io/site/tool:1.*"),
        ("ghcr.io/site/tool 1.2", "ghcr.io/site/tool"),
        ("ghcr.io/site/tool", "ghcr.io/site/tool:latest"),
        ("ghcr.io/site/deep/tool", "ghcr.io/site/*"),
        ("GHCR.io/site/tool", "ghcr.IO/site/*"),
        ("ghcr.io/site/tool:1.2", "ghcr.io/site/tool:1.2"),
        ("ghcr.io/site/tool@sha256:ab", "ghcr.io/site/tool"),
        ("localhost:5000/tool 1", "localhost:5000/*"),
        ("python 3.12", "python:3.*"),
        ("python 3.12", "docker.io/library/python"),
        ("docker.io/library/python 3.12", "python"),
        ("cove/host", "cove/host"),
        ("cove/host", "docker.io/cove/*"),
        ("python.example/miner 1", "*"),
        ("python.example/miner 1", "*/miner:1"),
    ],
)
def test_a_pattern_lets_through(reference: str, pattern: str) -> None:
    assert allowed(reference, pattern)


@pytest.mark.parametrize(
    ("reference", "pattern"),
    [
        ("ghcr.io/other/tool 1.2", "ghcr.io/site/*"),
        ("ghcr.io/site/tool 2", "ghcr.io/site/tool:1.*"),
        ("ghcr.io/site/tool", "ghcr.io/site/tool:1"),
        ("ghcr.io/site/TOOL", "ghcr.io/site/tool"),
        ("ghcr.io/site/../other/tool", "ghcr.io/site/*"),
        ("ghcr.io/site//other", "ghcr.io/site/*"),
        ("python.example/miner 1", "python*"),
        ("evil.example/cove/host", "cove/host"),
        ("evil.example/ghcr.io/site/tool", "ghcr.io/site/*"),
        ("evil/python 3", "python"),
    ],
)
def test_a_pattern_stops(reference: str, pattern: str) -> None:
    assert not allowed(reference, pattern)


NAMES = st.from_regex(r"[a-z0-9]+([./:@-][a-z0-9]+){0,4}", fullmatch=True)


@given(NAMES)
def test_without_patterns_every_image_may_be_used(name: str) -> None:
    assert allowed(name)


@given(NAMES)
def test_what_is_not_below_a_registrys_folder_is_never_let_in_by_a_pattern_of_that_folder(name: str) -> None:
    assert allowed(name, "ghcr.io/site/*") is name.startswith("ghcr.io/site/")


def test_a_whole_digest_is_wanted_where_digests_alone_count() -> None:
    for checksum, good in ((DIGEST, True), ("sha256:ab", False), ("", False), (DIGEST.replace("256", "512"), False)):
        problem = image_problem(Container("python", "3", checksum), (), digests_only=True)
        assert (problem == "") is good
        assert good or "python:3" in problem


def test_the_sentence_says_which_image_and_what_is_allowed() -> None:
    many = tuple(f"p{number}" for number in range(30))
    problem = image_problem(Container("a", "1"), many, digests_only=False)
    assert problem.startswith("The image a:1 is not allowed here; allowed are: p0, p1,")
    assert problem.endswith("p19, ...")
