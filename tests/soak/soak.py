"""Jobs of all kinds while everything around them fails: what is done is drawn from a seed ahead of time.

python -m tests.soak [--seconds 600] [--seed N] [--engine sandbox|both]
"""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak import checks
from tests.soak.house import House, small_disk
from tests.soak.kinds import KINDS
from tests.support import daemons

#: Seconds between two troubles of a kind, and how long each of them lasts.
TROUBLES = {
    "kill": (2.0, 6.0, 3.0),
    "restart_daemon": (8.0, 14.0, 1.5),
    "fill": (8.0, 16.0, 3.0),
    "lock": (6.0, 12.0, 3.0),
}
#: Of the troubles of a long soak: how many times as far apart they are and as long a service lives (what it has done at
#: its end is to be more than its start); one of how many locks is one that no service waits for, so many times as long.
FURTHER, LONG_LOCKS, LONGER = 2.0, 5, 4.0
#: Seconds between two jobs, by environment, and how many wait at most before no more are put in.
PACE = {"default": 0.55, "containers": 1.3}
MOST_UNDER_WAY = 60
_PATIENCE = 90.0


@dataclass(frozen=True, order=True)
class Event:
    """Something that is done at a time of a soak."""

    at: float
    what: str
    #: Environment of a job, or nothing.
    where: str = ""
    pause: float = 0.0


@dataclass
class Report:
    """What a soak did and found."""

    seed: int
    seconds: float
    done: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    #: Where its log was kept; empty without findings.
    log: str = ""

    def __str__(self) -> str:
        did = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        lines = [f"soak of {self.seconds:.0f} s with seed {self.seed}: {did}"]
        lines += [f"FOUND {finding}" for finding in self.findings] or [
            "nothing was lost, run twice, stuck or left behind"
        ]
        return "\n".join(lines + ([f"log: {self.log}"] if self.log else []))


def plan(seed: int, seconds: float, *, docker: bool, disk: bool) -> list[Event]:
    """Draw everything that is done, in its order."""
    dice = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    events = []
    is_long = seconds > 120
    further = FURTHER if is_long else 1.0
    for what, (least, most, pause) in TROUBLES.items():
        at = dice.uniform(1.0, most / 2)
        while at < seconds:
            if (what != "restart_daemon" or docker) and (what != "fill" or disk):
                is_longer = is_long and (what == "kill" or (what == "lock" and dice.randrange(LONG_LOCKS) == 0))
                events.append(Event(at, what, "", dice.uniform(0.2, pause * (LONGER if is_longer else 1.0) + 0.2)))
            at += dice.uniform(least, most) * further
    for where, pace in PACE.items():
        at = 0.0
        while at < seconds and (where == "default" or docker):
            kind = dice.choices(list(KINDS), [told.weight for told in KINDS.values()])[0]
            events.append(Event(at, kind, where))
            at += dice.expovariate(1 / pace)
    return sorted(events)


def made_in(place: Path) -> Path:
    """Make a folder for a house."""
    folder = Path(tempfile.mkdtemp(prefix="cove-soak-", dir=place))
    folder.chmod(0o755)  # runs of another user read the data
    (folder / "data").mkdir()
    return folder


async def soak(seed: int, seconds: float, daemon: daemons.Daemon | None) -> Report:
    """Do it, and look at what came of it."""
    report = Report(seed, seconds)
    folder = made_in(Path(tempfile.gettempdir()))
    try:
        with small_disk(folder / "state") as disk:
            house = House(folder, free_port(), daemon)
            await _shake(house, plan(seed, seconds, docker=daemon is not None, disk=disk), report)
            report.findings += house.findings
    finally:
        if report.findings:
            report.log = str(shutil.copy(folder / "log", f"{folder}.log"))
        shutil.rmtree(folder, ignore_errors=True)
    return report


async def _shake(house: House, events: list[Event], report: Report) -> None:
    await house.open()
    tasks = []
    began = time.monotonic()
    for event in events:
        await asyncio.sleep(max(0.0, began + event.at - time.monotonic()))
        if event.where and await house.under_way() >= MOST_UNDER_WAY:
            report.done["jobs that were not put in, since enough waited"] += 1
            continue
        tasks.append(asyncio.create_task(_do(house, event)))
        report.done[f"{event.what} jobs" if event.where else event.what] += 1
    sys.stdout.write(
        f"after {time.monotonic() - began:.0f} s the last job is in, {await house.under_way()} are not done\n"
    )
    sys.stdout.flush()
    while True:
        settled = await house.settled(_PATIENCE)
        _, waiting = await asyncio.wait(tasks, timeout=5)  # they see the ends of jobs, and may restart them
        if not waiting or not settled:
            break
    if not await house.settled(_PATIENCE):
        report.findings.append("not all jobs came to their end")
    for task in waiting:
        task.cancel()
    for problem in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(problem, Exception):
            report.findings.append(f"the soak itself: {problem!r}")
    if house.daemon is not None:  # Docker before version 25 gives volumes free at its next start
        await house.close()
        await asyncio.to_thread(house.daemon.kill)
        await asyncio.to_thread(house.daemon.start)
        await house.open()
    report.findings += await checks.of_jobs(house)
    await house.close()
    await house.store.close()
    report.done["starts of the service"] = house.starts
    report.done["kill"] = house.kills
    report.findings += await asyncio.to_thread(checks.of_place, house)


async def _do(house: House, event: Event) -> None:
    if event.where:
        await house.add(event.what, event.where)
    else:
        await getattr(house, event.what)(event.pause)


def free_port() -> int:
    """Give a port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
