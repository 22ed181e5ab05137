"""The DDO as others may see it: as a cache serves it, and as an algorithm finds it in ``/data/ddos``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from cove.core.asset import Asset

_TOP: Final = (
    "@context",
    "id",
    "version",
    "chainId",
    "nftAddress",
    "metadata",
    "services",
    "credentials",
    "datatokens",
    "event",
    "nft",
    "stats",
    "purgatory",
)
_SERVICE: Final = (
    "id",
    "type",
    "name",
    "description",
    "timeout",
    "files",
    "datatokenAddress",
    "serviceEndpoint",
    "consumerParameters",
    "additionalInformation",
    "compute",
)
_METADATA_TEXTS: Final = ("description", "name", "type", "author", "license")
_INDEXED: Final = ("datatokens", "event", "nft", "stats", "purgatory")
"""Parts that whoever indexes the chain adds to a DDO; a publisher can only claim them."""

_MAX_DEPTH: Final = 64
_REMEMBERED_LENGTH: Final = 1 << 16


def served_document(asset: Asset) -> str:
    """Give the DDO of an asset as JSON text, as a metadata cache serves it: what was published, and the chain's facts.

    A document that comes from a cache is given as it is.
    """
    if not asset.metadata_tx:
        return asset.document
    body = _indexed(json.loads(asset.document), asset)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def public_document(asset: Asset) -> str:
    """Give the DDO of an asset as JSON text, as algorithms may see it.

    Only the parts that version 4 names are kept. Libraries read it into strict classes, so what caches usually add
    (``event``, ``nft``, ``datatokens``, ``stats``, ``purgatory``) is filled in where it is missing, nulls are left
    out, and so is ``additionalInformation`` where it is an object. The file list stays the ciphertext that it was
    published as.
    """
    return _public(asset) if len(asset.document) > _REMEMBERED_LENGTH else _public_again(asset)


def _public(asset: Asset) -> str:
    body = _indexed(json.loads(asset.document), asset)
    kept = {name: _without_nulls(body[name]) for name in _TOP if body.get(name) is not None}
    kept["metadata"] = _metadata(kept.get("metadata"))
    services = kept.get("services")
    kept["services"] = [_service(entry) for entry in services] if isinstance(services, list) else []
    filled = _filled(kept, _usual_parts(asset))
    return json.dumps({name: filled[name] for name in _TOP}, ensure_ascii=False)


_public_again = lru_cache(256)(_public)
"""Every start of a job asks for the documents of its assets, and these seldom change."""


def minimal_document(did: str, kind: str) -> str:
    """Give a DDO for something that was never published, such as raw code.

    Args:
        did: What stands in ``DIDS`` or ``TRANSFORMATION_DID`` for it.
        kind: ``dataset`` or ``algorithm``.
    """
    metadata = dict.fromkeys(_METADATA_TEXTS, "") | {"type": kind, "name": did, "description": "Not published."}
    body = {"@context": ["https://w3id.org/did/v1"], "id": did, "version": "4.1.0", "chainId": 0, "nftAddress": ""}
    parts = {"metadata": metadata, "services": [], "datatokens": [], **_chain_parts("", "", 0)}
    return json.dumps(body | parts, ensure_ascii=False)


def _indexed(body: Mapping[str, object], asset: Asset) -> Mapping[str, object]:
    """Put the chain's facts in place of a publisher's claims; what a cache said stays."""
    if not asset.metadata_tx:
        return body
    facts = _chain_parts(asset.nft, asset.publisher, asset.state, asset.metadata_tx)
    published = {name: part for name, part in body.items() if name not in _INDEXED}
    return {**published, "nft": facts["nft"], "event": facts["event"], "datatokens": _datatokens(asset)}


def _datatokens(asset: Asset) -> list[dict[str, str]]:
    return [
        {"address": service.datatoken, "name": "", "symbol": "", "serviceId": service.id} for service in asset.services
    ]


def _usual_parts(asset: Asset) -> dict[str, object]:
    own: dict[str, object] = {
        "@context": ["https://w3id.org/did/v1"],
        "id": asset.did,
        "version": "4.1.0",
        "chainId": asset.chain_id,
        "nftAddress": asset.nft,
        "metadata": {},
        "services": [],
        "datatokens": _datatokens(asset),
    }
    return own | _chain_parts(asset.nft, asset.publisher, asset.state)


def _chain_parts(nft: str, owner: str, state: int, tx_id: str = "") -> dict[str, object]:
    return {
        "credentials": {"allow": [], "deny": []},
        "event": {"tx": tx_id, "block": 0, "from": owner, "contract": nft, "datetime": ""},
        "nft": {
            "address": nft,
            "name": "",
            "symbol": "",
            "state": state,
            "tokenURI": "",
            "owner": owner,
            "created": "",
        },
        "stats": {"allocated": 0, "orders": 0, "price": {"value": 0}},
        "purgatory": {"state": False},
    }


def _metadata(value: object) -> dict[str, object]:
    body = _without_objects(value)
    return dict.fromkeys(_METADATA_TEXTS, "") | body


def _service(value: object) -> dict[str, object]:
    known = {name: part for name, part in value.items() if name in _SERVICE} if isinstance(value, Mapping) else {}
    return {"timeout": 0, "files": "", "serviceEndpoint": ""} | _without_objects(known)


def _without_objects(value: object) -> dict[str, object]:
    """Leave ``additionalInformation`` out where it is an object: strict readers expect a text there."""
    if not isinstance(value, Mapping):
        return {}
    return {
        name: part
        for name, part in value.items()
        if name != "additionalInformation" or not isinstance(part, Mapping | list)
    }


def _filled(given: Mapping[str, object], usual: Mapping[str, object]) -> dict[str, object]:
    """Add the usual parts where nothing of their type is given."""
    filled = dict(given)
    for name, part in usual.items():
        present = filled.get(name)
        if isinstance(part, Mapping):
            filled[name] = _filled(present, part) if isinstance(present, Mapping) else dict(part)
        elif present is None:
            filled[name] = part
    return filled


def _without_nulls(value: object, depth: int = 0) -> object:
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, Mapping):
        return {name: _without_nulls(part, depth + 1) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part, depth + 1) for part in value if part is not None]
    return value
