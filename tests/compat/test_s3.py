"""Files from a real S3 server (npm's s3rver).

It reads the whole signature, looks for the key and at the time, but does not calculate version 4: that is checked by
``tests/functional/sources/test_s3.py``.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.compat.world import FOLDER, MODULES

from cove.core.errors import DataMissing, Unavailable
from cove.core.files import S3File
from cove.core.sigv4 import AwsKey
from cove.ports.deliveries import Parcel
from cove.sources.guard import AddressGuard
from cove.sources.http_exchange import Limits
from cove.sources.multipart import Sized
from cove.sources.s3 import S3Source
from cove.sources.sending import GuardedSender
from cove.sources.url import UrlSource

#: Of s3rver's own account.
KEY = AwsKey("us-east-1", "S3RVER", "S3RVER")
BUCKET = "private"
ROWS = bytes(range(256)) * 5000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3File]:
    """A stored object, whose server runs while the tests do."""
    if not (MODULES / "s3rver").is_dir():
        pytest.skip("s3rver is not there: run tests/compat/install.sh (it needs npm)")
    folder = tmp_path_factory.mktemp("s3")
    stored = folder / BUCKET / "tables" / "rows 1+é.bin._S3rver_object"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(ROWS)
    command = ["node", str(FOLDER / "s3.cjs"), str(folder), BUCKET]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        yield S3File(f"http://127.0.0.1:{port}", BUCKET, "tables/rows 1+é.bin", KEY)
        server.stdin.close()
        server.wait(120)


def source_of(file: S3File, *, now: float = 0.0) -> S3Source:
    guard = AddressGuard((file.endpoint.removeprefix("http://"),))
    return S3Source(UrlSource(guard, max_bytes=1 << 24, stall_seconds=20), lambda: time.time() + now)


def test_an_object_is_read_whole_and_from_an_offset(file: S3File) -> None:
    source = source_of(file)
    facts = source.info(file)
    assert (facts.valid, facts.content_length) == (True, len(ROWS))
    for offset in (0, 1000):
        with contextlib.closing(source.open(file, offset)) as reader:
            buffer = memoryview(bytearray(len(ROWS) + 1))
            filled = 0
            while count := reader.readinto(buffer[filled:]):
                filled += count
            assert buffer[:filled] == ROWS[offset:]


def test_what_is_not_signed_rightly_is_not_given(file: S3File) -> None:
    for wrong, now in (
        (replace(file, key=replace(KEY, access_key_id="x")), 0.0),
        (file, 3600.0),
    ):
        source = source_of(file, now=now)
        assert not source.info(wrong).valid
        with pytest.raises(DataMissing, match="refuses to give the file"):
            source.open(wrong)


class Rows:
    """What is sent there."""

    size = len(ROWS)

    def chunks(self) -> Iterator[bytes]:
        yield ROWS[:100]
        yield ROWS[100:]


def test_what_is_put_there_can_be_read(file: S3File) -> None:
    guard = AddressGuard((file.endpoint.removeprefix("http://"),))
    sender = GuardedSender(guard, Limits(20, 60), time.time)
    sender.send(Parcel(replace(file, object_key="sent/"), "a b/é.bin", Rows()))
    facts = source_of(file).info(replace(file, object_key="sent/a b/é.bin"))
    assert (facts.valid, facts.content_length) == (True, len(ROWS))
    wrong = replace(file, object_key="sent/", key=replace(KEY, access_key_id="x"))
    with pytest.raises(Unavailable, match="status 403"):
        sender.send(Parcel(wrong, "b", Rows()))


def test_a_large_object_is_put_in_parts(file: S3File) -> None:
    guard = AddressGuard((file.endpoint.removeprefix("http://"),))
    sender = GuardedSender(guard, Limits(20, 60), time.time, sized=Sized(largest_put=1000, part_bytes=500_000))
    sender.send(Parcel(replace(file, object_key="parts/"), "a b/é.bin", Rows()))
    source, sent = source_of(file), replace(file, object_key="parts/a b/é.bin")
    assert source.info(sent).content_length == len(ROWS)
    with contextlib.closing(source.open(sent)) as reader:
        buffer = memoryview(bytearray(len(ROWS) + 1))
        filled = 0
        while count := reader.readinto(buffer[filled:]):
            filled += count
    assert buffer[:filled] == ROWS


def test_an_object_that_is_not_there(file: S3File) -> None:
    missing = replace(file, object_key="tables/none")
    assert not source_of(missing).info(missing).valid
    with pytest.raises(DataMissing):
        source_of(missing).open(missing)
