"""Trusted algorithms of a dataset: what of an algorithm is approved, and the lists in a DDO.

A list that is empty trusts every published algorithm (``cove.core.trust``). So the last entry is never just taken off:
an entry that no algorithm can meet takes its place.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2

from cove.client.http import client_for
from cove.client.wallet import MarketError

EVERYBODY: Final = "*"
NOBODY: Final[Mapping[str, str]] = {
    "did": "did:op:" + "0" * 64,
    "filesChecksum": "0" * 64,
    "containerSectionChecksum": "0" * 64,
}
"""Stands in a list that shall trust no algorithm."""

_LIST: Final = "publisherTrustedAlgorithms"
_PUBLISHERS: Final = "publisherTrustedAlgorithmPublishers"
#: What a cache or a Cove adds to a DDO that it serves.
_ADDED: Final = ("nft", "event", "datatokens", "stats", "purgatory")
_OK: Final = 200
_NOT_FOUND: Final = 404
_SECONDS: Final = 60.0
_SHOWN_SECONDS: Final = 20.0
_PAUSE_SECONDS: Final = 0.2


async def published_document(provider: str, did: str) -> dict[str, Any]:
    """Give an asset's DDO as its publisher wrote it, from a provider that knows it.

    Raises:
        MarketError: The provider does not answer, or does not know it.
    """
    document = await _shown(provider, did)
    if document is None:
        raise MarketError(f"The provider at {provider} knows no asset {did}.")
    return document


async def until_shown(
    provider: str, did: str, document: Mapping[str, Any] | None, seconds: float = _SHOWN_SECONDS
) -> bool:
    """Wait until a provider shows a change of an asset: it may believe for a second that its chain has nothing new.

    Args:
        provider: One that knows the asset.
        did: The asset.
        document: Its DDO as it was put on chain; None: it is not to be shown any more.
        seconds: How long to wait at the most.

    Returns:
        Whether it shows it; False too where it does not answer.
    """
    deadline = time.monotonic() + seconds
    try:
        while await _shown(provider, did) != document:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_PAUSE_SECONDS)  # nothing tells of it
    except MarketError:
        return False
    return True


async def approval(provider: str, did: str) -> dict[str, str]:
    """Give the entry that trusts an algorithm as it is now: the digests of its files and of its container section.

    Args:
        provider: One that knows the algorithm; the one that keeps its files is asked for their digests.
        did: The algorithm.

    Raises:
        MarketError: There is no such algorithm, or its files cannot be hashed.
    """
    document = await published_document(provider, did)
    container = document.get("metadata", {}).get("algorithm", {}).get("container")
    if document.get("metadata", {}).get("type") != "algorithm" or not isinstance(container, Mapping):
        raise MarketError(f"{did} is no algorithm.")
    service = document["services"][0]
    keeper = str(service.get("serviceEndpoint") or provider)
    asked = {"did": did, "serviceId": service["id"], "checksum": True}
    found = _json(await _ask("POST", keeper, "/api/services/fileinfo", asked), keeper)
    digests = [entry.get("checksum") for entry in found] if isinstance(found, list) else []
    if not digests or not all(isinstance(digest, str) and digest for digest in digests):
        raise MarketError(f"The provider at {keeper} cannot hash the files of {did} now.")
    section = f"{container.get('entrypoint', '')}{container.get('checksum', '')}"
    return {
        "did": did,
        "filesChecksum": "".join(str(digest) for digest in digests),
        "containerSectionChecksum": hashlib.sha256(section.encode()).hexdigest(),
    }


def trusted(document: Mapping[str, Any], service: str | None = None) -> tuple[list[dict[str, str]], list[str]]:
    """Give the algorithms and the publishers that a dataset's compute service trusts, without the stand-in for nobody.

    Raises:
        MarketError: It has no compute service, or none of that id.
    """
    terms = _terms(document, service)
    entries = [dict(entry) for entry in terms.get(_LIST) or () if isinstance(entry, Mapping)]
    return [entry for entry in entries if entry.get("did") != NOBODY["did"]], list(terms.get(_PUBLISHERS) or ())


def is_open(document: Mapping[str, Any], service: str | None = None) -> bool:
    """Say whether a dataset's compute service trusts every published algorithm."""
    terms = _terms(document, service)
    return not terms.get(_LIST) and not terms.get(_PUBLISHERS)


def with_trusted(
    document: Mapping[str, Any], entries: Sequence[Mapping[str, str]], service: str | None = None
) -> dict[str, Any]:
    """Give the document with these trusted algorithms instead; none of them trusts no algorithm."""
    changed = copy.deepcopy(dict(document))
    _terms(changed, service)[_LIST] = [dict(entry) for entry in entries] or [dict(NOBODY)]
    return changed


def _terms(document: Mapping[str, Any], service: str | None) -> dict[str, Any]:
    for entry in document.get("services") or ():
        if entry.get("type") == "compute" and service in {None, entry.get("id")}:
            terms: dict[str, Any] = entry.setdefault("compute", {})
            return terms
    raise MarketError(f"{document.get('id')} has no compute service{f' {service}' if service else ''}.")


async def _shown(provider: str, did: str) -> dict[str, Any] | None:
    """Give an asset's DDO as its publisher wrote it; None where the provider shows none."""
    answer = await _ask("GET", provider, f"/api/aquarius/assets/ddo/{did}", None)
    if answer.status_code == _NOT_FOUND:
        return None
    document = _json(answer, provider)
    if not isinstance(document, dict):
        raise MarketError(f"What answers at {provider} is no provider.")
    return {name: part for name, part in document.items() if name not in _ADDED}


async def _ask(method: str, provider: str, path: str, body: Mapping[str, object] | None) -> httpx2.Response:
    try:
        async with client_for(provider, timeout=_SECONDS) as client:
            return await client.request(method, provider.rstrip("/") + path, json=body)
    except (httpx2.HTTPError, httpx2.InvalidURL):
        raise MarketError(f"The provider at {provider} does not answer.") from None


def _json(answer: httpx2.Response, provider: str) -> Any:  # noqa: ANN401 - checked by whoever asks
    if answer.status_code != _OK:
        raise MarketError(f"The provider at {provider} refused (status {answer.status_code}).")
    try:
        return answer.json()
    except ValueError:
        raise MarketError(f"What answers at {provider} is no provider.") from None
