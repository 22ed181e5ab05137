"""Published assets from a metadata cache beside the chain (Aquarius, or another Cove)."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

import httpx2

from cove.core import ddo, json_form
from cove.core.asset import Asset
from cove.core.errors import Invalid, NotFound, Unavailable

PART: Final = "the metadata cache"
MAX_ANSWER_BYTES: Final = 8 << 20

_DID: Final = re.compile(r"did:op:[0-9a-f]{64}\Z")
_OK: Final = 200
_NOT_FOUND: Final = 404
_NO_STATE: Final = 0
_REMEMBERED: Final = 10_000


class AquariusMetadata:
    """A cache that answers ``GET /api/aquarius/assets/ddo/<did>``, as ``cove.ports.MetadataStore`` describes it.

    The cache is believed about an NFT's owner and state, so it must be the provider's own or one that it trusts.

    Args:
        base_url: Of the cache, without the path.
        timeout: Seconds for a whole lookup.
    """

    def __init__(self, base_url: str, *, timeout: float = 15.0) -> None:
        self._url = f"{base_url.rstrip('/')}/api/aquarius/assets/ddo/"
        self._known: OrderedDict[str, None] = OrderedDict()
        self._client = httpx2.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False)

    def knows(self, did: str) -> bool:
        """Say whether the cache gave this asset before; it asks nobody, so False says nothing."""
        return did.lower() in self._known

    async def asset(self, did: str) -> Asset:
        """Give an asset.

        Raises:
            NotFound: The cache knows no such asset, or what it has is no valid DDO.
            Unavailable: The cache does not answer, or not as it should.
        """
        did = did.lower()
        if not _DID.match(did):
            raise NotFound("There is no such asset: did:op: and 64 hex digits are expected.")
        content = await self._fetch(did)
        try:
            body = json_form.mapping(json_form.load(content, "ddo", limit=MAX_ANSWER_BYTES), "ddo")
        except Invalid:
            raise Unavailable(PART, f"{PART} answered something else than JSON") from None
        try:
            nft = json_form.optional_mapping(body.get("nft"), "nft")
            state = nft.get("state", _NO_STATE)
            asset = ddo.parse(
                body,
                publisher=json_form.optional_text(nft.get("owner"), "nft.owner"),
                state=json_form.whole_number(state, "nft.state", least=0, most=255),
            )
        except Invalid as problem:
            field = next(iter(problem.errors), "ddo")
            raise NotFound(f"What was published under this DID is no valid DDO: {field} is wrong.") from None
        if asset.did != did:
            raise NotFound("The metadata cache has another asset under this DID.")
        self._known[did] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return asset

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    async def _fetch(self, did: str) -> bytes:
        content = bytearray()
        try:
            async with self._client.stream("GET", self._url + did) as answer:
                if answer.status_code == _NOT_FOUND:
                    raise NotFound("There is no such asset.", hint="Publish it first, or check the DID.")
                if answer.status_code != _OK:
                    raise Unavailable(PART, f"{PART} answered status {answer.status_code}")
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise Unavailable(PART, f"{PART} sent more than {MAX_ANSWER_BYTES} bytes for one asset")
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError):
            raise Unavailable(PART) from None
        return bytes(content)
