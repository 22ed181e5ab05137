"""Publishes and orders assets on Ocean's contracts, as a front end would.

``Wallet`` and ``deploy_ocean`` are re-exported, so that one import is enough for a demo or a script.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import httpx2
from eth_hash.auto import keccak

from cove.client.contracts import OceanAddresses, deploy_artifact, deploy_ocean
from cove.client.http import client_for
from cove.client.ordering import NO_ADDRESS, ONE_DATATOKEN, approve, mint, order, reuse_order, token_balance, transfer
from cove.client.signing import checksum_address
from cove.client.wallet import MarketError, Sent, Transport, Wallet

__all__ = [
    "NO_ADDRESS",
    "ONE_DATATOKEN",
    "AssetDraft",
    "MarketError",
    "OceanAddresses",
    "Published",
    "Sent",
    "ServiceDraft",
    "Transport",
    "Wallet",
    "approve",
    "build_document",
    "create_datatoken",
    "create_nft",
    "deploy_artifact",
    "deploy_ocean",
    "did_of",
    "mint",
    "order",
    "provider_encrypt",
    "publish",
    "reuse_order",
    "set_metadata",
    "set_metadata_state",
    "token_balance",
    "transfer",
]

COMPRESSED: Final = 1
ENCRYPTED: Final = 2

_SECONDS: Final = 30.0

_NFT_CREATED: Final = keccak(b"NFTCreated(address,address,string,address,string,string,bool,address)").hex()
_TOKEN_CREATED: Final = keccak(b"TokenCreated(address,address,string,string,uint256,address)").hex()
_CREATE: Final = (
    "createNftWithErc20((string,string,uint256,string,bool,address),(uint256,string[],address[],uint256[],bytes[]))"
)
SET_METADATA: Final = "setMetaData(uint8,string,string,bytes,bytes,bytes32,(address,uint8,bytes32,bytes32)[])"

Encrypt = Callable[[bytes], Awaitable[str]]
"""Has bytes encrypted by a provider to itself and gives ``0x`` hex."""


@dataclass(frozen=True, slots=True)
class ServiceDraft:
    """A service of an asset that is to be published."""

    #: ``access`` or ``compute``.
    type: str
    #: File objects (``{"type": "url", "url": .., "method": "GET"}``); they leave this process encrypted only.
    files: Sequence[Mapping[str, object]] = field(repr=False)
    #: Base URL of the provider.
    endpoint: str
    #: Seconds that an order is good for; 0 for ever.
    timeout: int = 3600
    #: Empty: its position.
    id: str = ""
    #: The ``compute`` section; None for access.
    compute: Mapping[str, object] | None = None
    #: ``consumerParameters``.
    parameters: Sequence[Mapping[str, object]] = ()
    name: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class AssetDraft:
    """An asset that is to be published."""

    name: str
    services: Sequence[ServiceDraft]
    #: ``dataset`` or ``algorithm``.
    type: str = "dataset"
    description: str = "Published with Cove."
    author: str = "unknown"
    license: str = "https://market.oceanprotocol.com/terms"
    tags: Sequence[str] = ()
    #: ``metadata.algorithm``: language, version, container; None for datasets.
    algorithm: Mapping[str, object] | None = None
    #: ``{"allow": [..], "deny": [..]}``; None for everybody.
    credentials: Mapping[str, object] | None = None
    #: ``metadata.additionalInformation``; None for none.
    information: Mapping[str, object] | None = None
    #: Further members of ``metadata``: ``categories``, ``links``.
    further: Mapping[str, object] = field(default_factory=dict)
    #: Of the datatoken, as the factory numbers them: 1 is the plain ERC20 template, 2 the enterprise template.
    template: int = 1


@dataclass(frozen=True, slots=True)
class Published:
    """An asset on chain."""

    did: str
    nft: str
    #: One datatoken sells all of its services.
    datatoken: str
    ddo: Mapping[str, Any]
    #: The DDO's bytes, whose sha256 stands in the event.
    document: bytes
    #: Transaction of the metadata event.
    tx_id: str


def did_of(nft: str, chain_id: int) -> str:
    """Give an asset's DID (DDO specification, 4.1.0)."""
    return (
        "did:op:"
        + hashlib.sha256(f"{checksum_address(bytes.fromhex(nft.removeprefix('0x')))}{chain_id}".encode()).hexdigest()
    )


def provider_encrypt(provider: str, chain_id: int, http: httpx2.AsyncClient | None = None) -> Encrypt:
    """Give a function that has a provider encrypt something to its key.

    Args:
        provider: Its base URL.
        chain_id: The chain that the asset is on.
        http: Client to use; None makes one per call.
    """
    url = f"{provider.rstrip('/')}/api/services/encrypt"

    async def encrypt(plain: bytes) -> str:
        client = http or client_for(url, timeout=_SECONDS)
        try:
            answer = await client.post(
                url, params={"chainId": chain_id}, content=plain, headers={"Content-Type": "application/octet-stream"}
            )
        except httpx2.HTTPError:
            raise MarketError(f"The provider at {provider} does not answer.") from None
        finally:
            if http is None:
                await client.aclose()
        if answer.status_code not in {200, 201} or not answer.text.startswith("0x"):
            raise MarketError(f"The provider at {provider} did not encrypt (status {answer.status_code}).")
        return answer.text

    return encrypt


async def publish(
    wallet: Wallet, factory: str, draft: AssetDraft, encrypt: Encrypt, *, flags: int = COMPRESSED | ENCRYPTED
) -> Published:
    """Publish an asset: its NFT, one datatoken, and the DDO in the NFT's metadata event.

    Args:
        wallet: Who will own it.
        factory: Address of the ERC721Factory.
        draft: What to publish.
        encrypt: Has the provider encrypt bytes to itself and gives ``0x`` hex (:func:`provider_encrypt`).
        flags: 1 compresses the document, 2 encrypts it.

    Raises:
        MarketError: The chain or the provider refused.
    """
    if not draft.services:
        raise MarketError("An asset needs at least one service.")
    nft, datatoken = await create_nft(wallet, factory, draft.name, draft.template)
    ddo = await build_document(await wallet.chain_id(), nft, datatoken, draft, encrypt)
    document = json.dumps(ddo, separators=(",", ":")).encode()
    sent = await set_metadata(wallet, nft, document, encrypt, url=draft.services[0].endpoint, flags=flags)
    return Published(ddo["id"], nft, datatoken, ddo, document, sent.tx_id)


async def create_nft(wallet: Wallet, factory: str, name: str, template: int = 1) -> tuple[str, str]:
    """Make an NFT with one datatoken in one transaction, and give both addresses, checksummed.

    Args:
        wallet: Who will own both.
        factory: Address of the ERC721Factory.
        name: Of both.
        template: Of the datatoken, as in :class:`AssetDraft`.
    """
    symbol = "COVE"
    sent = await wallet.transact(
        factory,
        _CREATE,
        [
            (name, symbol, 1, "", True, wallet.address),
            (template, [name, symbol], [wallet.address, wallet.address, NO_ADDRESS, NO_ADDRESS], [2**255, 0], []),
        ],
    )
    return created(sent, factory)


def created(sent: Sent, factory: str) -> tuple[str, str]:
    """Give the NFT and the datatoken that a transaction of the factory made, checksummed.

    Raises:
        MarketError: It made none.
    """
    nft = next((_word(log["data"], 0) for log in sent.logs if log["topics"][0] == "0x" + _NFT_CREATED), None)
    if nft is None:
        raise MarketError(f"{factory} is not Ocean's factory: it made no NFT.")
    return nft, _created_token(sent)


async def create_datatoken(wallet: Wallet, nft: str, name: str = "Datatoken") -> str:
    """Make a further datatoken of an NFT that the wallet owns, and give its checksummed address."""
    owner = wallet.address
    sent = await wallet.transact(
        nft,
        "createERC20(uint256,string[],address[],uint256[],bytes[])",
        [1, [name, "DT"], [owner, owner, NO_ADDRESS, NO_ADDRESS], [2**255, 0], []],
    )
    return _created_token(sent)


async def set_metadata(
    wallet: Wallet,
    nft: str,
    document: bytes,
    encrypt: Encrypt,
    *,
    url: str,
    flags: int = COMPRESSED | ENCRYPTED,
    state: int = 0,
) -> Sent:
    """Put a DDO on chain (``setMetaData``).

    Args:
        wallet: Its NFT's owner.
        nft: The asset's NFT.
        document: The DDO's bytes.
        encrypt: As for :func:`publish`.
        url: Base URL of the provider that can decrypt it.
        flags: 1 compresses the document, 2 encrypts it.
        state: 0 active.
    """
    arguments = await metadata_arguments(wallet.address, document, encrypt, url=url, flags=flags, state=state)
    return await wallet.transact(nft, SET_METADATA, arguments)


async def metadata_arguments(
    owner: str, document: bytes, encrypt: Encrypt, *, url: str, flags: int = COMPRESSED | ENCRYPTED, state: int = 0
) -> list[Any]:
    """Give the arguments of ``setMetaData``; see :func:`set_metadata`."""
    packed = lzma.compress(document) if flags & COMPRESSED else document
    if flags & ENCRYPTED:
        packed = bytes.fromhex((await encrypt(packed)).removeprefix("0x"))
    return [state, url, owner, bytes((flags,)), packed, hashlib.sha256(document).digest(), []]


async def set_metadata_state(wallet: Wallet, nft: str, state: int) -> Sent:
    """Set an NFT's state: 0 active, 1 end of life, 2 deprecated, 3 revoked, 4 ordering disabled, 5 unlisted."""
    return await wallet.transact(nft, "setMetaDataState(uint8)", [state])


async def build_document(
    chain_id: int, nft: str, datatoken: str, draft: AssetDraft, encrypt: Encrypt
) -> dict[str, Any]:
    """Give the DDO of a draft.

    Args:
        chain_id: Where it is published.
        nft: Address of the asset's NFT, checksummed.
        datatoken: Address of what all of its services are sold for, checksummed.
        draft: What is published.
        encrypt: As for :func:`publish`.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata: dict[str, Any] = {
        "created": now,
        "updated": now,
        "type": draft.type,
        "name": draft.name,
        "description": draft.description,
        "author": draft.author,
        "license": draft.license,
    }
    if draft.tags:
        metadata["tags"] = list(draft.tags)
    if draft.algorithm is not None:
        metadata["algorithm"] = dict(draft.algorithm)
    if draft.information is not None:
        metadata["additionalInformation"] = dict(draft.information)
    for name, value in draft.further.items():
        metadata.setdefault(name, value)
    ddo: dict[str, Any] = {
        "@context": ["https://w3id.org/did/v1"],
        "id": did_of(nft, chain_id),
        "version": "4.1.0",
        "chainId": chain_id,
        "nftAddress": nft,
        "metadata": metadata,
        "services": [
            await _service(position, service, nft, datatoken, encrypt)
            for position, service in enumerate(draft.services)
        ],
    }
    if draft.credentials is not None:
        ddo["credentials"] = dict(draft.credentials)
    return ddo


async def _service(position: int, draft: ServiceDraft, nft: str, datatoken: str, encrypt: Encrypt) -> dict[str, Any]:
    files = {"datatokenAddress": datatoken, "nftAddress": nft, "files": [dict(file) for file in draft.files]}
    service: dict[str, Any] = {
        "id": draft.id or str(position),
        "type": draft.type,
        "datatokenAddress": datatoken,
        "serviceEndpoint": draft.endpoint,
        "files": await encrypt(json.dumps(files, separators=(",", ":")).encode()),
        "timeout": draft.timeout,
    }
    texts = {"name": draft.name, "description": draft.description}
    service |= {name: text for name, text in texts.items() if text}
    if draft.parameters:
        service["consumerParameters"] = [dict(parameter) for parameter in draft.parameters]
    if draft.compute is not None:
        service["compute"] = dict(draft.compute)
    return service


def _created_token(sent: Sent) -> str:
    for log in sent.logs:
        if log["topics"][0] == "0x" + _TOKEN_CREATED:
            return checksum_address(bytes.fromhex(log["topics"][1][-40:]))
    raise MarketError("The contract made no datatoken.")


def _word(data: str, position: int) -> str:
    start = 2 + 64 * position
    return checksum_address(bytes.fromhex(data[start + 24 : start + 64]))
