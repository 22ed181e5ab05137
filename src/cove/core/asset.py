"""The parts of a DDO (version 4) that Cove reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cove.core.parameters import Parameter

NFT_USABLE_STATES = frozenset({0, 5})
"""Active, and unlisted; 1 end of life, 2 deprecated, 3 revoked, 4 ordering disabled."""

NFT_READABLE_STATES = NFT_USABLE_STATES | {4}
"""States in which its document is given: ordering disabled (4) stops orders, and hides nothing."""


NFT_ENDED_STATES = frozenset({1, 3})
"""Ended, and revoked by its publisher: the asset is not offered again (Ocean's NFT contract)."""


@dataclass(frozen=True, slots=True)
class TrustedAlgorithm:
    """One entry of ``publisherTrustedAlgorithms``."""

    #: DID, or ``*`` for every published algorithm.
    did: str
    #: Empty: not checked.
    files_checksum: str = ""
    #: Empty: not checked.
    container_checksum: str = ""


@dataclass(frozen=True, slots=True)
class ComputeTerms:
    """What a dataset's compute service allows."""

    allow_raw_algorithm: bool = False
    allow_network_access: bool = False
    #: None: the DDO has no such list.
    trusted_publishers: tuple[str, ...] | None = None
    #: None: the DDO has no such list.
    trusted_algorithms: tuple[TrustedAlgorithm, ...] | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One way to use an asset, sold by one datatoken."""

    id: str
    #: Position in the DDO, which is the ``serviceIndex`` of orders.
    index: int
    type: Literal["access", "compute"] | str  # noqa: PYI051 - names the two that Cove knows
    #: Checksummed.
    datatoken: str
    #: Base URL of the provider that serves it.
    endpoint: str
    #: ``0x`` ciphertext of the file list.
    files: str
    #: Seconds that an order is good for; 0 means for ever.
    timeout: int
    #: None for services that are not of type compute.
    compute: ComputeTerms | None = None
    #: What consumers are asked to give as ``userdata``.
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Addresses (lower case) that may, and may not, use an asset."""

    #: None: everybody who is not denied.
    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AlgorithmTerms:
    """The algorithm section of an algorithm's metadata, as published."""

    language: str
    version: str
    image: str
    tag: str
    checksum: str
    entrypoint: str
    #: What consumers are asked to give as ``algocustomdata``.
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Asset:
    """One published dataset or algorithm."""

    did: str
    chain_id: int
    #: Checksummed.
    nft: str
    name: str
    #: ``dataset`` or ``algorithm``.
    type: str
    services: tuple[Service, ...]
    credentials: Credentials
    #: None for datasets.
    algorithm: AlgorithmTerms | None
    #: Owner of the NFT now, checksummed; empty when unknown.
    publisher: str
    #: State of the NFT.
    state: int
    #: The DDO as JSON text.
    document: str
    #: Transaction of its newest metadata event; empty where the document is a cache's, which says so itself.
    metadata_tx: str = ""

    def service(self, service_id: str) -> Service | None:
        """Give the service of that id, or None."""
        return next((service for service in self.services if service.id == service_id), None)
