from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cove.core.errors import DataMissing
from cove.core.files import LocalFile
from cove.sources.local import LocalRoot, LocalSource


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "private.csv").write_text("private")
    return folder


@pytest.fixture
def source(root: Path) -> LocalSource:
    return LocalSource({"data": LocalRoot(root)})


def refused(source: LocalSource, path: str) -> bool:
    calls: tuple[Callable[[LocalFile], object], ...] = (source.open, source.path, source.fingerprint)
    file = LocalFile("data", path)
    for call in calls:
        with pytest.raises(DataMissing) as caught:
            call(file)
        assert str(caught.value).startswith("The file is not ")
    return not source.info(file).valid


def test_files_and_folders_below_the_root(source: LocalSource, root: Path) -> None:
    assert source.path(LocalFile("data", "below/rows.csv")) == root / "below" / "rows.csv"
    assert source.path(LocalFile("data", "below")) == root / "below"
    assert source.path(LocalFile("data", ".")) == root
    facts = source.info(LocalFile("data", "below/rows.csv"))
    assert (facts.content_length, facts.content_type) == (8, "text/csv")
    folder = source.info(LocalFile("data", "below"))
    assert (folder.valid, folder.content_length, folder.content_type) == (True, None, "inode/directory")


def test_a_folder_is_bound_not_read(source: LocalSource) -> None:
    with pytest.raises(DataMissing, match="folder"):
        source.open(LocalFile("data", "below"))


@pytest.mark.parametrize(
    "path", ["", "..", "../outside/private.csv", "below/../../outside/private.csv", "/etc/passwd", "below//rows.csv",
             "./below", "below/.", "below/", "below/rows.csv/", "below/rows.csv/x", "missing", "a\0b", "x" * 300],
)  # fmt: skip
def test_no_spelling_leaves_the_root(source: LocalSource, path: str) -> None:
    assert refused(source, path)


def test_no_link_is_followed(source: LocalSource, root: Path, tmp_path: Path) -> None:
    (root / "file").symlink_to(tmp_path / "outside" / "private.csv")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "up").symlink_to("..")
    (root / "within").symlink_to("below/rows.csv")
    (root / "proc").symlink_to("/proc/self/root")
    for path in ("file", "folder", "folder/private.csv", "up/outside/private.csv", "within", "proc/etc/passwd"):
        assert refused(source, path)


def test_a_root_may_be_a_link_itself(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    source = LocalSource({"data": LocalRoot(tmp_path / "link")})
    assert source.path(LocalFile("data", "below/rows.csv")) == root / "below" / "rows.csv"


def test_a_fifo_holds_nobody(source: LocalSource, root: Path) -> None:
    os.mkfifo(root / "fifo")
    assert refused(source, "fifo")


def test_unknown_roots_and_roots_that_are_gone(root: Path) -> None:
    source = LocalSource({"gone": LocalRoot(root / "gone"), "file": LocalRoot(root / "below" / "rows.csv")})
    for name in ("data", "gone", "file"):
        with pytest.raises(DataMissing):
            source.open(LocalFile(name, "."))
        assert not source.info(LocalFile(name, ".")).valid


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything: run as another user")
def test_a_file_that_may_not_be_read(source: LocalSource, root: Path) -> None:
    (root / "below" / "rows.csv").chmod(0)
    with pytest.raises(DataMissing, match="may not read"):
        source.open(LocalFile("data", "below/rows.csv"))


def test_a_file_that_shrinks_is_an_error_and_one_that_grows_is_cut(source: LocalSource, root: Path) -> None:
    place = root / "below" / "rows.csv"
    buffer = memoryview(bytearray(100))
    with contextlib.closing(source.open(LocalFile("data", "below/rows.csv"))) as reader:
        with place.open("a") as file:
            file.write("more")
        assert reader.readinto(buffer) == 8
        assert reader.readinto(buffer) == 0
    with contextlib.closing(source.open(LocalFile("data", "below/rows.csv"))) as reader:
        os.truncate(place, 0)
        with pytest.raises(DataMissing, match="shorter"):
            reader.readinto(buffer)


def test_a_folders_fingerprint_sees_what_is_added(source: LocalSource, root: Path) -> None:
    file = LocalFile("data", "below")
    before = source.fingerprint(file)
    (root / "below" / "new").touch()
    assert source.fingerprint(file) != before


def test_no_descriptor_is_left(source: LocalSource, root: Path) -> None:
    os.mkfifo(root / "fifo")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    for path in ("below/rows.csv", "below", "missing/x", "fifo", "below/rows.csv/x"):
        source.info(LocalFile("data", path))
        with contextlib.suppress(DataMissing):
            source.open(LocalFile("data", path)).close()
        with contextlib.suppress(DataMissing):
            source.path(LocalFile("data", path))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.sampled_from(["..", ".", "", "below", "link", "rows.csv", "outside", "private.csv"]), max_size=6))
def test_whatever_is_found_is_below_the_root(root: Path, source: LocalSource, names: list[str]) -> None:
    with contextlib.suppress(FileExistsError):
        (root / "link").symlink_to("..")
    try:
        place = source.path(LocalFile("data", "/".join(names)))
    except DataMissing:
        return
    assert place is not None
    assert place.resolve().is_relative_to(root)
