"""A service is killed with SIGKILL at every step of sending a job's results."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.functional.crash.test_crash import PATIENCE, ROOT
from tests.support.storage import storing

#: As many as there are results: two logs, three outputs, a receipt.
SENT = 6


def test_each_result_is_sent_whole_however_often_the_service_is_killed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)  # runs of another user read what lies below
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table").write_text("1")
    points = [
        f"{call}:{number}:{when}" for call in ("send", "save") for number in (1, 2) for when in ("before", "after")
    ]
    with storing() as storage:
        words = [sys.executable, "-m", "tests.functional.crash.carrier", str(tmp_path), storage.url]
        with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as services:
            codes = [run(services, point) for point in [*points, "none"]]
            assert services.stdin is not None
            services.stdin.close()
            services.wait(PATIENCE)
    assert codes == [-signal.SIGKILL] * len(points) + [0]
    job_id = (tmp_path / "job").read_text()
    below = f"/box/{job_id}-1"
    assert {storage.files[f"{below}/outputs/{name}"].decode() for name in "abc"} == set("abc")
    assert len(storage.files) == SENT
    again = len(storage.asked) - SENT
    # A file is sent again only where the service was killed between its arrival and the note of it.
    assert again == len([point for point in points if point.startswith("send") and point.endswith("after")]) + 2


def run(services: subprocess.Popen[str], point: str) -> int:
    assert services.stdin is not None
    assert services.stdout is not None
    services.stdin.write(f"{point}\n")
    services.stdin.flush()
    if not select.select([services.stdout], [], [], PATIENCE)[0]:
        services.kill()
        pytest.fail(f"the service that was to die at {point} goes on and on")
    return int(services.stdout.readline())
