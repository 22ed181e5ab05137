"""Puts a question to a server of the site: one POST, within a time, with a bounded answer and bounded in number."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import httpx2

from cove.core.errors import TooMany, Unavailable

MAX_ANSWER_BYTES: Final = 64 << 10
_FREE_AT_ONCE: Final = 4
_PAID_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    #: Without parameters, lower case.
    content_type: str
    body: bytes


class Asker:
    """One server. Its URL may hold a secret, so that no text shows it.

    Questions that cost their sender nothing have places of their own: however many of them are sent, those who paid
    find a place, and nobody makes Cove open more connections than there are places.

    Args:
        url: Where the questions go.
        part: What the server is called in errors.
        timeout: Seconds for one question, the wait for a place included.
    """

    def __init__(self, url: str, part: str, *, timeout: float) -> None:
        self._url = url
        self._part = part
        self._timeout = timeout
        self._free = asyncio.Semaphore(_FREE_AT_ONCE)
        self._paid = asyncio.Semaphore(_PAID_AT_ONCE)
        self._client = httpx2.AsyncClient(
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            # A connection that the server closes just when it is used again would look like a server that is down.
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    @contextlib.asynccontextmanager
    async def place(self, *, free: bool) -> AsyncIterator[None]:
        """Hold one of the places for a whole question, which may take several posts.

        Args:
            free: True where the one who asks paid for nothing.

        Raises:
            TooMany: All places for free questions are taken.
            Unavailable: The time is over.
        """
        if free and self._free.locked():
            raise TooMany(f"The {self._part} is being asked too much.", retry_after=1)
        try:
            async with asyncio.timeout(self._timeout), self._free if free else self._paid:
                yield
        except TimeoutError:
            raise self.unusable("does not answer in time") from None

    async def post(self, body: str) -> Reply:
        """Send a JSON text and give the answer.

        Raises:
            Unavailable: There is none, or it is too large.
        """
        try:
            return await self._exchange(body)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError):
            raise self.unusable("does not answer") from None

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    def unusable(self, what: str) -> Unavailable:
        """Make the error for a server that cannot be had."""
        return Unavailable(self._part, f"the {self._part} {what}, so that nothing was done")

    async def _exchange(self, body: str) -> Reply:
        headers = {"Content-Type": "application/json"}
        # Text from outside may hold half a surrogate pair; it goes out as the question mark that it is worth.
        content = body.encode("utf-8", "replace")
        async with self._client.stream("POST", self._url, content=content, headers=headers) as answer:
            received = bytearray()
            async for chunk in answer.aiter_bytes():
                received += chunk
                if len(received) > MAX_ANSWER_BYTES:
                    raise self.unusable("answered too much")
        kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
        return Reply(answer.status_code, kind, bytes(received))
