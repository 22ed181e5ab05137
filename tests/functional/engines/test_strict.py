"""A strict environment: ``cove serve`` as a process starts only where the machine enforces every limit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.another_user import USER, become, folder_of_another
from tests.support.programs import COVE, cove, running

LISTENING = r"^Cove is listening on (http://127\.0\.0\.1:(\d+))$"
SETTINGS = """state_dir = "state"
key_file = "provider.key"
[listen]
port = 0
[[environments]]
id = "hard"
strict = {strict}
"""


def prepare(folder: Path, *, strict: bool) -> None:
    assert cove("keygen", folder / "provider.key").returncode == 0
    (folder / "cove.toml").write_text(SETTINGS.format(strict=str(strict).lower()))


def as_another(folder: Path, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    for place in (folder / "provider.key", folder / "cove.toml"):
        os.chown(place, USER, USER)
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [*become(folder, root, f"cd {folder}"), str(COVE), *arguments]
    return subprocess.run(words, env=variables, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become a user without cgroups: run the tests as root")
def test_a_machine_that_cannot_enforce_a_limit_does_not_start(pytestconfig: pytest.Config) -> None:
    with folder_of_another() as folder:
        prepare(folder, strict=True)
        ended = as_another(folder, pytestconfig.rootpath, "serve")
        told = as_another(folder, pytestconfig.rootpath, "doctor")
    assert (ended.returncode, ended.stdout) == (2, "")
    first, *others = ended.stderr.splitlines()
    assert first == (
        "Error: Environment hard is strict, and its engine sandbox cannot enforce here: memory (rlimit per process), cpu (none)."
    )
    advice = " ".join(others)
    assert "memory: " in advice
    assert "cpu: " in advice
    assert "strict = false" in advice
    assert "Traceback" not in ended.stderr
    assert "Environment hard is strict" in told.stdout
    assert "no cgroup memory" in told.stdout  # and the rest is looked at all the same


def test_a_machine_that_enforces_everything_starts(tmp_path: Path) -> None:
    prepare(tmp_path, strict=True)
    if "no cgroup" in cove("doctor", cwd=tmp_path).stdout:
        pytest.skip("this machine cannot enforce every limit for this user: run the tests as root with cgroups")
    with running("serve", cwd=tmp_path) as service:
        assert service.line(LISTENING)
