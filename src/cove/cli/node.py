"""A chain's node, for commands: they make few calls, and what the service calls nodes with takes long to load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import httpx2

from cove.client.http import client_for
from cove.core.errors import Unavailable

_SECONDS: Final = 20.0
_MAX_ANSWER: Final = 64 << 20


class Node:
    """A node behind an HTTP URL, which may hold an access key: no text shows it. It is a wallet's ``Transport``.

    Args:
        url: Of the node.
        chain_id: Of its chain, for the texts of errors.
    """

    def __init__(self, url: str, chain_id: int) -> None:
        self._url = url
        self._part = f"chain {chain_id}"
        self._http = client_for(url, timeout=_SECONDS)

    async def exchange(self, body: Mapping[str, object]) -> object:
        """Send one JSON-RPC body and give the node's whole answer, parsed.

        Raises:
            Unavailable: The node did not answer in JSON.
        """
        content = bytearray()
        try:
            async with self._http.stream("POST", self._url, json=body) as answer:
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > _MAX_ANSWER:
                        raise Unavailable(self._part, f"{self._part} gave an answer that is too large")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
            raise Unavailable(self._part) from None
        try:
            parsed: object = json.loads(content)
        except (ValueError, RecursionError):
            text = f"{self._part} answered HTTP status {answer.status_code} and no JSON"
            raise Unavailable(self._part, text) from None
        return parsed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def __repr__(self) -> str:
        return f"Node({self._part})"
