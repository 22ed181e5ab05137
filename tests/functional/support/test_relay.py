"""What stands between an engine and its cluster leaves nothing open, whatever it is in the middle of when it ends."""

from __future__ import annotations

import asyncio
import gc
import socket

import pytest
from tests.support.kubernetes import Relay


@pytest.mark.parametrize("rounds", range(8))
async def test_a_relay_that_ends_leaves_no_connection_open(rounds: int) -> None:
    """What is left open is an error of the test, as every ResourceWarning is."""
    with socket.create_server(("127.0.0.1", 0)) as far:
        relay = Relay(*far.getsockname())
        async with relay.running():
            opened = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(3)]
            for _ in range(rounds):
                await asyncio.sleep(0)
        for connection in opened:
            connection.close()
    del relay
    gc.collect()
