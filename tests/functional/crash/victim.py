"""A service that is killed at a given point of a job's way: run as a process of its own by the crash tests.

    python -m tests.functional.crash.victim STATE POINT

POINT is ``<call>:<n>:<before|after>``: the process ends itself with SIGKILL around the n-th such call. ``none`` lets
it run until every job is done, and prints one JSON line per job. The parts are real: database, sandbox, results.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cove.core.errors import StaleWrite
from cove.core.job import JobId, Phase
from cove.jobs.reconciler import Reconciler
from cove.settings import EnvironmentSettings, ImageSettings, LocalRootSettings, Settings
from cove.wiring import Cove, open_cove

KEY = "11" * 32


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


async def main(state: Path, point: str) -> None:
    """Run the loop until every job is done, or the point is reached."""
    async with open_cove(settings_for(state), loop=False) as cove:
        parts = cove.parts
        if point != "none":
            parts = replace(
                parts,
                store=DiesAt(parts.store, point),  # type: ignore[arg-type] - it answers as the store does
                results=DiesAt(parts.results, point),  # type: ignore[arg-type]
                engines={name: DiesAt(engine, point) for name, engine in parts.engines.items()},  # type: ignore[misc]
            )
        reconciler = Reconciler(parts)
        reconciler.listen_to_engines()
        changed = asyncio.Event()
        reconciler.listeners.add(lambda _: changed.set())
        loop = asyncio.create_task(reconciler.run())
        jobs = [JobId(line) for line in (state / "jobs").read_text().split()]
        while not await _all_done(cove, jobs):
            await _stop_when_running(cove, reconciler, JobId((state / "stop").read_text()))
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
                }
            )
            sys.stdout.write(json.dumps({"id": job_id, "job": record}) + "\n")


async def _stop_when_running(cove: Cove, reconciler: Reconciler, job_id: JobId) -> None:
    job = await cove.parts.store.get(job_id)
    if job is None or job.phase is not Phase.RUNNING or job.stop_requested_at is not None:
        return
    with contextlib.suppress(StaleWrite):
        await cove.parts.store.save(replace(job, stop_requested_at=cove.clock.now()))
    reconciler.wake(job_id)


async def _all_done(cove: Cove, jobs: list[JobId]) -> bool:
    stored = [await cove.parts.store.get(job_id) for job_id in jobs]
    return all(job is None or (job.phase is Phase.DONE and job.delete_requested_at is None) for job in stored)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
