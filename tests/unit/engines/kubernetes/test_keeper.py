"""The keeper as the process that it is, with this test in the place of the algorithm's container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cove.engines.kubernetes import volume

KEEPER = Path(volume.__file__).with_name("keeper.py")
ORDER = {"log_bytes": 20, "seconds": 60, "grace": 0.2, "disk_bytes": 1 << 20, "umask": 0o077}


@dataclass
class Play:
    """A run's folders, and its keeper."""

    top: Path
    keeper: subprocess.Popen[bytes] | None = None
    _log: int = -1
    _asks: int = -1
    said: list[str] = field(default_factory=list)

    def start(self, **order: Any) -> None:
        for name in ("control", "kept", "scratch/outputs", "scratch/logs"):
            (self.top / name).mkdir(parents=True, exist_ok=True)
        (self.top / "control" / "order.json").write_text(json.dumps(ORDER | order))
        places = [str(self.top / name) for name in ("control", "kept", "scratch")]
        words = [sys.executable, "-I", "-S", KEEPER, *places]
        self.keeper = subprocess.Popen(words, env={"COVE_POD": "a-pod"})

    def begin(self) -> str:
        """Do what the first process does, and give the keeper's answer."""
        pipes = self.top / "scratch" / "pipes"
        while not (pipes / "asks").exists():
            assert self.keeper is not None
            assert self.keeper.poll() is None
        self._log = os.open(pipes / "log", os.O_WRONLY)
        (pipes / "news").write_text("start\n")
        self._asks = os.open(pipes / "asks", os.O_RDONLY)
        return self.asked()

    def asked(self) -> str:
        return os.read(self._asks, 100).decode()

    def write(self, text: str) -> None:
        os.write(self._log, text.encode())

    def end(self, code: int | None) -> dict[str, Any]:
        if code is not None:
            (self.top / "scratch" / "pipes" / "news").write_text(f"end {code}\n")
        os.close(self._log)
        return self.record()

    def record(self) -> dict[str, Any]:
        assert self.keeper is not None
        assert self.keeper.wait(120) == 0
        found: dict[str, Any] = json.loads((self.top / "kept" / "end.json").read_bytes())
        return found


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    made = Play(tmp_path)
    yield made
    if made.keeper is not None and made.keeper.poll() is None:
        made.keeper.kill()
        made.keeper.wait()


def test_a_run_is_kept_from_its_start_to_its_end(play: Play) -> None:
    play.start()
    assert play.begin() == "go\n"
    play.write("hello\n")
    (play.top / "scratch/outputs/a").write_text("b")
    record = play.end(5)
    assert (record["code"], record["ended_by"], record["failure"], record["stuck"]) == (5, "", "", False)
    assert (play.top / "kept/log").read_text() == "hello\n"
    assert (play.top / "kept/outputs/a").read_text() == "b"
    assert json.loads((play.top / "kept/pod").read_text()) == "a-pod"
    assert record["started_at"] == float((play.top / "kept/started").read_text())


def test_the_log_is_capped(play: Play) -> None:
    play.start()
    play.begin()
    play.write("x" * 30)
    play.end(0)
    assert (play.top / "kept/log").read_text() == "x" * 20 + "\n[the log is full: the rest was dropped]\n"


def test_the_wish_to_stop_is_passed_on_and_enforced(play: Play) -> None:
    play.start()
    play.begin()
    (play.top / "control/cancel").write_text("0.1")
    assert play.asked() == "term\n"
    assert play.asked() == "kill\n"
    record = play.end(137)
    assert (record["code"], record["ended_by"]) == (137, "stopped")


def test_the_time_limit_is_the_keepers(play: Play) -> None:
    play.start(seconds=0)
    play.begin()
    assert play.asked() == "term\n"
    assert play.end(0)["ended_by"] == "time_limit"


def test_one_that_does_not_end_is_reported(play: Play) -> None:
    play.start(seconds=0, grace=0)
    play.begin()
    record = play.record()
    assert (record["stuck"], record["code"]) == (True, None)


def test_a_second_keeper_starts_nothing(play: Play) -> None:
    (play.top / "kept/taken").mkdir(parents=True)
    play.start()
    assert play.keeper is not None
    assert play.keeper.wait(120) == 3
    assert (play.top / "scratch/pipes/refused").exists()
    assert not (play.top / "scratch/pipes/asks").exists()


def test_a_run_that_was_given_up_is_not_begun(play: Play) -> None:
    play.start()
    (play.top / "kept").joinpath("x")
    while not (play.top / "kept/taken").exists():
        pass
    while not (play.top / "scratch/pipes/asks").exists():
        pass
    (play.top / "kept/begun").mkdir()
    assert play.begin() == "skip\n"
    assert play.keeper is not None
    assert play.keeper.wait(120) == 0
    assert not (play.top / "kept/end.json").exists()


def test_a_container_that_was_killed_from_outside_leaves_a_record_that_does_not_say_how(play: Play) -> None:
    play.start()
    play.begin()
    record = play.end(None)
    assert (record["code"], volume.says_how(record)) == (None, False)
    assert volume.says_how(record | {"code": 0})


def test_a_pod_that_is_deleted_leaves_no_record(play: Play) -> None:
    play.start()
    play.begin()
    assert play.keeper is not None
    play.keeper.send_signal(signal.SIGTERM)
    assert play.keeper.wait(120) == 143
    assert not (play.top / "kept/end.json").exists()


def test_nothing_but_regular_files_leaves_whatever_mode_it_has(play: Play) -> None:
    play.start(disk_bytes=4)
    play.begin()
    outputs = play.top / "scratch/outputs"
    (outputs / "link").symlink_to("/etc/passwd")
    os.mkfifo(outputs / "fifo")
    (outputs / "closed").mkdir()
    (outputs / "closed/kept").write_text("1234")
    (outputs / "closed/kept").chmod(0)
    (outputs / "closed").chmod(0)
    (outputs / "large").write_text("12345")
    record = play.end(0)
    kept = play.top / "kept/outputs"
    assert sorted(str(place.relative_to(kept)) for place in kept.rglob("*")) == ["closed", "closed/kept"]
    assert (kept / "closed/kept").read_text() == "1234"
    assert sorted(record["left_out"]) == ["'fifo'", "'large'", "'link'"]
