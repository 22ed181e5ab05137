"""Brings messages about jobs to those who asked for them. It never holds up a job, and gives up after days."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cove.core.errors import CoveError, NotFound, Refused, StaleWrite, Unavailable
from cove.core.job import JobId, Webhook
from cove.core.webhook import CONSUMER, Message, given_up, postponed, secret_of, signed
from cove.ports import Clock, Finding
from cove.ports.webhooks import MessageCount, MessageStore, Poster

log = logging.getLogger("cove.webhooks")

AT_ONCE: Final = 4
"""Messages under way at one time, so that a receiver that is slow holds up few others."""

CLAIM_SECONDS: Final = 60.0
"""So long a message is left alone that somebody posts, or began to post when the service was killed."""

_LONGEST_SLEEP: Final = 60.0
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class WebhookParts:
    """What messages are brought with."""

    store: MessageStore
    clock: Clock
    #: The owner's own places, by target.
    places: Mapping[str, Webhook]
    #: For those.
    to_places: Poster
    #: For what consumers named.
    to_consumers: Poster
    #: Gives what a job's consumer named; None for nothing.
    named: Callable[[JobId], Awaitable[Webhook | None]]


class WebhookService:
    """Delivers messages, each at least once.

    Args:
        parts: Store, places and posters.
    """

    def __init__(self, parts: WebhookParts) -> None:
        self._parts = parts
        self._news = asyncio.Event()
        #: Called with each message that arrived or was given up.
        self.listeners: set[Callable[[Message], None]] = set()

    def hear(self, _: JobId) -> None:
        """Look for messages now: a job has changed."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is taken up at the next start."""
        async with asyncio.TaskGroup() as group:
            for number in range(AT_ONCE):
                group.create_task(self._serve(), name=f"webhooks {number}")

    async def examine(self) -> Sequence[Finding]:
        """Look at what could not be delivered."""
        return given_up_messages(await self._parts.store.failed())

    async def _serve(self) -> None:
        while True:
            self._news.clear()
            pause = await self._safely()
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(pause, _LONGEST_SLEEP)):
                        await self._news.wait()

    async def _safely(self) -> float:
        try:
            return await self._step()
        except StaleWrite:
            return 0.01  # another one of us has it
        except CoveError as problem:
            log.warning("webhooks wait: %s", problem.message)
        except Exception:  # a loop's top, as the reconciler's: one message must never end it
            log.exception("a webhook could not be taken further; trying again")
        return 5.0

    async def _step(self) -> float:
        """Take one message further; give the seconds until there may be something to do again."""
        parts = self._parts
        message = await parts.store.next()
        if message is None:
            return _LONGEST_SLEEP
        now = parts.clock.now()
        if message.due_at > now:
            return message.due_at - now
        claimed = await parts.store.save(replace(message, due_at=now + CLAIM_SECONDS))
        try:
            await self._deliver(claimed)
        except Refused as problem:
            await self._end(given_up(claimed, problem.reason))
        except Unavailable as problem:
            await self._end(postponed(claimed, parts.clock.now(), problem.message))
        else:
            await parts.store.remove(claimed)
            self._tell(claimed)
        return 0.0

    async def _deliver(self, message: Message) -> None:
        parts = self._parts
        of_consumer = message.target == CONSUMER
        try:
            place = await parts.named(message.job_id) if of_consumer else parts.places.get(message.target)
        except NotFound:
            place = None
        if place is None:
            return  # the job is deleted, or the settings name the place no more: nobody wants it
        try:
            ready = signed(message, secret_of(place.secret), parts.clock.now())
        except ValueError:
            raise Refused("webhook", "secret_invalid") from None
        poster = parts.to_consumers if of_consumer else parts.to_places
        status = await asyncio.to_thread(poster.post, place.url, ready)
        if status == _GONE:
            raise Refused("webhook", "gone")
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own
            raise Unavailable("webhook", f"the receiver answered status {status}")

    async def _end(self, message: Message) -> None:
        saved = await self._parts.store.save(message)
        if saved.state != "open":
            log.warning("a message for %s is given up: %s", saved.target, saved.note)
            self._tell(saved)

    def _tell(self, message: Message) -> None:
        for listener in tuple(self.listeners):
            listener(message)


def given_up_messages(counts: Sequence[MessageCount]) -> Sequence[Finding]:
    """Say which messages were given up, and what to do; those for consumers are theirs to look at."""
    return [
        Finding(
            "webhooks",
            ok=False,
            seen=f"{one.count} messages for {one.target} were given up; last: {one.note}",
            advice="Look at the receiver, then have them sent again: cove retry-webhooks.",
        )
        for one in counts
        if one.target != CONSUMER
    ]
