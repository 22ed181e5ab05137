"""Services that are killed at given points of a job's way: each is a process of its own, run by the crash tests.

    python -m tests.functional.crash.victim STATE

A line with a POINT starts one; when it has ended, a line with its exit code answers. POINT is ``<call>:<n>:<before|after>``: the process ends itself with SIGKILL around the n-th such call. ``none`` lets
it run until every job is done, and writes one JSON line per job to ``STATE/printed``. The parts are real: database, sandbox, results.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from pydantic import SecretStr
from tests.support.held import holding

from cove.access.reviews import ReviewService
from cove.core.airlock import Review
from cove.core.errors import NotFound, Refused, StaleWrite
from cove.core.job import JobId, Phase
from cove.jobs import steps
from cove.jobs.reconciler import Reconciler
from cove.settings import EnvironmentSettings, ImageSettings, LocalRootSettings, Settings
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove
from cove.wiring.reviewing import open_reviews

KEY = "11" * 32
HELD = "hold.txt"
"""The name of an output that waits for a person."""


def settings_for(state: Path) -> Settings:
    """Give the settings of the service under test."""
    return Settings(
        state_dir=state / "state",
        key=SecretStr(KEY),
        environments=(EnvironmentSettings(id="default", memory=128 << 20, disk=64 << 20, max_duration=60, max_jobs=3),),
        images={
            "cove/host": ImageSettings(),
            "cove/broken": ImageSettings(kind="rootfs", path=state / "no-such-folder"),
        },
        local={"data": LocalRootSettings(path=state / "data", publishers=("*",))},
        poll_seconds=0.5,
        log_level="error",
    )


class DiesAt:
    """Stands before a part and kills the process around one call."""

    def __init__(self, target: object, point: str) -> None:
        self._target = target
        self._name, number, self._when = point.split(":")
        self._left = int(number)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if name != self._name:
            return attribute
        return self._waiting(attribute) if inspect.iscoroutinefunction(attribute) else self._blocking(attribute)

    def _waiting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(*arguments: object, **named: object) -> object:
            hit = self._is_hit()  # other calls may come in while this one waits
            self._die(hit, "before")
            answer = await call(*arguments, **named)
            self._die(hit, "after")
            return answer

        return wrapped

    def _blocking(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: object, **named: object) -> object:
            hit = self._is_hit()
            self._die(hit, "before")
            answer = call(*arguments, **named)
            self._die(hit, "after")
            return answer

        return wrapped

    def _is_hit(self) -> bool:
        self._left -= 1
        return self._left == 0

    def _die(self, hit: bool, when: str) -> None:  # noqa: FBT001 - read as a sentence
        if hit and self._when == when:
            os.kill(os.getpid(), signal.SIGKILL)


async def serve(state: Path, point: str, printed: TextIO) -> None:
    """Run the loop until every job is done, or the point is reached."""
    steps.review = holding([HELD])  # type: ignore[attr-defined]
    async with open_cove(settings_for(state), loop=False) as cove:
        parts = cove.parts
        if point != "none":
            parts = replace(
                parts,
                store=DiesAt(parts.store, point),  # type: ignore[arg-type] - it answers as the store does
                results=DiesAt(parts.results, point),  # type: ignore[arg-type]
                airlock=DiesAt(parts.airlock, point),  # type: ignore[arg-type]
                reviews=DiesAt(parts.reviews, point),  # type: ignore[arg-type]
                engines={name: DiesAt(engine, point) for name, engine in parts.engines.items()},  # type: ignore[misc]
            )
        reconciler = Reconciler(parts)
        reconciler.listen_to_engines()
        reviews = open_reviews(settings_for(state), cove.parts, reconciler)  # of this loop: the other one is not run
        changed = asyncio.Event()
        reconciler.listeners.add(lambda _: changed.set())
        loop = asyncio.create_task(reconciler.run())
        jobs = [JobId(line) for line in (state / "jobs").read_text().split()]
        while not await _all_done(cove, jobs):
            await _stop_when_running(cove, reconciler, JobId((state / "stop").read_text()))
            for review in await cove.parts.reviews.find():
                await _let_out(reviews, review)
                reconciler.wake(review.job_id)
            changed.clear()
            try:
                async with asyncio.timeout(0.5):
                    await changed.wait()
            except TimeoutError:
                continue
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        for job_id in jobs:
            job = await cove.parts.store.get(job_id)
            record = (
                None
                if job is None
                else {
                    "phase": job.phase,
                    "outcome": job.outcome,
                    "reason": job.reason,
                    "attempt": job.attempt,
                    "results": [[result.filename, result.type, result.filesize] for result in job.results],
                    "verdicts": [[verdict.path, verdict.released, verdict.reason] for verdict in job.verdicts],
                }
            )
            printed.write(json.dumps({"id": job_id, "job": record}) + "\n")


async def _stop_when_running(cove: Cove, reconciler: Reconciler, job_id: JobId) -> None:
    job = await cove.parts.store.get(job_id)
    if job is None or job.phase is not Phase.RUNNING or job.stop_requested_at is not None:
        return
    with contextlib.suppress(StaleWrite):
        await cove.parts.store.save(replace(job, stop_requested_at=cove.clock.now()))
    reconciler.wake(job_id)


async def _let_out(reviews: ReviewService, review: Review) -> None:
    """Approve what is held, as a reviewer does; a file may be on its way into the airlock still."""
    for file in review.files:
        with contextlib.suppress(NotFound, Refused):
            await reviews.vote(
                review.job_id, file.key, reviewer="local:test", approve=True, reason="fine", sha256=file.sha256
            )


async def _all_done(cove: Cove, jobs: list[JobId]) -> bool:
    stored = [await cove.parts.store.get(job_id) for job_id in jobs]
    return all(job is None or (job.phase is Phase.DONE and job.delete_requested_at is None) for job in stored)


def main(state: Path) -> None:
    """Fork a service for each point: what it imports would take longer than its life."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with (state / "printed").open("w", encoding="ascii") as printed:
                    asyncio.run(serve(state, line.strip(), printed))
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
    main(Path(sys.argv[1]))
