"""Hostile layers: nothing outside of the target folder is ever read, written or removed."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.images import an_entry, tar_of

from cove.core.errors import ImageRefused
from cove.images.layers import unpack
from cove.images.tree import Tree

FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def unpacked(root: Path, *layers: bytes, most: int = 1000) -> None:
    root.mkdir(exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY)
    tree = Tree(descriptor, most)
    try:
        for layer in layers:
            unpack(iter([layer[start : start + 700] for start in range(0, len(layer), 700)]), tree)
    finally:
        tree.close()
        os.close(descriptor)


def seen(root: Path) -> dict[str, str]:
    """Give every entry: the text of files, ``-> target`` of links, ``/`` of folders."""
    found = {}
    for top, folders, files in os.walk(root):
        for name in (*folders, *files):
            place = Path(top, name)
            text = f"-> {place.readlink()}" if place.is_symlink() else "/" if place.is_dir() else place.read_text()
            found[str(place.relative_to(root))] = text
    return found


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    yield folder
    assert seen(folder) == {"precious": "mine"}


@pytest.mark.parametrize(
    ("entries", "made"),
    [
        ([("/etc/x", b"1")], {"etc": "/", "etc/x": "1"}),
        ([an_entry("a", LINK, "{outside}"), ("a/precious", b"no")], None),
        ([an_entry("a", LINK, "../../outside"), ("a/new", b"no")], None),
        ([an_entry("a", LINK, "/b"), an_entry("b", FOLDER), ("a/new", b"1")], {"a": "-> /b", "b": "/", "b/new": "1"}),
        ([an_entry("l", LINK, "{outside}/precious"), ("l", b"1")], {"l": "1"}),
        (
            [an_entry("l", LINK, "{outside}"), an_entry("l", FOLDER), ("l/precious", b"1")],
            {"l": "/", "l/precious": "1"},
        ),
        ([an_entry("l", LINK, "{outside}"), (".wh.l", b"")], {"l": "-> {outside}"}),
        ([("a", b"1"), an_entry("b", HARD, "a")], {"a": "1", "b": "1"}),
        ([("a", b"1"), ("a", b"2"), ("a", b"3")], {"a": "3"}),
        ([("d/x", b"1"), ("d", b"2")], {"d": "2"}),
        ([an_entry("dev/sda", tarfile.BLKTYPE), an_entry("p", tarfile.FIFOTYPE), ("x", b"1")], {"x": "1"}),
        ([an_entry("a", LINK, "b"), an_entry("c", HARD, "a")], {"a": "-> b", "c": "-> b"}),
    ],
)
def test_entries_stay_inside(
    tmp_path: Path, outside: Path, entries: list[tarfile.TarInfo], made: dict[str, str] | None
) -> None:
    for entry in entries:
        if isinstance(entry, tarfile.TarInfo):
            entry.linkname = entry.linkname.replace("{outside}", str(outside))
    unpacked(tmp_path / "root", tar_of(entries))
    if made is not None:
        expected = {name: text.replace("{outside}", str(outside)) for name, text in made.items()}
        assert seen(tmp_path / "root") == expected
    assert not any(stat.S_ISBLK(place.lstat().st_mode) for place in (tmp_path / "root").rglob("*"))


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([("../precious", b"no")], "leads out"),
        ([("a/../../precious", b"no")], "leads out"),
        ([an_entry("b", HARD, "../outside/precious")], "leads out"),
        ([an_entry("b", HARD, "/outside/precious")], "hard link"),
        ([an_entry("l", LINK, "../outside"), an_entry("b", HARD, "l/precious")], "hard link"),
        ([an_entry("d", FOLDER), an_entry("b", HARD, "d")], "hard link"),
        ([("f", b""), ("f/x", b"")], "below something that is no folder"),
        ([an_entry("a", LINK, "b"), an_entry("b", LINK, "a"), ("a/x", b"")], "in a circle"),
        ([(".wh...", b"")], "leads out"),
        ([an_entry("a", LINK, "")], "no name"),
        ([("x" * 300, b"")], "no file system's"),
        ([an_entry("s", b"S", size=0)], "holes"),
        ([an_entry("s", FILE, pax_headers={"GNU.sparse.major": "1"})], "holes"),
    ],
)
def test_what_would_lead_out_is_refused(
    tmp_path: Path, outside: Path, entries: list[tarfile.TarInfo], sentence: str
) -> None:
    with pytest.raises(ImageRefused, match=sentence):
        unpacked(tmp_path / "root", tar_of(entries))


def test_whiteouts_take_away_what_is_below_and_nothing_of_their_own_layer(tmp_path: Path, outside: Path) -> None:
    below = tar_of([("a/old", b"1"), ("a/sub/x", b"1"), ("b", b"1"), ("c/x", b"1"), an_entry("o", LINK, str(outside))])
    above = tar_of([
        ("a/new", b"2"), ("a/sub/y", b"2"), ("a/.wh..wh..opq", b""), (".wh.b", b""), ("c/.wh.x", b""), (".wh.o", b""),
        ("o/.wh.precious", b""), (".wh.never", b""), ("n/.wh.x", b""),
    ])  # fmt: skip
    unpacked(tmp_path / "root", below, above)
    assert seen(tmp_path / "root") == {"a": "/", "a/new": "2", "a/sub": "/", "a/sub/y": "2", "c": "/"}


def test_a_whiteout_through_a_link_stays_inside(tmp_path: Path, outside: Path) -> None:
    below = tar_of([an_entry("o", LINK, str(outside)), an_entry("p", LINK, "../outside")])
    unpacked(tmp_path / "root", below, tar_of([("o/.wh.precious", b""), ("p/.wh..wh..opq", b"")]))
    assert seen(tmp_path / "root") == {"o": f"-> {outside}", "p": "-> ../outside"}


def test_permissions_are_safe_and_times_are_kept(tmp_path: Path) -> None:
    entries = [
        an_entry("s", FILE, mode=0o6755, mtime=12345, uid=7, gid=8), an_entry("h", FILE, mode=0o000, uname="root"),
        an_entry("d", FOLDER, mode=0o1700), an_entry("x", FILE, mode=0o500), an_entry("t", FILE, mtime=1.75),
    ]  # fmt: skip
    unpacked(tmp_path / "root", tar_of(entries))
    modes = {place.name: stat.S_IMODE(place.stat().st_mode) for place in (tmp_path / "root").iterdir()}
    assert modes == {"s": 0o755, "h": 0o644, "d": 0o755, "x": 0o755, "t": 0o644}
    assert (tmp_path / "root/s").stat().st_mtime == 12345
    assert (tmp_path / "root/s").stat().st_uid == os.getuid()


@pytest.mark.parametrize("style", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_are_read_in_both_forms(tmp_path: Path, style: int) -> None:
    made = io.BytesIO()
    name = "/".join(["d" * 90] * 4)
    with tarfile.open(fileobj=made, mode="w", format=style) as tar:
        tar.addfile(an_entry(f"{name}/ü", FILE))
        tar.addfile(an_entry("l", LINK, f"{name}/ü"))
    unpacked(tmp_path / "root", made.getvalue())
    assert (tmp_path / "root" / "l").read_bytes() == b""


@pytest.mark.parametrize("cut", [1, 511, 513, 1023, 1500])
def test_a_tar_that_ends_too_early_is_refused(tmp_path: Path, cut: int) -> None:
    with pytest.raises(ImageRefused, match="damaged"):
        unpacked(tmp_path / "root", tar_of([("a", b"x" * 1000)])[:cut])


def test_a_header_before_an_entry_may_not_fill_the_memory(tmp_path: Path) -> None:
    with pytest.raises(ImageRefused, match="too large"):
        unpacked(tmp_path / "root", tar_of([an_entry("x", b"x", size=2 << 20)]))


def test_more_entries_than_are_allowed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageRefused, match="more files"):
        unpacked(tmp_path / "root", tar_of([("/".join("abcdef") + f"/{n}", b"") for n in range(30)]), most=20)


NAMES = st.sampled_from(["a", "b", "a/b", "a/b/c", "b/a", "../x", "/a", ".wh.a", "b/.wh..wh..opq", "a/.wh.b", "a/l"])
TARGETS = st.sampled_from(["a", "b", "..", "../outside", "/", "../../outside/precious", "/a/b", "a/l", "OUT"])
ENTRIES = st.lists(st.tuples(st.sampled_from([FILE, FOLDER, LINK, HARD]), NAMES, TARGETS), max_size=12)


@given(ENTRIES)
@settings(max_examples=300)
def test_no_layer_whatsoever_reaches_outside(entries: list[tuple[bytes, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "outside").mkdir()
        (folder / "outside/precious").write_text("mine")
        made = [
            an_entry(
                n,
                kind,
                t.replace("OUT", f"{folder}/outside") if kind in {LINK, HARD} else "",
                size=1 if kind == FILE else 0,
            )
            for kind, n, t in entries
        ]
        with contextlib.suppress(ImageRefused):
            unpacked(folder / "root", tar_of(made[:6]), tar_of(made[6:]))
        assert seen(folder / "outside") == {"precious": "mine"}
        assert (folder / "outside/precious").stat().st_nlink == 1
        assert {place.name for place in folder.iterdir()} <= {"outside", "root"}
