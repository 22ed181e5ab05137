"""A process that writes to the audit log as a service and a command do at one time: run with a URL and a name.

It says ``ready``, waits for a line, and appends a hundred records, some of which may stand there once.
"""

from __future__ import annotations

import asyncio
import sys

from cove.core.audit import Entry
from cove.stores import SqlJobStore
from cove.stores.audit import SqlAuditStore


async def main(url: str, name: str) -> None:
    """Append."""
    store = SqlJobStore(url)
    await store.start()
    log = SqlAuditStore(store)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    for number in range(100):
        once = f"shared {number}" if number % 10 == 0 else ""
        await log.append(Entry(float(number), name, "vote", f"job:{number}/1", once=once))
    await store.close()


asyncio.run(main(sys.argv[1], sys.argv[2]))
