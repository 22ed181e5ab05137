"""What keeps messages about jobs until they arrive, and what brings them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cove.core.webhook import Message, Signed


@dataclass(frozen=True, slots=True)
class MessageCount:
    """How many messages of a target were given up, and why the last one."""

    target: str
    count: int
    note: str


class MessageStore(Protocol):
    """Keeps messages. They come in with the very write that changes a job's phase, so that none is lost or made up."""

    async def next(self) -> Message | None:
        """Give the open message that is due first, whether or not it is due yet; None when there is none."""
        ...

    async def save(self, message: Message) -> Message:
        """Write a message if nobody else did since it was read.

        Raises:
            StaleWrite: Somebody else did.
        """
        ...

    async def remove(self, message: Message) -> None:
        """Forget a message that arrived. May be repeated."""
        ...

    async def retry(self) -> int:
        """Open every message that was given up, as if it was new and due now; give how many there were."""
        ...

    async def failed(self) -> Sequence[MessageCount]:
        """Count the messages that were given up."""
        ...


class Poster(Protocol):
    """Posts a message to a URL. Blocking; no text of an error quotes the URL, or what was answered."""

    def post(self, url: str, message: Signed) -> int:
        """Post it, follow no redirect, and give the status of the answer.

        Raises:
            Unavailable: The server does not answer.
            Refused: The URL may not be reached, now or ever.
        """
        ...
