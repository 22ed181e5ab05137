"""A process that closes its database again and again while it reads from it.

Run with the URL of a database. It ends with 0 unless SQLite ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from tests.support.jobs import a_job

from cove.stores import SqlJobStore

JOB = a_job()


async def main(url: str) -> None:
    """Read a large value on the loop's thread, as a request does, while another thread closes."""
    for round_ in range(40):
        store = SqlJobStore(url)
        await store.start()
        if not round_:
            await store.add(JOB, bytes(20_000_000))
        assert len(await store.package(JOB.id)) == 20_000_000
        closing = asyncio.create_task(store.close())
        with contextlib.suppress(RuntimeError):  # it has closed
            while not closing.done():
                await asyncio.sleep(0)
                await store.package(JOB.id)
        await closing


asyncio.run(main(sys.argv[1]))
