"""DDOs and assets, for tests of what reads them."""

from __future__ import annotations

from typing import Any

from cove.core.asset import Asset
from cove.core.ddo import parse

NFT = "0xAbCdef0123456789abcdef0123456789ABCDEF01"
DATATOKEN = "0x1111111111111111111111111111111111111111"
OWNER = "0x2222222222222222222222222222222222222222"
DID = "did:op:" + "0a" * 32
ALGORITHM_DID = "did:op:" + "0b" * 32


def a_service(**changes: Any) -> dict[str, Any]:
    """Give a compute service as a DDO has it."""
    service = {
        "id": "1",
        "type": "compute",
        "datatokenAddress": DATATOKEN,
        "serviceEndpoint": "http://provider",
        "files": "0x04ab",
        "timeout": 3600,
        "compute": {
            "allowRawAlgorithm": False,
            "allowNetworkAccess": True,
            "publisherTrustedAlgorithmPublishers": [],
            "publisherTrustedAlgorithms": [],
        },
    }
    return service | changes


def a_document(**changes: Any) -> dict[str, Any]:
    """Give the DDO of a dataset."""
    document = {
        "@context": ["https://w3id.org/did/v1"],
        "id": DID,
        "version": "4.1.0",
        "chainId": 8996,
        "nftAddress": NFT,
        "metadata": {"type": "dataset", "name": "Weather", "description": "d", "author": "a", "license": "l"},
        "services": [a_service()],
    }
    return document | changes


def an_asset(**changes: Any) -> Asset:
    """Give the asset of :func:`a_document`."""
    return parse(a_document(**changes), publisher=OWNER, state=0)
