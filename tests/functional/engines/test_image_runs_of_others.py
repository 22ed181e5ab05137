"""The runs of unpacked images once more as an ordinary user, where root runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.another_user import ROOT_MAY, become, folder_of_another, passes

pytestmark = ROOT_MAY


def test_runs_of_images_are_the_same_for_an_ordinary_user(pytestconfig: pytest.Config) -> None:
    root = pytestconfig.rootpath
    with folder_of_another() as place:
        passes(become(place, root), [Path(__file__).with_name("test_image_runs.py")], place, root, least=16)
