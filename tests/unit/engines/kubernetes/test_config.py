"""The engine's table in the settings: each mistake gets one clear sentence."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from cove.core.errors import SettingsWrong
from cove.engines.kubernetes.config import is_static, read_config

GOOD: dict[str, Any] = {"claim": "runs", "folder": "/runs", "keeper_image": "cove:1"}


def test_three_settings_are_enough() -> None:
    config = read_config("cluster", GOOD)
    assert (config.claim, config.folder, config.scratch) == ("runs", Path("/runs"), "memory")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"claim": None}, "engines.cluster.claim is missing."),
        ({"folder": None}, "engines.cluster.folder is missing."),
        ({"keeper_image": None}, "engines.cluster.keeper_image is missing."),
        ({"clam": "x"}, "engines.cluster.clam is not a setting of the kubernetes engine."),
        ({"claim": "Not A Name"}, "engines.cluster.claim"),
        ({"folder": "runs"}, "engines.cluster.folder must be an absolute path."),
        ({"sub_path": "a/../b"}, "engines.cluster.sub_path must be a path within the claim"),
        ({"scratch": "tape"}, "engines.cluster.scratch: Input should be 'memory' or 'disk'."),
        ({"tolerations": [{"key": "a", "effect": "Never"}]}, "engines.cluster.tolerations.0.effect"),
        ({"pending_seconds": 0}, "engines.cluster.pending_seconds"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], said: str) -> None:
    options = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(SettingsWrong) as problem:
        read_config("cluster", options)
    assert problem.value.message.startswith(said)


def test_a_program_that_needs_libraries_is_not_static(tmp_path: Path) -> None:
    assert not is_static(Path(sys.executable).resolve())
    assert not is_static(tmp_path / "missing")
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert not is_static(tmp_path / "script")


@pytest.mark.skipif(shutil.which("ldconfig") is None, reason="needs a static program: install libc-bin")
def test_one_that_needs_none_is(tmp_path: Path) -> None:
    assert is_static(Path(shutil.which("ldconfig") or ""))
