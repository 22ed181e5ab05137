"""How a run that ended is taken home: its log and its outputs from the keeper, and the record of its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cove.core.errors import Unavailable
from cove.core.job import RunId
from cove.core.lifecycle import Exited
from cove.engines.docker import containers, scripts
from cove.engines.docker.api import Api, Refused
from cove.engines.docker.archive import PARTS, CutOff, content_of, unpack
from cove.engines.docker.daemon import ENDED, Daemon, Facts
from cove.engines.docker.handover import Held, new_word
from cove.engines.docker.records import Records

_NOTE: Final = b"\n[the log is full: the rest was dropped]\n"
_DETAILS: Final = {"no_space": "The provider has no space left.", "sandbox": "The outputs were lost."}


@dataclass(frozen=True, slots=True)
class Ended:
    """A run of which the daemon says that it ended."""

    run: RunId
    #: The open way to its keeper; None where this service has none, or did not hear of the end itself.
    held: Held | None = None
    #: Whether outputs that do not come whole this time are given up.
    is_last: bool = False


async def settle(api: Api, daemon: Daemon, records: Records, ended: Ended) -> Exited | None:
    """Bring what a run left to this host, and say how it ended; None where it has not ended, or is gone.

    Args:
        api: The daemon.
        daemon: The same, as it is asked about runs.
        records: Where to.
        ended: The run.

    Raises:
        CutOff: The outputs did not come whole.
        Unavailable: The daemon did not answer; nothing is lost.
    """
    run = ended.run
    # Asked of the container itself: a list may still call it running when the event of its end has come. Docker answers
    # when it has cleaned up behind the run, which takes it longer than the keeper takes to hand over.
    facts, failure = await asyncio.gather(daemon.facts(run), _taken(records, run, ended.held), return_exceptions=True)
    if isinstance(facts, BaseException):
        raise facts
    if isinstance(failure, BaseException):
        raise failure
    if facts is None or facts.state not in ENDED:
        return None
    if failure is None:
        failure = await _fetched(api, daemon, records, ended)
    if failure in _DETAILS:
        await asyncio.to_thread(_forget, records.folder(run))
    return _exited(facts, records, run, failure)


async def _taken(records: Records, run: RunId, held: Held | None) -> str | None:
    """Take outputs and log by the open way, and say what failed; None where they did not come by it."""
    if held is None:
        return None
    word = new_word()
    try:
        with contextlib.closing(held.handover):
            left = held.handover.left(word)
            await asyncio.to_thread(_take, left, word, records.folder(run), held.disk_bytes, held.log_bytes)
    except (CutOff, Unavailable):
        return None
    except OSError as problem:
        return _failure_of(problem)
    return ""


async def _fetched(api: Api, daemon: Daemon, records: Records, ended: Ended) -> str:
    """Take outputs and log by a command in the keeper, and say what failed; empty for nothing."""
    keeper = (await daemon.parts(ended.run)).get(containers.KEEPER)
    if keeper is None or not keeper.is_running:
        return "lost"
    _, log_bytes, disk_bytes = containers.limits_of(keeper.labels)
    try:
        await asyncio.to_thread(_fetch, api, keeper.id, records.folder(ended.run), disk_bytes, log_bytes)
    except CutOff:
        if not ended.is_last:
            raise
        return "sandbox"
    except OSError as problem:
        return _failure_of(problem)
    return ""


def _failure_of(problem: OSError) -> str:
    return "no_space" if problem.errno in {errno.ENOSPC, errno.EDQUOT} else "sandbox"


def _exited(facts: Facts, records: Records, run: RunId, failure: str) -> Exited:
    finished_at = facts.finished_at or time.time()
    return Exited(
        code=facts.code if failure != "lost" else 1,
        started_at=facts.started_at,
        finished_at=max(finished_at, facts.started_at or 0.0),
        out_of_memory=facts.out_of_memory,
        ended_by=records.asked(run)[0],
        failure=failure,
        detail=_DETAILS.get(failure, ""),
    )


def log_so_far(api: Api, keeper: str, offset: int, length: int, *, by_archive: bool) -> bytes:
    """Give part of what the keeper has of a log; in a thread.

    Args:
        api: The daemon.
        keeper: Its container.
        offset: Where the part begins.
        length: Bytes at the most.
        by_archive: Read the whole file through the daemon. Podman keeps a process for minutes after each command.
    """
    if by_archive:
        try:
            with api.archive(keeper, "/c/log/text") as pieces:
                return content_of(pieces, offset + length)[offset:]
        except Refused as refusal:
            if not refusal.is_missing:
                raise
            return b""  # the run has not come so far
    found = b""
    with api.output_of(keeper, *scripts.SHELL, scripts.TELLING, "tell", str(offset + 1)) as pieces:
        for piece in pieces:
            found += piece
            if len(found) >= length:
                break
    return found[:length]


def _fetch(api: Api, keeper: str, folder: Path, disk_bytes: int, log_bytes: int) -> None:
    word = new_word()
    with api.output_of(keeper, *scripts.SHELL, scripts.HANDING, "hand", word) as pieces:
        _take(pieces, word, folder, disk_bytes, log_bytes)


def _take(pieces: Iterator[bytes], word: str, folder: Path, disk_bytes: int, log_bytes: int) -> None:
    """Take the outputs to a folder beside, and put them at their place when they are whole."""
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    log = unpack(pieces, partial, disk_bytes, log_bytes + 1, f"{word}\n".encode())
    (partial / "log").write_bytes(log if len(log) <= log_bytes else log[:log_bytes] + _NOTE)
    (partial / "log").chmod(0o600)
    for name in (*PARTS, "log"):
        shutil.rmtree(folder / name, ignore_errors=True)
        if (partial / name).exists():
            (partial / name).replace(folder / name)
    partial.rmdir()


def _forget(folder: Path) -> None:
    """Give the space back that half of a copy takes: where a disk is full, nobody else can write either."""
    for name in ("partial", *PARTS):
        shutil.rmtree(folder / name, ignore_errors=True)
