"""A server of the site that keeps proofs of access, told as Ocean Provider tells its own (``USE_HTTP_PROOF``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import httpx2

from cove.core.errors import Unavailable
from cove.core.proof import Access, Proof
from cove.ports import SaveProof

LANE: Final = "http"
PART: Final = "proof server"


class HttpProofs:
    """A ``ProofSink`` that posts each proof to one URL, which may hold a secret, so that no text shows it.

    Proofs go out at least once: where Cove ends between a post and the note of it, the post is made again.

    Args:
        url: Where proofs go.
        sign: Signs a text as requests of the API are signed, ``0x`` hex.
        now: Gives the Unix time.
        timeout: Seconds for one post.
    """

    lane = LANE
    in_order = False

    def __init__(self, url: str, sign: Callable[[str], str], now: Callable[[], float], *, timeout: float) -> None:
        self._url = url
        self._sign = sign
        self._now = now
        self._timeout = timeout
        self._client = httpx2.AsyncClient(
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    def takes(self, access: Access) -> bool:
        """Say that any access is taken."""
        del access
        return True

    async def deliver(self, proof: Proof, save: SaveProof) -> float | None:
        """Post a proof. Another Cove on the same database leaves it alone meanwhile.

        Raises:
            Unavailable: The server does not answer with a status of success.
            StaleWrite: Another Cove posts it.
        """
        await save(replace(proof, due_at=self._now() + 2 * self._timeout))
        form = form_of(proof.access, self._sign)
        try:
            async with asyncio.timeout(self._timeout), self._client.stream("POST", self._url, data=form) as answer:
                status = answer.status_code
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError):
            raise Unavailable(PART) from None
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own
            raise Unavailable(PART, f"{PART} answered status {status}")
        return None

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()


def form_of(access: Access, sign: Callable[[str], str]) -> Mapping[str, str]:
    """Give the fields of the form that is posted."""
    return {
        "orderTxId": access.order_tx,
        "providerData": access.provider_data,
        "providerSignature": sign(access.provider_data),
        "consumerData": access.consumer_data,
        "consumerSignature": access.consumer_signature,
        "consumerAddress": access.consumer,
    }
