"""What a soak may not leave, and how its jobs may not end."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tests.soak.house import House
from tests.soak.kinds import KINDS, TWICE, Placed
from tests.soak.service import NAME, UIDS, cgroup, first_uid

from cove.core.job import Job, Outcome, Phase

_USERS = Path("/run/cove/users")
_SLACK = 3.0


async def of_jobs(house: House) -> list[str]:
    """Say what is wrong with the jobs."""
    found = []
    for placed in house.placed.values():
        job = await house.get(placed.job.id)
        problem = _deleted(placed, job) if KINDS[placed.kind].wish == "delete" else _problem(house, placed, job)
        if problem:
            found.append(f"{placed.kind} {placed.job.environment} {placed.job.id}: {problem}")
    return found


def _deleted(placed: Placed, job: Job | None) -> str:
    return f"not deleted, but {job.phase}" if placed.wished and job is not None else ""


def _problem(house: House, placed: Placed, job: Job | None) -> str:
    told = KINDS[placed.kind]
    if job is None:
        return "lost"
    if job.phase is not Phase.DONE:
        return f"stuck in {job.phase} (attempt {job.attempt}, {job.message})"
    if job.exit_code == TWICE or any(attempt.reason == f"exit_code_{TWICE}" for attempt in job.history):
        return "two runs of it at the same time"
    if told.wish == "restart" and job.attempt < 2:
        return "not restarted"
    if _was_full(house, job, placed):
        return ""
    if job.outcome not in told.outcomes or (told.reason is not None and job.reason != told.reason):
        return f"ended as {job.outcome} {job.reason}: {job.message} {job.history}"
    missing = told.results - {result.filename for result in job.results}
    if missing:
        return f"without {', '.join(sorted(missing))}"
    return _spoilt(house, job)


def _was_full(house: House, job: Job, placed: Placed) -> bool:
    """Say whether a job ended for want of space while there was none."""
    ended = job.finished_at or 0.0
    overlaps = any(placed.job.created_at <= end + _SLACK and begin <= ended for begin, end in house.full)
    return overlaps and job.outcome is Outcome.PROVIDER_FAILED and job.reason == "no_space"


def _spoilt(house: House, job: Job) -> str:
    for result in job.results:
        if not result.key:
            continue
        try:
            content = (house.folder / "state" / "results" / result.key).read_bytes()
        except OSError as problem:
            return f"result {result.filename!r}: {problem.strerror}"
        if hashlib.sha256(content).hexdigest() != result.sha256:
            return f"result {result.filename!r} is not what was released"
    return ""


def of_place(house: House) -> list[str]:
    """Say what was left behind; the service has ended."""
    found = [
        *_entries(house), *_mounts(house), *_processes(house), *_groups(house), *_users(house), *_of_the_daemon(house),
        *_database(house), *_log(house),
    ]  # fmt: skip
    return list(found)


def _entries(house: House) -> Iterator[str]:
    state = house.folder / "state"
    for name in ("workspaces", "engine", "engine-far"):
        for entry in (state / name).iterdir() if (state / name).is_dir() else ():
            if entry.is_dir():
                yield f"folder {entry}"
    for entry in (state / "results").iterdir():
        placed = house.placed.get(entry.name)  # type: ignore[call-overload]
        if placed is None or KINDS[placed.kind].wish == "delete":
            yield f"results {entry}"


def _mounts(house: House) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if f"{house.folder}/" in line and not line.split()[4].endswith("/state"):
            yield f"mount {line}"


def _processes(house: House) -> Iterator[str]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            uid = int((place / "status").read_text().partition("Uid:")[2].split()[0])
        except (OSError, ValueError, IndexError):
            continue
        if int(place.name) != os.getpid() and (str(house.folder) in words or 0 <= uid - first_uid(house.port) < UIDS):
            yield f"process {place.name} of user {uid}: {words[:200]}"


def _groups(house: House) -> Iterator[str]:
    for pattern in ("*/{}", "{}"):
        for own in Path("/sys/fs/cgroup").glob(pattern.format(cgroup(house.port))):
            left = [f"cgroup {place}" for place in own.glob("*/")]
            yield from left
            if not left:
                own.rmdir()  # it is the service's for the next runs


def _users(house: House) -> Iterator[str]:
    if os.getuid() == 0 and _USERS.exists():
        with _USERS.open("rb") as file:
            file.seek(first_uid(house.port))
            for offset, byte in enumerate(file.read(UIDS)):
                if byte == 1:
                    yield f"claim of the uid {first_uid(house.port) + offset}"


def _of_the_daemon(house: House) -> Iterator[str]:
    if house.daemon is None:
        return
    chosen = {"filters": json.dumps({"label": [f"cove.engine={NAME}"]})}
    with house.daemon.client() as http:
        for one in http.get("/containers/json", params={"all": "true", **chosen}).json():
            yield f"container {one['Names']} {one['State']}"
        for one in http.get("/volumes", params=chosen).json()["Volumes"] or []:
            yield f"volume {one['Name']}"


def _database(house: House) -> Iterator[str]:
    connection = sqlite3.connect(house.folder / "state" / "cove.db")
    try:
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
        if answer != "ok":
            yield f"the database: {answer}"
    finally:
        connection.close()


def _log(house: House) -> Iterator[str]:
    lines = (house.folder / "log").read_text("utf-8", "replace").splitlines()
    for number, line in enumerate(lines):
        if "Traceback" in line:
            yield "the service's log: " + " | ".join(
                text.strip() for text in lines[max(0, number - 1) : number + 40][-6:]
            )
