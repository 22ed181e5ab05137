from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cove.core.errors import DataMissing, NoSpace
from cove.sources.copying import BUFFER_BYTES, copy_to

CONTENT = os.urandom(3 * BUFFER_BYTES + 17)


class Given:
    """A reader of bytes at hand, in pieces."""

    def __init__(self, content: bytes, *, step: int = 100_000, length: int | None = None) -> None:
        self.length = length
        self._left = memoryview(content)
        self._step = step

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(self._step, len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self._left = memoryview(b"")


class Silent:
    """A reader whose source says nothing until it is closed."""

    def __init__(self) -> None:
        self.length: int | None = None
        self.reading = threading.Event()
        self.closed = threading.Event()

    def readinto(self, buffer: memoryview, /) -> int:
        del buffer
        self.reading.set()
        assert self.closed.wait(120)
        raise DataMissing("The source was closed.")

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("size", [0, 1, BUFFER_BYTES, len(CONTENT)])
def test_what_is_written_is_what_was_hashed(target: int, size: int) -> None:
    copied = copy_to(Given(CONTENT[:size], length=size), target, limit_bytes=size, stop=lambda: False)
    assert copied == (size, hashlib.sha256(CONTENT[:size]).hexdigest())
    assert os.pread(target, len(CONTENT) + 1, 0) == CONTENT[:size]


def test_a_byte_too_many(target: int) -> None:
    with pytest.raises(DataMissing, match="larger"):
        copy_to(Given(CONTENT), target, limit_bytes=len(CONTENT) - 1, stop=lambda: False)


def test_a_stop_ends_a_source_that_says_nothing(target: int) -> None:
    reader = Silent()
    size, digest = copy_to(reader, target, limit_bytes=None, stop=reader.reading.is_set)
    assert (size, digest) == (0, hashlib.sha256().hexdigest())
    assert reader.closed.is_set()


def test_a_stop_in_between_gives_what_was_written(target: int) -> None:
    answers = iter([False, False])
    size, digest = copy_to(Given(CONTENT), target, limit_bytes=None, stop=lambda: next(answers, True))
    assert size < len(CONTENT)
    assert digest == hashlib.sha256(os.pread(target, size, 0)).hexdigest()


def test_a_full_disk_has_its_own_error() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(NoSpace):
            copy_to(Given(CONTENT), descriptor, limit_bytes=None, stop=lambda: False)
    finally:
        os.close(descriptor)


def test_a_file_that_cannot_fit_is_not_begun(target: int) -> None:
    reader = Given(CONTENT, length=1 << 60)
    with pytest.raises(NoSpace):
        copy_to(reader, target, limit_bytes=None, stop=lambda: False)
    assert os.fstat(target).st_size == 0


def test_other_errors_of_the_disk_are_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    descriptor = os.open(tmp_path / "target", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="Bad file") as caught:
            copy_to(Given(CONTENT), descriptor, limit_bytes=None, stop=lambda: False)
    finally:
        os.close(descriptor)
    assert caught.value.errno == errno.EBADF


def test_no_thread_is_left(target: int) -> None:
    before = threading.active_count()
    copy_to(Given(CONTENT), target, limit_bytes=None, stop=lambda: False)
    with pytest.raises(DataMissing):
        copy_to(Given(CONTENT), target, limit_bytes=1, stop=lambda: False)
    assert threading.active_count() == before
