"""The runs of unpacked images once more as an ordinary user, where root runs the tests."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.engines.test_other_user import INSIDE, USER, environment, opened, place, pytestmark

__all__ = ["place", "pytestmark"]


def test_runs_of_images_are_the_same_for_an_ordinary_user(place: Path, pytestconfig: pytest.Config) -> None:
    become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
    needed = [folder.resolve() for folder in (Path(sys.base_prefix), Path(sys.prefix), pytestconfig.rootpath)]
    script = f'{opened(needed, place)}\nexec {shlex.join(become)} "$@"'
    start = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", script, "sh"]
    if subprocess.run([*start, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespaces here: run the tests with CAP_SYS_ADMIN")
    suite = str(Path(__file__).with_name("test_image_runs.py"))
    words = [sys.executable, "-m", "pytest", suite, "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    run = subprocess.run(
        [*start, *words, f"--basetemp={place}/base"],
        cwd=pytestconfig.rootpath, env=environment(place), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=200,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed" in run.stdout
    assert "skipped" not in run.stdout
    assert INSIDE not in os.environ
