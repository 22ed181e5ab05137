"""An open way to a keeper: by it Cove gives a run what it is to have, and takes what it left.

It is a connection to the keeper's first process (``scripts.KEEPING``), there from the keeper's start on: a command in a
container, or an archive of the daemon's, takes almost as long as a short run. It ends with the service, and the keeper
stays: whoever comes then takes the run's end by a command (``scripts.HANDING``).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from cove.core.errors import Unavailable
from cove.core.job import RunId
from cove.engines.docker.api import Api, Attached

_GIVEN: Final = b"given\n"


@dataclass(frozen=True, slots=True)
class Handover:
    """An open way to a keeper. Every method blocks, and raises ``Unavailable`` where nobody answers."""

    connection: Attached

    def give(self, archive: bytes) -> None:
        """Have the keeper unpack what Cove gives; it has made its own folders by then.

        Raises:
            Unavailable: It does not say that it did.
        """
        self.connection.send(b"give %d\n" % len(archive))
        self.connection.send(archive)
        answer = b""
        for piece in self.connection.pieces():
            answer += piece
            if len(answer) >= len(_GIVEN):
                break
        if answer != _GIVEN:
            raise Unavailable("the container daemon", "The container daemon lost the keeper of a run.")

    def left(self, word: str) -> Iterator[bytes]:
        """Have the keeper hand over what a run left, which must have ended, as it comes.

        Args:
            word: What it says at the end, on a line; it stays open after that.
        """
        self.connection.send(f"hand {word}\n".encode())
        yield from self.connection.pieces()

    def close(self) -> None:
        """Let go of it; the keeper stays. May be repeated."""
        self.connection.close()


async def opened(api: Api, keeper: str) -> Handover:
    """Open the way to a keeper that was started.

    Raises:
        Refused: There is none.
        Unavailable: The daemon did not answer.
    """
    opening = asyncio.create_task(asyncio.to_thread(api.attached, keeper))
    try:
        return Handover(await asyncio.shield(opening))
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Task[Attached]) -> None:
    """Let go of what nobody waits for any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def new_word() -> str:
    """Give a word that nobody can know."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Held:
    """A run that this service started, with the way to its keeper."""

    #: The daemon's own name of the run's container: another one of the same run has another.
    main: str
    handover: Handover
    disk_bytes: int
    log_bytes: int


@dataclass(frozen=True, slots=True)
class Handovers:
    """The open ways to the keepers of runs that go on."""

    _held: dict[RunId, Held] = field(default_factory=dict)

    def keep(self, run: RunId, held: Held) -> None:
        """Keep one until its run ends."""
        self.drop(run)
        self._held[run] = held

    def take(self, run: RunId, main: str) -> Held | None:
        """Give the one of a run that has ended; None where there is none.

        Args:
            run: The run.
            main: The daemon's own name of the container that ended: it may be one that was removed, and the run goes on
                in another.
        """
        held = self._held.get(run)
        return self._held.pop(run) if held is not None and held.main == main else None

    def drop(self, run: RunId) -> None:
        """Let go of one."""
        held = self._held.pop(run, None)
        if held is not None:
            held.handover.close()

    def close(self) -> None:
        """Let go of all."""
        for run in list(self._held):
            self.drop(run)
