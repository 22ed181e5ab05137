"""Archives from a keeper are hostile: whatever they hold, only regular files below one folder come of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cove.engines.docker.api import demultiplexed
from cove.engines.docker.archive import CutOff, Packed, TooLarge, is_readable, repacked, unpack

WHOLE = b"0123abcd\n"


def archive(*entries: tuple[str, bytes | str | None], kind: bytes = tarfile.REGTYPE) -> bytes:
    """Make an archive: bytes are a file, text is the target of a link, None is something of another kind."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as target:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.mode = 0o6777
            if isinstance(content, bytes):
                entry.size = len(content)
                target.addfile(entry, io.BytesIO(content))
                continue
            entry.type = kind
            entry.linkname = content or ""
            target.addfile(entry)
    return made.getvalue() + WHOLE


def pieces(content: bytes, size: int = 700) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def found(folder: Path) -> dict[str, bytes]:
    return {str(place.relative_to(folder)): place.read_bytes() for place in folder.rglob("*") if place.is_file()}


def test_outputs_and_the_log_are_taken(tmp_path: Path) -> None:
    whole = archive(("c/log/text", b"said"), ("w/out/outputs/a/b", b"1"), ("w/out/logs/l", b"2"), ("w/out/other", b"3"))
    assert unpack(pieces(whole), tmp_path, 100, 3, WHOLE) == b"sai"
    assert found(tmp_path) == {"outputs/a/b": b"1", "logs/l": b"2"}
    assert (tmp_path / "outputs/a/b").stat().st_mode & 0o7777 == 0o600


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../x", "w/out/outputs/../../x", "w/out/outputs/..", "w/out/outputs//x", "w/out/outputs", "x/outputs/a",
     "w/out/outputs/./x", "w/out/elsewhere/x"],
)  # fmt: skip
def test_no_name_leads_elsewhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    unpack(pieces(archive((name, b"x"))), tmp_path / "in", 100, 10, WHOLE)
    assert found(tmp_path) == {}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_what_is_no_regular_file_is_left_behind(tmp_path: Path, kind: bytes) -> None:
    whole = archive(("w/out/outputs/x", "/etc"), ("w/out/outputs/y", b"kept"), kind=kind)
    unpack(pieces(whole), tmp_path, 100, 10, WHOLE)
    assert found(tmp_path) == {"outputs/y": b"kept"}


def test_another_name_of_a_file_is_a_copy_and_counts(tmp_path: Path) -> None:
    whole = archive(
        ("w/out/outputs/a", b"12345"),
        *((f"w/out/outputs/{n}", "w/out/outputs/a") for n in range(9)),
        kind=tarfile.LNKTYPE,
    )
    unpack(pieces(whole), tmp_path, 17, 10, WHOLE)
    assert found(tmp_path) == dict.fromkeys(["outputs/a", "outputs/0", "outputs/1"], b"12345")


def test_another_name_of_what_is_not_ours_is_nothing(tmp_path: Path) -> None:
    unpack(pieces(archive(("w/out/outputs/a", "/etc/passwd"), kind=tarfile.LNKTYPE)), tmp_path, 1 << 20, 10, WHOLE)
    assert found(tmp_path) == {}


def test_a_file_that_does_not_fit_hides_no_other(tmp_path: Path) -> None:
    whole = archive(("w/out/outputs/a", bytes(50)), ("w/out/outputs/b", bytes(5)))
    unpack(pieces(whole), tmp_path, 10, 10, WHOLE)
    assert found(tmp_path) == {"outputs/b": bytes(5)}


def test_an_archive_that_is_cut_off_is_not_taken_for_all(tmp_path: Path) -> None:
    whole = archive(("c/log/text", b"said"), ("w/out/outputs/a", bytes(2000)))
    for length in (0, 512, 1200, len(whole) - 1):
        (tmp_path / str(length)).mkdir()
        with pytest.raises(CutOff):
            unpack(pieces(whole[:length]), tmp_path / str(length), 10_000, 10, WHOLE)


def test_nothing_is_waited_for_behind_the_mark(tmp_path: Path) -> None:
    def open_ended() -> Iterator[bytes]:
        yield from pieces(archive(("c/log/text", b"said"), ("w/out/outputs/a", WHOLE)))
        pytest.fail("it would wait for ever")

    assert unpack(open_ended(), tmp_path, 10_000, 10, WHOLE) == b"said"
    assert found(tmp_path) == {"outputs/a": WHOLE}


def test_zeros_without_end_are_not_read_to_their_end(tmp_path: Path) -> None:
    read = []

    def endless() -> Iterator[bytes]:
        entry = tarfile.TarInfo("w/out/outputs/sparse")
        entry.size = 1 << 40
        yield archive(("w/out/outputs/a", b"kept"))[:1024] + entry.tobuf(tarfile.GNU_FORMAT)
        while True:
            read.append(1 << 20)
            yield bytes(1 << 20)

    unpack(endless(), tmp_path, 1 << 20, 10, WHOLE)
    assert found(tmp_path) == {"outputs/a": b"kept"}
    assert sum(read) < 200 << 20


def test_a_working_directory_becomes_the_runs_own() -> None:
    whole = archive(("app", None), ("app/a", b"1"), ("app/l", "a"), kind=tarfile.SYMTYPE)
    with repacked(pieces(whole), 7, 100) as file, tarfile.open(fileobj=file) as made:
        assert [(entry.name, entry.uid, entry.mode) for entry in made][1:] == [("a", 7, 0o777), ("l", 7, 0o777)]
    with pytest.raises(TooLarge):
        repacked(pieces(archive(("app/a", bytes(101)))), 7, 100)


def test_what_we_give_is_built_with_its_folders() -> None:
    packed = Packed()
    packed.file("/data/inputs/x/0", b"1", 0o755)
    packed.folder("data/inputs")
    with tarfile.open(fileobj=io.BytesIO(packed.whole())) as made:
        assert [(entry.name, entry.isdir(), entry.mode) for entry in made] == [
            ("data", True, 0o755), ("data/inputs", True, 0o755), ("data/inputs/x", True, 0o755),
            ("data/inputs/x/0", False, 0o755),
        ]  # fmt: skip


def test_a_folder_is_readable_only_with_all_that_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    (tmp_path / "a" / "b").write_bytes(b"")
    (tmp_path / "a" / "b").chmod(0o644)
    assert is_readable(str(tmp_path / "a"))
    (tmp_path / "a" / "b").chmod(0o640)
    assert not is_readable(str(tmp_path / "a"))
    assert not is_readable(str(tmp_path / "a" / "b"))


def test_frames_are_taken_apart_wherever_they_are_cut() -> None:
    frames = b"".join(
        bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text
        for stream, text in [(1, b"one"), (2, b"no"), (1, b""), (1, b"two")]
    )
    for size in range(1, len(frames) + 1):
        assert b"".join(demultiplexed(pieces(frames, size))) == b"onetwo"
