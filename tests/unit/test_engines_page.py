"""The page on engines says what the settings are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from cove.settings import SandboxSettings, Settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "engines.md"


def test_its_settings_are_the_defaults_and_can_be_read() -> None:
    blocks = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)]
    first, second, third = blocks
    assert Settings.model_validate(third).engines["kubernetes"].kind == ""
    assert Settings.model_validate(first).environments[0].strict
    assert set(second["sandbox"]) == set(SandboxSettings.model_fields)
    assert Settings.model_validate(second).sandbox == SandboxSettings()
