"""Reads a DDO of version 4 (section 6 of the wire notes): tolerant to unknown parts, strict about what Cove needs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from cove.core import json_form
from cove.core.asset import AlgorithmTerms, Asset, ComputeTerms, Credentials, Service, TrustedAlgorithm
from cove.core.errors import Invalid
from cove.core.messages import parse_address, parse_did
from cove.core.parameters import parse_parameters
from cove.core.public_ddo import public_document, served_document

__all__ = ["MAX_LIST", "MAX_SERVICES", "did_of", "parse", "public_document", "served_document"]

MAX_SERVICES: Final = 100
MAX_LIST: Final = 10_000
"""Entries of a trusted list or a credential list."""

_MAX_CHAIN: Final = 2**63 - 1
_MAX_TIMEOUT: Final = 2**53 - 1
_CIPHERTEXT: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})+", re.ASCII)
_FILE_TYPES: Final = frozenset({"access", "compute"})


def did_of(nft: str, chain_id: int) -> str:
    """Give the DID that belongs to an NFT: sha256 of its checksummed address and the chain's decimal id.

    Whoever reads a DDO from the chain compares this with its ``id``: else anybody could publish under a DID, and so
    under a publisher, that is not theirs.
    """
    return "did:op:" + hashlib.sha256(f"{nft}{chain_id}".encode()).hexdigest()


def parse(document: Mapping[str, object], *, publisher: str, state: int) -> Asset:
    """Give what Cove reads of a DDO.

    Args:
        document: The DDO, as JSON gives it. It is hostile: its publisher wrote it.
        publisher: Owner of the NFT now, from the chain; never taken from the document. Empty when unknown.
        state: State of the NFT now, from the chain.

    Raises:
        Invalid: Something that Cove needs is missing or of the wrong type, under its dotted path.
    """
    body = json_form.mapping(document, "ddo")
    if not json_form.text(body.get("version"), "version").startswith("4."):
        raise json_form.wrong("version", "4.0.0 or 4.1.0")
    metadata = json_form.mapping(body.get("metadata"), "metadata")
    kind = json_form.text(metadata.get("type"), "metadata.type")
    if kind not in {"dataset", "algorithm"}:
        raise json_form.wrong("metadata.type", "dataset or algorithm")
    return Asset(
        did=parse_did(body.get("id"), "id"),
        chain_id=json_form.whole_number(body.get("chainId"), "chainId", least=1, most=_MAX_CHAIN),
        nft=parse_address(body.get("nftAddress"), "nftAddress"),
        name=json_form.optional_text(metadata.get("name"), "metadata.name"),
        type=kind,
        services=_services(body.get("services")),
        credentials=_credentials(body.get("credentials"), "credentials"),
        algorithm=_algorithm(metadata.get("algorithm")) if kind == "algorithm" else None,
        publisher=publisher,
        state=state,
        document=_as_text(body),
    )


def _services(value: object) -> tuple[Service, ...]:
    entries = json_form.sequence(value, "services", most=MAX_SERVICES)
    if not entries:
        raise json_form.wrong("services", "a list of at least one service")
    services = tuple(_service(entry, index) for index, entry in enumerate(entries))
    if len({service.id for service in services}) != len(services):
        raise Invalid({"services": ["Each service id may stand once."]})
    return services


def _service(value: object, index: int) -> Service:
    path = f"services[{index}]"
    body = json_form.mapping(value, path)
    service_id = json_form.text(body.get("id"), f"{path}.id")
    if not service_id:
        raise json_form.wrong(f"{path}.id", "a text that is not empty")
    kind = json_form.text(body.get("type"), f"{path}.type")
    needed = kind in _FILE_TYPES
    files = body.get("files")
    if needed and (not isinstance(files, str) or _CIPHERTEXT.fullmatch(files) is None):
        raise json_form.wrong(f"{path}.files", "the encrypted file list: 0x and hexadecimal digits")
    timeout = body.get("timeout") if needed else 0
    return Service(
        id=service_id,
        index=index,
        type=kind,
        datatoken=parse_address(body.get("datatokenAddress"), f"{path}.datatokenAddress"),
        endpoint=json_form.optional_text(body.get("serviceEndpoint"), f"{path}.serviceEndpoint"),
        files=files if isinstance(files, str) else "",
        timeout=json_form.whole_number(timeout, f"{path}.timeout", least=0, most=_MAX_TIMEOUT),
        compute=_compute(body.get("compute"), f"{path}.compute") if kind == "compute" else None,
        parameters=parse_parameters(body.get("consumerParameters")),
    )


def _compute(value: object, path: str) -> ComputeTerms:
    body = json_form.mapping(value, path)
    publishers = body.get("publisherTrustedAlgorithmPublishers")
    algorithms = body.get("publisherTrustedAlgorithms")
    publishers_path = f"{path}.publisherTrustedAlgorithmPublishers"
    return ComputeTerms(
        allow_raw_algorithm=json_form.flag(body.get("allowRawAlgorithm"), f"{path}.allowRawAlgorithm"),
        allow_network_access=json_form.flag(body.get("allowNetworkAccess"), f"{path}.allowNetworkAccess"),
        trusted_publishers=None if publishers is None else _texts(publishers, publishers_path),
        trusted_algorithms=(
            None if algorithms is None else _trusted_algorithms(algorithms, f"{path}.publisherTrustedAlgorithms")
        ),
    )


def _trusted_algorithms(value: object, path: str) -> tuple[TrustedAlgorithm, ...]:
    entries = json_form.sequence(value, path, most=MAX_LIST)
    return tuple(_trusted_algorithm(entry, f"{path}[{index}]") for index, entry in enumerate(entries))


def _trusted_algorithm(value: object, path: str) -> TrustedAlgorithm:
    if value == "*":
        return TrustedAlgorithm("*")
    body = json_form.mapping(value, path)
    return TrustedAlgorithm(
        did=json_form.optional_text(body.get("did"), f"{path}.did"),
        files_checksum=json_form.optional_text(body.get("filesChecksum"), f"{path}.filesChecksum"),
        container_checksum=json_form.optional_text(
            body.get("containerSectionChecksum"), f"{path}.containerSectionChecksum"
        ),
    )


def _algorithm(value: object) -> AlgorithmTerms:
    path = "metadata.algorithm"
    body = json_form.mapping(value, path)
    container = json_form.mapping(body.get("container"), f"{path}.container")
    return AlgorithmTerms(
        language=json_form.optional_text(body.get("language"), f"{path}.language"),
        version=json_form.optional_text(body.get("version"), f"{path}.version"),
        image=json_form.optional_text(container.get("image"), f"{path}.container.image"),
        tag=json_form.optional_text(container.get("tag"), f"{path}.container.tag"),
        checksum=json_form.optional_text(container.get("checksum"), f"{path}.container.checksum"),
        entrypoint=json_form.optional_text(container.get("entrypoint"), f"{path}.container.entrypoint"),
        parameters=parse_parameters(body.get("consumerParameters")),
    )


def _credentials(value: object, path: str) -> Credentials:
    body = json_form.optional_mapping(value, path)
    return Credentials(
        allow=_addresses(body.get("allow"), f"{path}.allow"),
        deny=_addresses(body.get("deny"), f"{path}.deny") or frozenset(),
    )


def _addresses(value: object, path: str) -> frozenset[str] | None:
    """Give the addresses of a credential list, lower case; None where it sets no rule.

    A list of which Cove understands no entry (another type than ``address``) is a rule that nobody meets: to ignore it
    would open what its owner wanted closed.
    """
    if value is None:
        return None
    found: set[str] = set()
    rule = False
    for index, entry in enumerate(json_form.sequence(value, path, most=MAX_LIST)):
        body = json_form.mapping(entry, f"{path}[{index}]")
        kind = json_form.text(body.get("type"), f"{path}[{index}].type")
        if kind.lower() != "address":
            rule = True
            continue
        values = _texts(body.get("values"), f"{path}[{index}].values")
        rule = rule or bool(values)
        found.update(address.lower() for address in values)
    return frozenset(found) if rule else None


def _texts(value: object, path: str) -> tuple[str, ...]:
    entries: Sequence[object] = json_form.sequence(value, path, most=MAX_LIST)
    return tuple(json_form.text(entry, f"{path}[{index}]") for index, entry in enumerate(entries))


def _as_text(body: Mapping[str, object]) -> str:
    try:
        written = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        written.encode("utf-8")
    except (ValueError, TypeError, RecursionError):
        raise Invalid({"ddo": ["It holds values that are not JSON in UTF-8, or is nested too deep."]}) from None
    return written
