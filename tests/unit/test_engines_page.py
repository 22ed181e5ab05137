"""The page on engines says what the settings are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from cove.engines.docker.config import SETTINGS
from cove.settings import SandboxSettings, Settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "engines.md"


def blocks() -> list[dict[str, Any]]:
    return [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)]


def test_its_settings_are_the_defaults_and_can_be_read() -> None:
    first, second, *others = blocks()
    assert Settings.model_validate(first).environments[0].strict
    assert set(second["sandbox"]) == set(SandboxSettings.model_fields)
    assert Settings.model_validate(second).sandbox == SandboxSettings()
    for block in others:
        assert Settings.model_validate(block).engines


def test_every_setting_of_docker_is_there() -> None:
    section = PAGE.read_text().partition("## Docker and Podman")[2].partition("\n## ")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(SETTINGS)
