"""Which algorithm may run on which dataset, who may use an asset, and who may name files of this host.

A trap that comes from the specification (section 6 of the wire notes): a trusted list that is empty or absent trusts
every published algorithm. So taking the last entry off a list opens the dataset; taking any other entry off closes it
further. Where both lists are filled, both must hold. Raw code passes with ``allowRawAlgorithm`` alone, and then the
lists do not apply.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from cove.core.asset import NFT_USABLE_STATES, Asset, Service, TrustedAlgorithm
from cove.core.errors import Refused

_STATES: Final = {
    1: "end_of_life",
    2: "deprecated",
    3: "revoked",
    4: "ordering_disabled",
}


@dataclass(frozen=True, slots=True)
class AlgorithmOnTrial:
    """What the rules need to know of an algorithm."""

    #: None for raw code.
    did: str | None
    #: Owner of its NFT; empty for raw code or when unknown.
    publisher: str
    #: sha256 of each file, hex, concatenated; None: not computed (see :func:`needs_files_checksum`).
    files_checksum: str | None
    #: What :func:`container_checksum` gives; None: not computed.
    container_checksum: str | None


def files_checksum(digests: Sequence[str]) -> str:
    """Give the ``filesChecksum`` of an algorithm: the sha256 (hex) of every file, concatenated in order."""
    return "".join(digests).lower()


def container_checksum(entrypoint: str, checksum: str) -> str:
    """Give the ``containerSectionChecksum``: the sha256 (hex) of entrypoint and checksum, concatenated."""
    return hashlib.sha256(f"{entrypoint}{checksum}".encode("utf-8", "surrogatepass")).hexdigest()


def needs_files_checksum(service: Service, algorithm: AlgorithmOnTrial) -> bool:
    """Say whether :func:`may_run` needs the digests of the algorithm's files, which cost reading them."""
    return any(entry.files_checksum for entry in _entries_for(service, algorithm))


def may_run(dataset: Asset, service: Service, algorithm: AlgorithmOnTrial) -> None:
    """Return when the algorithm may run on the dataset.

    Args:
        dataset: Whose owner's rules count.
        service: The compute service of it that is used.
        algorithm: With ``files_checksum`` where :func:`needs_files_checksum` says so; a missing one is a mismatch.

    Raises:
        Refused: Under ``dataset``, with the code of the API.
    """
    terms = service.compute
    if terms is None:
        raise Refused("dataset", "service_not_access_compute", hint=f"{dataset.did} does not offer compute there.")
    if algorithm.did is None:
        if not terms.allow_raw_algorithm:
            raise Refused("dataset", "no_raw_algo_allowed", hint="Publish the algorithm; raw code may not run here.")
        return
    if terms.trusted_publishers and not _listed(algorithm.publisher, terms.trusted_publishers):
        raise Refused("dataset", "not_trusted_algo_publisher", hint="The dataset's owner trusts other publishers.")
    if terms.trusted_algorithms:
        _check_trusted_algorithms(service, terms.trusted_algorithms, algorithm)


def may_reach_network(services: Sequence[Service]) -> bool:
    """Say whether a job on these services' data may reach the network: each must allow it (``allowNetworkAccess``).

    A service that is not of type compute has no such term, so it does not allow it.
    """
    return all(service.compute is not None and service.compute.allow_network_access for service in services)


def may_consume(asset: Asset, address: str) -> None:
    """Return when an address may use an asset.

    An allow list that is set counts alone, as its clients have it: an address on both lists may use the asset. ``*``
    stands for every address.

    Raises:
        Refused: Under ``documentId``: the NFT's state, or the lists, say no.
    """
    if asset.state not in NFT_USABLE_STATES:
        state = _STATES.get(asset.state, f"state_{asset.state}")
        raise Refused("documentId", f"asset_{state}", hint="Its owner has taken the asset out of use.")
    allow, deny = asset.credentials.allow, asset.credentials.deny
    if allow is not None:
        if not _listed(address, allow):
            raise Refused("documentId", "credential_not_in_allow_list", hint="Ask its owner for access.")
        return
    if _listed(address, deny):
        raise Refused("documentId", "credential_in_deny_list", hint="Its owner has shut this address out.")


def may_use_root(publisher: str, allowed: Collection[str]) -> bool:
    """Say whether the assets of a publisher may name files below one of this host's folders.

    Anybody can publish an asset whose file list, encrypted to this provider's public key, names one of the owner's
    folders, set the terms of it as they like, and buy it from themselves. So a root serves only the publishers that
    the host's owner listed for it.

    Args:
        publisher: Owner of the asset's NFT; empty when unknown, which only ``*`` lets through.
        allowed: Addresses in any case; ``*`` lets every publisher through.
    """
    return _listed(publisher, allowed)


def _check_trusted_algorithms(
    service: Service, trusted: Sequence[TrustedAlgorithm], algorithm: AlgorithmOnTrial
) -> None:
    """Look for one entry that the algorithm meets in full; else say what the nearest one misses."""
    if not any(entry.did for entry in trusted):
        raise Refused("dataset", "no_publisherTrustedAlgorithms", hint="The dataset's list of algorithms has no DIDs.")
    problems = [_mismatch(entry, algorithm) for entry in _entries_for(service, algorithm)]
    if not problems:
        raise Refused("dataset", "not_trusted_algo", hint="The dataset's owner trusts other algorithms.")
    if None not in problems:
        reason = next(problem for problem in problems if problem)
        raise Refused("dataset", reason, hint="The algorithm is not the version that the dataset's owner approved.")


def _entries_for(service: Service, algorithm: AlgorithmOnTrial) -> tuple[TrustedAlgorithm, ...]:
    if service.compute is None or algorithm.did is None:
        return ()
    did = algorithm.did.lower()
    entries = service.compute.trusted_algorithms or ()
    return tuple(entry for entry in entries if entry.did and entry.did.lower() in {did, "*"})


def _mismatch(entry: TrustedAlgorithm, algorithm: AlgorithmOnTrial) -> str | None:
    if entry.files_checksum and entry.files_checksum.lower() != (algorithm.files_checksum or "").lower():
        return "algorithm_file_checksum_mismatch"
    if entry.container_checksum and entry.container_checksum.lower() != (algorithm.container_checksum or "").lower():
        return "algorithm_container_checksum_mismatch"
    return None


def _listed(address: str, addresses: Collection[str]) -> bool:
    wanted = address.lower()
    return "*" in addresses or (bool(wanted) and any(entry.lower() == wanted for entry in addresses))
