"""What every source of files owes: ``cove.ports.FileSource`` and ``Reader``. A new type adds a world of its own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_abi.abi import encode
from tests.support.aws import KEY_ID, REGION, SECRET_KEY, keep_out
from tests.support.http_server import Server, serving
from tests.support.other_provider import OtherProvider

from cove.core.contractcall import ContractFunction, Parameter
from cove.core.errors import DataMissing
from cove.core.files import (
    ArweaveFile,
    ContractFile,
    FileFacts,
    FileObject,
    GraphqlFile,
    IpfsFile,
    LocalFile,
    PeerFile,
    ResultFileObject,
    S3File,
    SampleFile,
    UrlFile,
)
from cove.core.sigv4 import AwsKey
from cove.crypto.keys import keccak
from cove.ports import FileSource, Reader
from cove.sources import SOURCES, source_for, type_of
from cove.sources.arweave import ArweaveSource
from cove.sources.copying import copy_to, hash_of
from cove.sources.graphql import GraphqlSource
from cove.sources.guard import AddressGuard
from cove.sources.ipfs import IpfsSource
from cove.sources.local import LocalRoot, LocalSource
from cove.sources.peer import PeerSource
from cove.sources.providers import OtherProviders
from cove.sources.result import ResultSource
from cove.sources.s3 import S3Source
from cove.sources.sample import SampleSource
from cove.sources.smartcontract import ContractSource
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
    #: Name that a file ``rows.csv`` has there.
    name: str = "rows.csv"
    #: What is read of a file that was put there.
    as_read: Callable[[bytes], bytes] = bytes


def _web(server: Server) -> UrlSource:
    return UrlSource(AddressGuard([f"127.0.0.1:{server.port}"]), max_bytes=MOST, stall_seconds=5, total_seconds=20)


def _id_of(name: str, length: int) -> str:
    """Give what an id looks like, in letters that every kind of id has."""
    return SECRET + hashlib.sha256(name.encode()).hexdigest().replace("0", "z")[: length - len(SECRET)]


@contextlib.contextmanager
def _url(folder: Path, *, ranges: bool = True) -> Iterator[World]:
    del folder
    with serving() as server:

        def put(name: str, content: bytes) -> FileObject:
            server.serve(content, f"/{SECRET}/{name}", ranges=ranges)
            return UrlFile(server.url(f"/{SECRET}/{name}?key={SECRET}"), headers=(("X-Key", SECRET),))

        yield World(_web(server), put, UrlFile(server.url(f"/{SECRET}/missing")))


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


@contextlib.contextmanager
def _result(folder: Path) -> Iterator[World]:
    nft, names = "0x" + "5" * 40, [""]

    def put(name: str, content: bytes) -> FileObject:
        names.extend(() if name in names else (name,))
        index = names.index(name)
        (folder / nft).mkdir(exist_ok=True)
        (folder / nft / str(index)).write_bytes(content)
        return ResultFileObject(index, f"{SECRET}/{name}", nft)

    yield World(ResultSource(folder), put, ResultFileObject(900, "rows.csv", nft))


@contextlib.contextmanager
def _ipfs(folder: Path) -> Iterator[World]:
    del folder
    with serving() as server:

        def put(name: str, content: bytes) -> FileObject:
            file = IpfsFile("Qm" + _id_of(name, 44))
            named = f'Content-Disposition: inline; filename="{name}"\r\n'
            server.serve(content, f"/gate/ipfs/{file.hash}", headers=named)
            return file

        yield World(IpfsSource(_web(server), server.url("/gate/")), put, IpfsFile("Qm" + _id_of("missing", 44)))


@contextlib.contextmanager
def _arweave(folder: Path) -> Iterator[World]:
    del folder
    with serving() as server:

        def put(name: str, content: bytes) -> FileObject:
            file = ArweaveFile(_id_of(name, 43))
            server.serve(content, f"/{file.transaction_id}")
            return file

        source = ArweaveSource(_web(server), server.url(""))
        yield World(source, put, ArweaveFile(_id_of("missing", 43)), name="")


@contextlib.contextmanager
def _graphql(folder: Path) -> Iterator[World]:
    del folder
    with serving() as server:

        def put(name: str, content: bytes) -> FileObject:
            server.serve(content, f"/{SECRET}/{name}")
            return GraphqlFile(server.url(f"/{SECRET}/{name}"), f"{{ {SECRET} }}", (("X-Key", SECRET),))

        missing = GraphqlFile(server.url(f"/{SECRET}/missing"), f"{{ {SECRET} }}")
        yield World(GraphqlSource(_web(server)), put, missing, "graphql.json")


@contextlib.contextmanager
def _smartcontract(folder: Path) -> Iterator[World]:
    """Real contracts are called in tests/functional/sources/test_smartcontract.py; they cannot hold megabytes."""
    del folder
    held: dict[str, bytes] = {}
    address = "0x" + SECRET.encode().hex() + "1" * 28

    def call(chain_id: int, to: str, data: bytes) -> bytes:
        assert (chain_id, to) == (8996, address)
        for name, content in held.items():
            if keccak(f"{name}()".encode())[:4] == data:
                return encode(["bytes"], [content])
        raise DataMissing("The contract refused the call.")

    def asking(name: str) -> ContractFile:
        return ContractFile(8996, address, ContractFunction(name, (), (Parameter("0", "bytes", "bytes"),)))

    def put(name: str, content: bytes) -> FileObject:
        held[SECRET + name] = content
        return asking(SECRET + name)

    source = ContractSource(call, keccak, max_bytes=MOST)
    yield World(source, put, asking(SECRET), "smartcontract.json", lambda content: f'"0x{content.hex()}"'.encode())


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[World]:
    del folder
    now = 1_700_000_000.0
    with serving() as server:

        def stored(name: str, secret_key: str = SECRET_KEY) -> S3File:
            return S3File(server.url("/"), "bucket", f"{SECRET} é+/{name}", AwsKey(REGION, KEY_ID, secret_key))

        def put(name: str, content: bytes) -> FileObject:
            path = f"/bucket/{SECRET}%20%C3%A9%2B/{name}"
            server.serve(content, path)
            keep_out(server, path, {KEY_ID: SECRET_KEY}, now=now)
            return stored(name)

        put("forbidden", b"x")
        yield World(S3Source(_web(server), lambda: now), put, stored("forbidden", SECRET))


@contextlib.contextmanager
def _peer(folder: Path) -> Iterator[World]:
    del folder
    with serving() as server:
        other = OtherProvider(server)

        def asking(name: str) -> PeerFile:
            did = "did:op:" + hashlib.sha256(name.encode()).hexdigest()
            return PeerFile(f"{other.url}", did, "0", "0x" + SECRET, 0)

        def put(name: str, content: bytes) -> FileObject:
            file = asking(name)
            other.files[file.did], other.names[file.did] = [content], name
            return file

        providers = OtherProviders(_web(server), "0x" + "1" * 40)
        source = PeerSource(
            _web(server), providers, account="0x" + "1" * 40, sign=lambda _: "0x" + SECRET, now=time.time
        )
        yield World(source, put, asking("missing"))


@contextlib.contextmanager
def _sample(folder: Path) -> Iterator[World]:
    def put(name: str, content: bytes) -> FileObject:
        (folder / SECRET).mkdir(exist_ok=True)
        (folder / SECRET / name).write_bytes(content)
        return SampleFile(str(folder / SECRET / name))

    yield World(SampleSource(), put, SampleFile(str(folder / SECRET / "missing")))


WORLDS = {
    "url": _url,
    "url without ranges": _url_without_ranges,
    "local": _local,
    "result": _result,
    "ipfs": _ipfs,
    "arweave": _arweave,
    "graphql": _graphql,
    "smartcontract": _smartcontract,
    "s3": _s3,
    "peer": _peer,
    "sample": _sample,
}


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
    expected = world.as_read(CONTENT[:size])
    reader = world.source.open(world.put("rows.csv", CONTENT[:size]))
    assert reader.length in {len(expected), None}
    assert read(reader) == expected


def test_small_reads_give_the_same(world: World) -> None:
    file = world.put("rows.csv", CONTENT[:5000])
    assert read(world.source.open(file), step=7) == world.as_read(CONTENT[:5000])


@pytest.mark.parametrize("left", [4999, 1, 0])
def test_reading_begins_at_an_offset(world: World, left: int) -> None:
    expected = world.as_read(CONTENT[:5000])
    reader = world.source.open(world.put("rows.csv", CONTENT[:5000]), len(expected) - left)
    assert reader.length in {left, None}
    assert read(reader) == expected[len(expected) - left :]


def test_an_offset_behind_the_end_is_an_error(world: World) -> None:
    behind = len(world.as_read(CONTENT[:5000])) + 1
    with pytest.raises(DataMissing):
        world.source.open(world.put("rows.csv", CONTENT[:5000]), behind)


def test_facts_of_a_file(world: World) -> None:
    file = world.put("rows.csv", CONTENT[:5000])
    facts = world.source.info(file)
    assert (facts.valid, facts.type, facts.filename) == (True, type_of(file), world.name)
    assert facts.content_length == len(world.as_read(CONTENT[:5000]))
    assert facts.checksum is None


def test_what_is_not_there(world: World) -> None:
    assert not world.source.info(world.missing).valid
    with pytest.raises(DataMissing) as caught:
        world.source.open(world.missing)
    assert SECRET not in f"{caught.value!r} {caught.value.hint} {''.join(traceback.format_exception(caught.value))}"


def test_another_types_file_is_not_here(world: World, tmp_path: Path) -> None:
    for kind, make in WORLDS.items():
        with make(tmp_path) as elsewhere:
            if type_of(elsewhere.missing) != type_of(world.missing):
                other = elsewhere.put("rows.csv", b"x")
                assert world.source.info(other) == FileFacts(valid=False, type=type_of(world.missing)), kind
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
        size, digest = copy_to(reader, descriptor, limit_bytes=2 * MOST, stop=lambda: False)
    finally:
        os.close(descriptor)
        reader.close()
    expected = world.as_read(CONTENT)
    assert (tmp_path / "target").read_bytes() == expected
    assert (size, digest) == (len(expected), hashlib.sha256(expected).hexdigest())
    assert hash_of({type_of(file): world.source}, file) == digest
    with pytest.raises(DataMissing):
        hash_of({type_of(file): world.source}, file, len(expected) - 1)
    with pytest.raises(DataMissing, match="too long"):
        hash_of({type_of(file): world.source}, file, until=0.0)


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
