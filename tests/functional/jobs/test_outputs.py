from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cove.jobs.outputs import cut_tail, survey
from cove.ports import Collected


def _collected(root: Path) -> Collected:
    for name in ("outputs", "logs"):
        (root / name).mkdir()
    (root / "log").write_bytes(b"hello\n")
    return Collected(root / "outputs", root / "logs", root / "log")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    collected = _collected(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("private")
    (collected.outputs / "good.txt").write_bytes(b"good")
    (collected.outputs / "sub").mkdir()
    (collected.outputs / "sub" / "deep.txt").write_bytes(b"deep")
    (collected.outputs / "link").symlink_to(secret)
    (collected.outputs / "folder-link").symlink_to(tmp_path)
    os.mkfifo(collected.outputs / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(collected.outputs / "s"))
        found = {output.path: output for output in survey(collected)}
    assert found["good.txt"].regular
    assert found["good.txt"].sha256 == hashlib.sha256(b"good").hexdigest()
    assert found["sub/deep.txt"].size == 4
    for name in ("link", "folder-link", "fifo", "s"):
        assert not found[name].regular
        assert not found[name].sha256
    assert not [path for path in found if path.startswith("folder-link/")]


def test_a_jobs_file_never_takes_the_place_of_the_captured_log(tmp_path: Path) -> None:
    collected = _collected(tmp_path)
    (collected.logs / "algorithm.log").write_bytes(b"forged")
    (collected.logs / "own.log").write_bytes(b"own")
    found = {output.path: output for output in survey(collected)}
    assert found["algorithm.log"].sha256 == hashlib.sha256(b"hello\n").hexdigest()
    assert found["own.log"].type == "algorithmLog"


def test_very_deep_folders_end_somewhere(tmp_path: Path) -> None:
    collected = _collected(tmp_path)
    folder = os.open(collected.outputs, os.O_RDONLY)
    for _ in range(200):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    assert [output.path for output in survey(collected)] == ["algorithm.log"]


@given(st.text("ab\n\u00fc\U0001f426", max_size=40), st.integers(0, 50))
def test_the_end_of_a_log_is_whole_lines_or_whole_characters(text: str, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log, tail = Path(folder) / "log", Path(folder) / "tail.log"
        log.write_bytes(text.encode())
        cut_tail(log, tail, size)
        kept = tail.read_bytes()
        assert set(Path(folder).iterdir()) == {log, tail}
    assert len(kept) <= size
    assert text.endswith(kept.decode())
    before = text[: len(text) - len(kept.decode())]
    last = text.encode()[-size - 1 :] if size else b""
    assert not before or before.endswith("\n") or b"\n" not in last
    assert size < len(text.encode()) or kept == text.encode()
