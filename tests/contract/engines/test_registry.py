"""The registry of engines: every kind has this suite, and other packages add theirs by an entry point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cove.core.errors import SettingsWrong
from cove.engines import ENGINES, opener
from cove.ports import EnginePlace

PACKAGE = """
class Engine:
    def __init__(self, place):
        self.place = place

def broken(place):
    raise AssertionError
"""


def test_every_engine_is_set_up_by_this_suite(kinds: frozenset[str]) -> None:
    assert set(ENGINES) == kinds


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with engines of its own: one works, one cannot be loaded, one takes a name of Cove's."""
    (tmp_path / "other_engines.py").write_text(PACKAGE)
    about = tmp_path / "other_engines-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-engines\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[cove.engines]\nmoon = other_engines:Engine\nsandbox = other_engines:broken\nlost = other_engines:nowhere\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "other_engines", raising=False)


def test_an_engine_of_another_package_is_found(other_package: None, tmp_path: Path) -> None:
    place = EnginePlace("moon", tmp_path)
    made = opener("moon")(place)
    assert type(made).__module__ == "other_engines"
    assert vars(made) == {"place": place}


def test_an_engine_of_coves_own_is_never_replaced(other_package: None) -> None:
    assert opener("sandbox").__module__ == "cove.engines.sandbox"


@pytest.mark.parametrize(("kind", "said"), [("lost", "cannot be loaded"), ("sun", "there are: .*moon.*sandbox")])
def test_one_that_is_not_there_is_the_owners_mistake(other_package: None, kind: str, said: str) -> None:
    with pytest.raises(SettingsWrong, match=said):
        opener(kind)
