"""What every source of files owes: ``cove.ports.FileSource`` and ``Reader``. A new type adds a world of its own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.http_server import serving

from cove.core.errors import DataMissing
from cove.core.files import FileObject, LocalFile, UrlFile
from cove.ports import FileSource, Reader
from cove.sources import SOURCES, source_for, type_of
from cove.sources.copying import copy_to, hash_of
from cove.sources.guard import AddressGuard
from cove.sources.local import LocalRoot, LocalSource
from cove.sources.url import UrlSource

SECRET = "s3cret"
CONTENT = os.urandom(3_000_000)
MOST = 4_000_000


@dataclass
class World:
    """A source, and a way to put files where it finds them."""

    source: FileSource
    put: Callable[[str, bytes], FileObject]
    missing: FileObject


@contextlib.contextmanager
def _url(folder: Path, *, ranges: bool = True) -> Iterator[World]:
    del folder
    with serving() as server:
        allowed = AddressGuard([f"127.0.0.1:{server.port}"])

        def put(name: str, content: bytes) -> FileObject:
            server.serve(content, f"/{SECRET}/{name}", ranges=ranges)
            return UrlFile(server.url(f"/{SECRET}/{name}?key={SECRET}"), headers=(("X-Key", SECRET),))

        source = UrlSource(allowed, max_bytes=MOST, stall_seconds=5, total_seconds=20)
        yield World(source, put, UrlFile(server.url(f"/{SECRET}/missing")))


@contextlib.contextmanager
def _url_without_ranges(folder: Path) -> Iterator[World]:
    with _url(folder, ranges=False) as world:
        yield world


@contextlib.contextmanager
def _local(folder: Path) -> Iterator[World]:
    def put(name: str, content: bytes) -> FileObject:
        (folder / SECRET).mkdir(exist_ok=True)
        (folder / SECRET / name).write_bytes(content)
        return LocalFile("data", f"{SECRET}/{name}")

    yield World(LocalSource({"data": LocalRoot(folder)}), put, LocalFile("data", f"{SECRET}/missing"))


WORLDS = {"url": _url, "url without ranges": _url_without_ranges, "local": _local}


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with WORLDS[request.param](tmp_path) as made:
        yield made


def read(reader: Reader, step: int = 1 << 20) -> bytes:
    buffer = memoryview(bytearray(step))
    parts = []
    with contextlib.closing(reader):
        while count := reader.readinto(buffer):
            parts.append(bytes(buffer[:count]))
        assert reader.readinto(buffer) == 0
    return b"".join(parts)


def test_every_registered_type_has_its_world(tmp_path: Path) -> None:
    seen = set()
    for make in WORLDS.values():
        with make(tmp_path) as world:
            file = world.put("x", b"x")
            seen.add(type_of(file))
            module, _, name = SOURCES[type_of(file)].partition(":")
            assert (type(world.source).__module__, type(world.source).__name__) == (module, name)
            assert source_for(file, {type_of(file): world.source}) is world.source
    assert seen == set(SOURCES)


@pytest.mark.parametrize("size", [0, 1, 65537, len(CONTENT)])
def test_bytes_come_as_they_are(world: World, size: int) -> None:
    file = world.put("rows.csv", CONTENT[:size])
    reader = world.source.open(file)
    assert reader.length in {size, None}
    assert read(reader) == CONTENT[:size]


def test_small_reads_give_the_same(world: World) -> None:
    file = world.put("rows.csv", CONTENT[:5000])
    assert read(world.source.open(file), step=7) == CONTENT[:5000]


@pytest.mark.parametrize("offset", [1, 4999, 5000])
def test_reading_begins_at_an_offset(world: World, offset: int) -> None:
    reader = world.source.open(world.put("rows.csv", CONTENT[:5000]), offset)
    assert reader.length in {5000 - offset, None}
    assert read(reader) == CONTENT[offset:5000]


def test_an_offset_behind_the_end_is_an_error(world: World) -> None:
    with pytest.raises(DataMissing):
        world.source.open(world.put("rows.csv", CONTENT[:5000]), 5001)


def test_facts_of_a_file(world: World) -> None:
    file = world.put("rows.csv", CONTENT[:5000])
    facts = world.source.info(file)
    assert (facts.valid, facts.type, facts.content_length, facts.filename) == (True, type_of(file), 5000, "rows.csv")
    assert facts.checksum is None


def test_what_is_not_there(world: World) -> None:
    assert not world.source.info(world.missing).valid
    with pytest.raises(DataMissing) as caught:
        world.source.open(world.missing)
    assert SECRET not in f"{caught.value!r} {caught.value.hint} {''.join(traceback.format_exception(caught.value))}"


def test_another_types_file_is_not_here(world: World) -> None:

    for other in (LocalFile("data", "x"), UrlFile("http://host/")):
        if type_of(other) != type_of(world.missing):
            assert not world.source.info(other).valid
            with pytest.raises(DataMissing):
                world.source.open(other)


def test_a_place_comes_with_a_fingerprint(world: World) -> None:
    file = world.put("rows.csv", b"one")
    place, before = world.source.path(file), world.source.fingerprint(file)
    assert (place is None) == (before is None)
    if place is None:
        return
    assert place.read_bytes() == b"one"
    assert world.source.fingerprint(file) == before
    world.put("rows.csv", b"three")
    assert world.source.fingerprint(file) != before
    with pytest.raises(DataMissing):
        world.source.path(world.missing)
    with pytest.raises(DataMissing):
        world.source.fingerprint(world.missing)


def test_closing_is_repeatable_and_ends_reading(world: World) -> None:
    reader = world.source.open(world.put("rows.csv", CONTENT))
    reader.close()
    reader.close()
    with pytest.raises(DataMissing):
        reader.readinto(memoryview(bytearray(len(CONTENT))))


def test_a_file_is_copied_and_hashed(world: World, tmp_path: Path) -> None:
    file = world.put("rows.csv", CONTENT)
    reader = world.source.open(file)
    descriptor = os.open(tmp_path / "target", os.O_WRONLY | os.O_CREAT)
    try:
        size, digest = copy_to(reader, descriptor, limit_bytes=len(CONTENT), stop=lambda: False)
    finally:
        os.close(descriptor)
        reader.close()
    assert (tmp_path / "target").read_bytes() == CONTENT
    assert (size, digest) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert hash_of({type_of(file): world.source}, file) == digest
    with pytest.raises(DataMissing):
        hash_of({type_of(file): world.source}, file, len(CONTENT) - 1)


def test_nothing_secret_shows(world: World) -> None:
    file = world.put("rows.csv", b"x")
    reader = world.source.open(file)
    try:
        assert SECRET not in f"{world.source!r} {reader!r} {file!r}"
    finally:
        reader.close()


def test_a_type_that_is_not_served(world: World) -> None:
    with pytest.raises(DataMissing, match="serves no files of type"):
        source_for(world.missing, {})
