"""The suite once more as other users than root, where root runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.another_user import ROOT_MAY, become, folder_of_another, passes

HERE = Path(__file__).parent
ATTACKS = {f"test_attacks{part}.py": at_least for part, at_least in {
    "": 8, "_excess": 5, "_kernel": 5, "_telling": 5, "_outside": 6,
}.items()}  # fmt: skip
#: Each module, and how many of its tests must have passed.
SUITE = {
    "test_engine.py": 18,
    "test_engine_keeping.py": 10,
    "test_container.py": 15,
    "test_container_ends.py": 8,
} | ATTACKS

#: One after the other: they are one user to the host, who has some things once.
pytestmark = [*ROOT_MAY, pytest.mark.xdist_group("another user")]


@pytest.fixture
def place() -> Iterator[Path]:
    with folder_of_another() as folder:
        yield folder


@pytest.mark.parametrize("module", SUITE)
def test_the_suite_passes_as_an_ordinary_user(module: str, place: Path, pytestconfig: pytest.Config) -> None:
    root = pytestconfig.rootpath
    passes(become(place, root), [HERE / module], place, root, SUITE[module])


@pytest.mark.parametrize("module", ATTACKS)
def test_attacks_fail_as_root_by_another_name(module: str, place: Path, pytestconfig: pytest.Config) -> None:
    """In a user namespace of one user: to the host it is still root, so whatever escapes owns everything."""
    os.chown(place, 0, 0)
    words = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    passes(words, [HERE / module], place, pytestconfig.rootpath, SUITE[module])
