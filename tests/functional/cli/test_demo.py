"""The first thing a stranger runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_demo_does_the_whole_job_and_leaves_nothing(tmp_path: Path) -> None:
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("cove")), "demo"],
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin", "COLUMNS": "120"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "70 Job completed" in ended.stdout
    assert "mean systolic pressure of 10000 patients: 130.081" in ended.stdout
    assert "statistics.json" in ended.stdout
    assert list(tmp_path.iterdir()) == []
