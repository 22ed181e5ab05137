"""The open way to a keeper: what is sent, what is waited for, and whose it is."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cove.core.errors import Unavailable
from cove.core.job import RunId
from cove.engines.docker.api import Attached
from cove.engines.docker.handover import Handover, Handovers, Held, new_word


def frame(content: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxL", stream, len(content)) + content


@pytest.fixture
def ends() -> Iterator[tuple[Handover, socket.socket]]:
    """A way to a keeper, and the keeper's end of it."""
    ours, other = socket.socketpair()
    closing = ExitStack()
    closing.callback(ours.close)
    with other:
        made = Handover(Attached(ours, closing))
        yield made, other
        made.close()


def test_an_archive_is_given_with_its_length(ends: tuple[Handover, socket.socket]) -> None:
    handover, keeper = ends
    archive = bytes(range(256)) * 8000  # more than a socket holds
    heard = bytearray()

    def answer() -> None:
        while len(heard) < len(archive) + len(b"give 2048000\n"):
            heard.extend(keeper.recv(1 << 20))
        keeper.sendall(frame(b"giv") + frame(b"never mind", 2) + frame(b"en\n"))

    answering = threading.Thread(target=answer)
    answering.start()
    handover.give(archive)
    answering.join()
    assert bytes(heard) == b"give 2048000\n" + archive


@pytest.mark.parametrize("said", [b"", frame(b"giv"), frame(b"refused")])
def test_without_the_keepers_word_nothing_was_given(ends: tuple[Handover, socket.socket], said: bytes) -> None:
    handover, keeper = ends
    keeper.sendall(said)
    keeper.shutdown(socket.SHUT_WR)
    with pytest.raises(Unavailable):
        handover.give(b"archive")


def test_a_keeper_that_is_gone_is_no_answer(ends: tuple[Handover, socket.socket]) -> None:
    handover, keeper = ends
    keeper.close()
    with pytest.raises(Unavailable):
        handover.give(b"archive")
    with pytest.raises(Unavailable):
        next(handover.left("word"))


def test_what_is_left_is_asked_for_with_the_word(ends: tuple[Handover, socket.socket]) -> None:
    handover, keeper = ends
    keeper.sendall(frame(b"archive") + frame(b"word\n"))
    left = handover.left("word")
    assert next(left) + next(left) == b"archiveword\n"
    assert keeper.recv(100) == b"hand word\n"


def test_no_word_comes_twice() -> None:
    assert len({new_word() for _ in range(100)}) == 100


def test_a_way_is_taken_once_and_for_the_container_that_ended() -> None:
    ours, other = socket.socketpair()
    closing = ExitStack()
    closing.callback(ours.close)
    held, run, handovers = Held("c1", Handover(Attached(ours, closing)), 1, 1), RunId("a-1"), Handovers()
    handovers.keep(run, held)
    assert handovers.take(run, "c2") is None
    assert handovers.take(RunId("b-1"), "c1") is None
    assert handovers.take(run, "c1") is held
    assert handovers.take(run, "c1") is None
    handovers.keep(run, held)
    handovers.close()
    with other:
        assert other.recv(1) == b""
