"""Signed requests to a server on loopback that checks signatures by itself (``tests.support.aws``).

They were also accepted by moto's S3 server with its own authentication on, which is no dependency of these tests.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.aws import KEY_ID, REGION, SECRET_KEY, keep_out
from tests.support.http_server import Server, serving

from cove.core.errors import DataMissing
from cove.core.files import S3File
from cove.core.sigv4 import AwsKey
from cove.sources.guard import AddressGuard
from cove.sources.s3 import S3Source
from cove.sources.url import UrlSource

NOW = 1_700_000_000.0
KEY = AwsKey(REGION, KEY_ID, SECRET_KEY)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def guarded(*allowed: str) -> UrlSource:
    return UrlSource(AddressGuard(allowed), max_bytes=1 << 20, stall_seconds=5)


def source_of(*servers: Server, now: float = NOW) -> S3Source:
    return S3Source(guarded(*(f"127.0.0.1:{server.port}" for server in servers)), lambda: now)


def stored(server: Server, key: str, path: str, content: bytes = b"rows") -> S3File:
    server.serve(content, path)
    keep_out(server, path, {KEY_ID: SECRET_KEY}, now=NOW)
    return S3File(server.url(""), "bucket", key, KEY)


def read(source: S3Source, file: S3File) -> bytes:
    buffer = memoryview(bytearray(1000))
    with contextlib.closing(source.open(file)) as reader:
        return bytes(buffer[: reader.readinto(buffer)])


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("rows.csv", "/bucket/rows.csv"),
        ("a b/é+~(1)%2F?#.csv", "/bucket/a%20b/%C3%A9%2B~%281%29%252F%3F%23.csv"),
        ("/a//b", "/bucket//a//b"),
    ],
)
def test_keys_of_every_form(server: Server, key: str, path: str) -> None:
    file = stored(server, key, path)
    assert read(source_of(server), file) == b"rows"
    facts = source_of(server).info(file)
    assert (facts.valid, facts.content_length, facts.filename) == (True, 4, key.rpartition("/")[2])
    assert [asked.method for asked in server.asked] == ["GET", "HEAD"]


def test_an_empty_object_is_there(server: Server) -> None:
    facts = source_of(server).info(stored(server, "empty", "/bucket/empty", b""))
    assert (facts.valid, facts.content_length) == (True, 0)


def test_another_key_or_clock_is_refused(server: Server) -> None:
    file = stored(server, "rows.csv", "/bucket/rows.csv")
    for source, wrong in (
        (source_of(server), replace(file, key=replace(KEY, secret_access_key="x"))),
        (source_of(server), replace(file, key=replace(KEY, access_key_id="x"))),
        (source_of(server, now=NOW + 1000), file),
    ):
        assert not source.info(wrong).valid
        with pytest.raises(DataMissing, match="refuses to give the file"):
            source.open(wrong)


def test_a_bucket_in_the_host_name() -> None:
    def resolver(host: str, port: int, **_: object) -> list[object]:
        if host != "bucket.store.example":
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    with serving() as server:
        file = replace(stored(server, "rows.csv", "/rows.csv"), endpoint=f"http://store.example:{server.port}/")
        guard = AddressGuard([f"bucket.store.example:{server.port}"], resolver=resolver)
        source = S3Source(UrlSource(guard, max_bytes=1000, stall_seconds=5), lambda: NOW)
        assert read(source, replace(file, path_style=False)) == b"rows"
        assert server.asked[-1].headers["host"] == f"bucket.store.example:{server.port}"


def test_a_redirect_gets_no_signature(server: Server) -> None:
    with serving() as other:
        other.serve(b"elsewhere", "/rows.csv")
        stored(server, "rows.csv", "/bucket/rows.csv")
        server.redirect(other.url("/rows.csv"), "/bucket/rows.csv", 307)
        assert read(source_of(server, other), S3File(server.url(""), "bucket", "rows.csv", KEY)) == b"elsewhere"
        assert not {"authorization", "x-amz-date"} & set(other.asked[-1].headers)


def test_a_private_address_is_not_asked(server: Server) -> None:
    with pytest.raises(DataMissing, match="not allowed"):
        source_of().open(stored(server, "rows.csv", "/bucket/rows.csv"))
    assert not server.asked
