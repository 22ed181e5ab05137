"""Services that are killed while they take results further: each is a process of its own, as those of ``victim``.

    python -m tests.functional.crash.carrier STATE URL

A line with a POINT starts one, and a line with its exit code answers; POINT is as there. A service ends by itself once
nothing is left to deliver.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.functional.crash.victim import DiesAt
from tests.support.site import Site, settings

from cove.access.deliveries import DeliveryService
from cove.core.delivery import DeliveryKind
from cove.core.job import JobId
from cove.core.output import Output, Storage, UrlPlace
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove

CODE = "import os; [open(os.environ['OUTPUTS'] + '/' + name, 'w').write(name) for name in 'abc']"
FILES = [{"type": "local", "root": "data", "path": "table"}]


@asynccontextmanager
async def running(state: Path, url: str) -> AsyncIterator[Cove]:
    """Open the service under test, its deliveries left out."""
    sending = {"allowed": True, "private": (url.removeprefix("http://"),)}
    async with open_cove(settings(state, sending=sending, log_level="error"), loop=False) as cove:
        yield cove


async def serve(state: Path, url: str, point: str) -> None:
    """Have one job's results sent, or what is left of them."""
    async with running(state, url) as cove:
        job_id = await _job(state, url, cove)
        parts = cove.deliveries.parts
        carrier = parts.carriers[DeliveryKind.STORAGE]
        if point != "none":
            known = replace(carrier.parts, sender=DiesAt(carrier.parts.sender, point))  # type: ignore[attr-defined,arg-type]
            parts = replace(
                parts,
                store=DiesAt(parts.store, point),  # type: ignore[arg-type] - it answers as the store does
                carriers={DeliveryKind.STORAGE: type(carrier)(known)},  # type: ignore[call-arg]
            )
        service = DeliveryService(parts)
        changed = asyncio.Event()
        service.listeners.add(lambda _: changed.set())
        loop = asyncio.create_task(service.run())
        while any(one.state == "open" for one in await cove.deliveries.parts.store.of(job_id)):
            changed.clear()
            if any(one.state == "open" for one in await cove.deliveries.parts.store.of(job_id)):
                await changed.wait()
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def _job(state: Path, url: str, cove: Cove) -> JobId:
    """Give the job that is finished already; the first service of all runs it."""
    noted = state / "job"
    if noted.exists():
        return JobId(noted.read_text())
    loop = asyncio.create_task(cove.reconciler.run())
    site = Site(cove)
    job = await site.done(await site.add(CODE, FILES, output=Output(Storage(UrlPlace(f"{url}/box/")))))
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    noted.write_text(job.id)
    return job.id


def main(state: Path, url: str) -> None:
    """Fork a service for each point: what it imports would take longer than its life."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                asyncio.run(serve(state, url, line.strip()))
                code = 0
            except BaseException:  # noqa: BLE001 - whatever it is, the test shows it
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
