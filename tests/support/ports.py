"""Ports for servers that must be told theirs before they start."""

from __future__ import annotations

import secrets
import socket

#: Below those that the system hands out by itself, so that no connection takes one between its choice and its use.
_LOW, _HIGH = 20_000, 32_000


def free_port() -> int:
    """Give a port of 127.0.0.1 on which nobody listens."""
    while True:
        port = _LOW + secrets.randbelow(_HIGH - _LOW)
        try:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port


def closed_port(holder: socket.socket) -> int:
    """Give a port that refuses connections for as long as the socket, which is bound here, is open."""
    holder.bind(("127.0.0.1", 0))
    return int(holder.getsockname()[1])
