from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import ImageRefused
from cove.core.image_names import find, names_its_registry, parse_reference
from cove.core.job import Container

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "tag", "full"),
    [
        ("python", "3.11", "docker.io/library/python:3.11"),
        ("python:3.9", "", "docker.io/library/python:3.9"),
        ("python:3.9", "3.11", "docker.io/library/python:3.11"),
        ("acme/tool", "", "docker.io/acme/tool:latest"),
        ("index.docker.io/acme/tool", "1", "docker.io/acme/tool:1"),
        ("ghcr.io/a/b/c", "v1", "ghcr.io/a/b/c:v1"),
        ("localhost/a", "1", "localhost/a:1"),
        ("registry.example:5000/a", "1", "registry.example:5000/a:1"),
        ("registry.example:5000/a:2", "", "registry.example:5000/a:2"),
        (f"ghcr.io/a/b@{DIGEST}", "", f"ghcr.io/a/b@{DIGEST}"),
        (f"a/b:1@{DIGEST}", "", f"docker.io/a/b:1@{DIGEST}"),
        ("GHCR.io/a/b", "1", "ghcr.io/a/b:1"),
    ],
)
def test_names_are_read_as_registries_write_them(image: str, tag: str, full: str) -> None:
    assert str(parse_reference(image, tag)) == full


@pytest.mark.parametrize(
    "image",
    ["", "Acme/Tool", "a//b", "a/../b", "a:", "a@sha256:1", "-x.io/a", "x.io:99999999/a", "a b", "x.io/", "a:b:c"],
)
def test_what_is_no_name_is_refused(image: str) -> None:
    with pytest.raises(ImageRefused):
        parse_reference(image)


@given(st.text(max_size=60), st.text(max_size=10))
def test_any_text_is_a_name_or_refused(image: str, tag: str) -> None:
    try:
        reference = parse_reference(image, tag)
    except ImageRefused:
        return
    assert ".." not in reference.repository.split("/")
    assert parse_reference(str(reference)) == reference


def test_the_exact_name_wins_over_spellings_and_patterns() -> None:
    table = {"docker.io/*": "any", "docker.io/library/python:3.11": "full", "python": "short"}
    assert find(table, Container("python", "3.11")) == "short"
    assert find(table, Container("docker.io/library/python", "3.11")) == "full"
    assert find(table, Container("acme/tool", "1")) == "any"
    assert find(table, Container("ghcr.io/acme/tool", "1")) is None
    assert find(table, Container("NO/NAME", "1")) is None


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("docker.io/acme/*", "acme/a/b", "other/a"),
        ("acme/*:1.*", "docker.io/acme/tool:1.2", "acme/tool:2.0"),
        ("ghcr.io/acme/*", "ghcr.io/acme/x", "ghcr.io/acmex/x"),
        ("python:3.1?", "docker.io/library/python:3.11", "python:3.9"),
    ],
)
def test_patterns_count_for_every_spelling(pattern: str, fits: str, fits_not: str) -> None:
    assert find({pattern: True}, Container(fits)) is True
    assert find({pattern: True}, Container(fits_not)) is None


@pytest.mark.parametrize(
    ("pattern", "is_clear"),
    [("docker.io/*", True), ("*", False), ("*/x", False), ("gh*.io/x", False), ("[a]x", False), ("acme/*", True)],
)
def test_a_pattern_says_which_registry_it_is_about(pattern: str, *, is_clear: bool) -> None:
    assert names_its_registry(pattern) is is_clear
