"""Results that are kept for good: once on disk where that can be, and never other bytes than were released."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from cove.core.errors import NotFound, StaleWrite
from cove.core.job import JobId, Verdict
from cove.core.policy import RawOutput, release
from cove.results import DiskResults
from cove.results.published import PublishedResults

NFT = "0x" + "ab" * 20
CONTENT = b"rows" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def results(tmp_path: Path) -> DiskResults:
    return DiskResults(tmp_path / "results")


def stored(results: DiskResults, folder: Path) -> str:
    raw = RawOutput("a/b", "output", len(CONTENT), DIGEST)
    output = release(raw, [Verdict(raw.path, raw.type, raw.size, raw.sha256, released=True)])
    assert output is not None
    (folder / "source").write_bytes(CONTENT)
    return results.put(JobId("j1"), 1, output, lambda: folder / "source")


async def test_they_outlive_the_job_and_are_stored_once(results: DiskResults, tmp_path: Path) -> None:
    key = stored(results, tmp_path)
    kept = PublishedResults(tmp_path / "published", results.open_file)
    for _ in range(2):
        kept.keep(NFT, 0, key, len(CONTENT), DIGEST)
    place = tmp_path / "published" / NFT / "0"
    assert place.samefile(tmp_path / "results" / key)
    await results.delete(JobId("j1"))
    assert place.read_bytes() == CONTENT
    assert (tmp_path / "published").stat().st_mode & 0o077 == 0
    kept.keep(NFT, 0, key, len(CONTENT), DIGEST)  # is there, though the job's is gone
    with pytest.raises(NotFound):
        kept.keep(NFT, 1, key, len(CONTENT), DIGEST)


async def test_they_are_copied_where_the_file_system_wants_that(
    results: DiskResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, "another file system")

    key = stored(results, tmp_path)
    monkeypatch.setattr(os, "link", refuse)
    PublishedResults(tmp_path / "published", results.open_file).keep(NFT, 7, key, len(CONTENT), DIGEST)
    place = tmp_path / "published" / NFT / "7"
    assert place.read_bytes() == CONTENT
    assert not place.samefile(tmp_path / "results" / key)


@pytest.mark.parametrize("linked", [True, False])
async def test_other_bytes_are_kept_under_no_name(
    results: DiskResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, linked: bool
) -> None:
    key = stored(results, tmp_path)
    if not linked:
        monkeypatch.setattr("cove.results.published._NO_LINK", frozenset(range(200)))
        monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(OSError(1, "no")))
    with pytest.raises(StaleWrite):
        PublishedResults(tmp_path / "published", results.open_file).keep(NFT, 0, key, len(CONTENT), "0" * 64)
    assert list((tmp_path / "published" / NFT).iterdir()) == []


def test_no_other_folder_is_written(results: DiskResults, tmp_path: Path) -> None:
    kept = PublishedResults(tmp_path / "published", results.open_file)
    for wrong in ("..", NFT.upper(), "0x12"):
        with pytest.raises(ValueError, match="address"):
            kept.keep(wrong, 0, "x", 1, DIGEST)
