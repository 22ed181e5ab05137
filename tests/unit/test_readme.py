"""What the README shows must be true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from cove.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_the_settings_that_it_shows_can_be_used() -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    settings = Settings(**tomllib.loads(shown))
    assert [chain.id for chain in settings.chains] == [137]
    assert settings.environments[0].memory == 4 << 30
    assert set(settings.images) == {"python:3.11"}


def test_the_files_that_it_names_are_there() -> None:
    root = Path(__file__).parents[2]
    for name in re.findall(r"\]\(([^)#]+)\)", README):
        assert name.startswith("http") or (root / name).exists(), name
