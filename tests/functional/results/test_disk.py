"""Results on a real disk: what is hostile, what is full, what was killed."""

# ruff: noqa: ASYNC240 - nothing else waits for a test's own event loop

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.outputs import released, written

from cove.core.errors import StaleWrite, Unavailable
from cove.core.job import JobId
from cove.results import DiskResults

JOB = JobId("ab" * 16)
CONTENT = b"content" * 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(root: Path) -> DiskResults:
    return DiskResults(root)


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if not path.is_dir()]


async def test_a_file_on_the_same_disk_is_taken_without_copying(store: DiskResults, tmp_path: Path, root: Path) -> None:
    source = written(tmp_path / "source", CONTENT)
    number = source.stat().st_ino
    key = store.put(JOB, 1, released("a", CONTENT), lambda: source)
    assert (root / key).stat().st_ino == number
    assert not source.exists()


async def test_names_and_content_are_flushed_once_each(
    store: DiskResults, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    flush = os.fsync

    def seen(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    sources = [written(tmp_path / f"source{number}", CONTENT) for number in range(3)]
    for source in sources:
        store.put(JOB, 1, released(source.name, CONTENT), lambda source=source: source)  # type: ignore[misc]
    assert flushed == sources
    store.settle(JOB)
    assert flushed[3:] == [root / JOB, root, root.parent]


async def test_there_may_be_nothing_to_settle(store: DiskResults, root: Path) -> None:
    store.settle(JOB)
    assert not root.exists()


async def test_only_the_service_may_read_what_is_kept(store: DiskResults, tmp_path: Path, root: Path) -> None:
    source = written(tmp_path / "source", CONTENT)
    source.chmod(0o666)
    key = store.put(JOB, 1, released("a", CONTENT), lambda: source)
    assert (root / key).stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in (root, root / JOB)} == {0o700}


async def test_a_file_with_a_second_name_is_copied(store: DiskResults, tmp_path: Path, root: Path) -> None:
    source = written(tmp_path / "source", CONTENT)
    (tmp_path / "second").hardlink_to(source)
    key = store.put(JOB, 1, released("a", CONTENT), lambda: source)
    (tmp_path / "second").write_bytes(b"changed")
    assert (root / key).read_bytes() == CONTENT


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second file system at /dev/shm")  # noqa: S108
async def test_a_file_of_another_disk_is_copied(store: DiskResults, root: Path) -> None:
    place = Path("/dev/shm") / f"cove-test-{os.getpid()}"  # noqa: S108 - another file system is wanted
    content = os.urandom(3_000_000)
    try:
        written(place, content)
        key = store.put(JOB, 1, released("a", content), lambda: place)
        assert (root / key).read_bytes() == content
        written(place, content[:-1] + b"?")
        with pytest.raises(StaleWrite):
            store.put(JOB, 1, released("b", content), lambda: place)
    finally:
        place.unlink(missing_ok=True)
    assert files(root) == [root / key]


async def test_what_took_the_files_place_is_not_followed(store: DiskResults, tmp_path: Path, root: Path) -> None:
    secret = written(tmp_path / "secret", CONTENT)
    link = tmp_path / "link"
    link.symlink_to(secret)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    folder = tmp_path / "folder"
    folder.mkdir()
    for place in (link, pipe, folder, Path("/dev/zero"), tmp_path / "missing", secret / "below"):
        with pytest.raises(StaleWrite):
            store.put(JOB, 1, released("a", CONTENT), lambda place=place: place)
    assert secret.read_bytes() == CONTENT
    assert list(root.iterdir()) == []


async def test_a_stored_file_that_became_a_link_is_not_followed(store: DiskResults, tmp_path: Path, root: Path) -> None:
    key = store.put(JOB, 1, released("a", CONTENT), lambda: written(tmp_path / "source", CONTENT))
    (root / key).unlink()
    (root / key).symlink_to("/etc/passwd")
    with pytest.raises(Unavailable):
        [chunk async for chunk in store.read(key, 0, 9)]


async def test_what_a_killed_service_left_half_is_put_again(store: DiskResults, tmp_path: Path, root: Path) -> None:
    key = store.put(JOB, 1, released("a", CONTENT), lambda: written(tmp_path / "source", CONTENT))
    (root / key).write_bytes(CONTENT[:10])
    store.put(JOB, 1, released("a", CONTENT), lambda: written(tmp_path / "source", CONTENT))
    assert (root / key).read_bytes() == CONTENT


async def test_a_reader_that_goes_away_leaves_no_descriptor(store: DiskResults, tmp_path: Path) -> None:
    content = bytes(3 << 20)
    key = store.put(JOB, 1, released("a", content), lambda: written(tmp_path / "source", content))
    before = len(list(Path("/proc/self/fd").iterdir()))
    reading = store.read(key, 0, len(content))
    await anext(reading)
    await reading.aclose()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_deleted_file_is_read_to_its_end_by_who_began(store: DiskResults, tmp_path: Path) -> None:
    content = os.urandom(2 << 20)
    key = store.put(JOB, 1, released("a", content), lambda: written(tmp_path / "source", content))
    reading = store.read(key, 0, len(content))
    parts = [await anext(reading)]
    await store.delete(JOB)
    parts += [chunk async for chunk in reading]
    assert b"".join(parts) == content


async def test_an_open_file_can_be_sent_by_its_descriptor(store: DiskResults, tmp_path: Path) -> None:
    key = store.put(JOB, 1, released("a", CONTENT), lambda: written(tmp_path / "source", CONTENT))
    with store.open_file(key) as file, (tmp_path / "sent").open("wb") as sent:
        assert os.sendfile(sent.fileno(), file.fileno(), 0, len(CONTENT)) == len(CONTENT)
    assert (tmp_path / "sent").read_bytes() == CONTENT


@pytest.mark.parametrize("job", ["", "..", ".", "a/b", "../x", "a\0", "-", "x" * 65])
async def test_an_odd_id_of_a_job_makes_no_folder(store: DiskResults, tmp_path: Path, job: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        store.put(JobId(job), 1, released("a", b""), lambda: tmp_path)
    await store.delete(JobId(job))


async def test_a_root_that_is_no_folder_is_told(tmp_path: Path) -> None:
    store = DiskResults(written(tmp_path / "file", b"") / "results")
    source = written(tmp_path / "source", CONTENT)
    with pytest.raises(Unavailable, match="file/results cannot be used"):
        store.put(JOB, 1, released("a", CONTENT), lambda: source)
    assert source.read_bytes() == CONTENT
    assert [(finding.part, finding.ok) for finding in await store.examine()] == [("results", False)]


async def test_a_root_that_others_may_read_is_found(store: DiskResults, root: Path) -> None:
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    advice = [finding.advice for finding in await store.examine()]
    assert f"chmod 700 {root}" in advice
    assert list(root.iterdir()) == []


ON_A_SMALL_DISK = """
import asyncio, os, subprocess, sys
from pathlib import Path
from cove.core.errors import NoSpace
from cove.core.job import JobId
from cove.results import DiskResults
from tests.support.outputs import released, written

async def main():
    small, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=True)
    store = DiskResults(small / "results")
    first = os.urandom(300_000)
    key = store.put(JobId("a" * 32), 1, released("a", first), lambda: written(elsewhere / "1", first))
    large = os.urandom(2_000_000)
    source = written(elsewhere / "2", large)
    try:
        store.put(JobId("b" * 32), 1, released("a", large), lambda: source)
    except NoSpace as problem:
        assert str(small) in problem.message and problem.hint
    else:
        raise AssertionError("it fitted")
    assert source.read_bytes() == large
    assert list(await store.jobs()) == ["a" * 32]
    assert [path.name for path in small.rglob("*") if path.is_file()] == [key.rpartition("/")[2]]
    assert b"".join([chunk async for chunk in store.read(key, 0, 300_000)]) == first
    assert [finding.ok for finding in await store.examine()] == [False]
    print("looked")

asyncio.run(main())
"""


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(trial, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="needs unprivileged user namespaces to mount a small disk (util-linux)")
def test_a_full_disk_is_told_and_nothing_half_is_left(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", ON_A_SMALL_DISK]
    done = subprocess.run(
        [*command, tmp_path / "small", tmp_path / "elsewhere"], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "looked\n", "")
