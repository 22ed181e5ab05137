"""What is left of a cluster that was killed is not taken for one."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.support import kubernetes as kube

PARTS = ("etcd", "apiserver", "manager", "scheduler", "containerd", "registry")


def note(state: Path, part: str, pid: int, birth: str | None = None) -> None:
    """Write what cluster.sh writes of a process that it started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    (state / "pid" / part).write_text(f"{pid} {birth or fields[19]}\n")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a cluster all of whose parts run: this process stands for each."""
    monkeypatch.setenv("COVE_KUBE_STATE", str(tmp_path))
    (tmp_path / "pid").mkdir()
    (tmp_path / "furnished").touch()
    for part in PARTS:
        note(tmp_path, part, os.getpid())
    return tmp_path


def test_a_cluster_whose_parts_run_is_found(state: Path) -> None:
    assert kube.found() == kube.TestCluster(state)


def test_one_that_was_not_furnished_to_the_end_is_not(state: Path) -> None:
    (state / "furnished").unlink()
    assert kube.found() is None


@pytest.mark.parametrize("part", PARTS)
def test_one_with_a_part_that_was_killed_is_not(state: Path, part: str) -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeping:
        note(state, part, sleeping.pid)
        assert kube.found() is not None
        os.kill(sleeping.pid, signal.SIGKILL)
        os.waitid(os.P_PID, sleeping.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the list of processes
        assert kube.found() is None
    assert kube.found() is None


def test_another_process_with_the_number_of_a_part_is_no_part(state: Path) -> None:
    note(state, "containerd", os.getpid(), birth="1")
    assert kube.found() is None


def test_one_whose_parts_were_never_started_is_not(state: Path) -> None:
    (state / "pid" / "registry").unlink()
    assert kube.found() is None
    (state / "pid" / "registry").write_text("")
    assert kube.found() is None
