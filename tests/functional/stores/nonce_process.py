"""A process that takes nonces as a serving Cove does: one line of JSON is a volley, asked for all at once.

Run with the URL of a database. It says ``ready``, then answers every line ``[[address, nonce], ..]`` with a list of
booleans, and ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys

from cove.stores import SqlJobStore, SqlNonceStore


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(url: str) -> None:
    """Answer until the input ends."""
    store = SqlJobStore(url)
    await store.start()
    nonces = SqlNonceStore(store)
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        say(json.dumps(await asyncio.gather(*(nonces.use(address, nonce) for address, nonce in asked))))
    await store.close()


asyncio.run(main(sys.argv[1]))
