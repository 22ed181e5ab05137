"""Messages between the service and its reading processes: JSON, with open descriptors beside it."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final

MAX_DESCRIPTORS: Final = 64
MAX_BYTES: Final = 32 << 20
_HEAD: Final = struct.Struct("<Q")


class ClosedError(Exception):
    """The other side is gone, or says what it must not."""


def send(channel: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send a message.

    Raises:
        ClosedError: The other side is gone.
        TimeoutError: It does not read.
    """
    body = json.dumps(message).encode("utf-8", "surrogatepass")
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    try:
        channel.sendmsg([_HEAD.pack(len(body))], ancillary)
        channel.sendall(body)
    except TimeoutError:
        raise
    except OSError:
        raise ClosedError from None


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for a message, and give it with its descriptors, which are the caller's to close.

    Raises:
        ClosedError: The other side is gone, or what it says is no message.
        TimeoutError: Nothing came.
    """
    size = array.array("i").itemsize
    descriptors: list[int] = []
    try:
        head, ancillary, _, _ = channel.recvmsg(
            _HEAD.size, socket.CMSG_SPACE(MAX_DESCRIPTORS * size), socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found = array.array("i")
                found.frombytes(content[: len(content) - len(content) % size])
                descriptors.extend(found)
        if len(head) < _HEAD.size:
            head += _exactly(channel, _HEAD.size - len(head))
        (length,) = _HEAD.unpack(head)
        if length > MAX_BYTES:
            raise ClosedError  # noqa: TRY301 - as for everything else that is no message
        message = json.loads(_exactly(channel, length))
        if not isinstance(message, dict):
            raise ClosedError  # noqa: TRY301
    except (ClosedError, ValueError, RecursionError, OSError) as problem:
        close(descriptors)
        if isinstance(problem, TimeoutError):
            raise
        raise ClosedError from None
    return message, descriptors


def close(descriptors: Sequence[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _exactly(channel: socket.socket, length: int) -> bytes:
    kept = bytearray()
    while len(kept) < length:
        part = channel.recv(min(1 << 20, length - len(kept)))
        if not part:
            raise ClosedError
        kept.extend(part)
    return bytes(kept)
