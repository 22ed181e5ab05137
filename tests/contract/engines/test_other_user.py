"""The suite once more as other users than root, where root runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.another_user import ROOT_MAY, become, folder_of_another, passes

HERE = Path(__file__).parent
SUITE = ("test_engine.py", "test_container.py", "test_attacks.py", "test_attacks_outside.py")

pytestmark = ROOT_MAY


@pytest.fixture
def place() -> Iterator[Path]:
    with folder_of_another() as folder:
        yield folder


def test_the_suite_passes_as_an_ordinary_user(place: Path, pytestconfig: pytest.Config) -> None:
    root = pytestconfig.rootpath
    passes(become(place, root), [HERE / name for name in SUITE], place, root)


def test_attacks_fail_as_root_by_another_name(place: Path, pytestconfig: pytest.Config) -> None:
    """In a user namespace of one user: to the host it is still root, so whatever escapes owns everything."""
    os.chown(place, 0, 0)
    words = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    passes(words, [HERE / "test_attacks.py", HERE / "test_attacks_outside.py"], place, pytestconfig.rootpath)
