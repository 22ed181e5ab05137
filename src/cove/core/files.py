"""Where a file lies, as data: one frozen class per type of file object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from cove.core.contractcall import ContractFunction
from cove.core.sigv4 import AwsKey

GRAPHQL_NAME: Final = "graphql.json"
"""Name of what a query gives; its URL names the server's interface and no file."""
CONTRACT_NAME: Final = "smartcontract.json"
"""Name of what a contract's function gives."""


@dataclass(frozen=True, slots=True)
class UrlFile:
    """A file behind an http or https URL. The URL and the headers are secrets."""

    url: str = field(repr=False)
    method: Literal["GET", "POST"] = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: JSON object of the consumer's parameters, sent as query parameters; ``{}`` for none.
    userdata: str = field(default="{}", repr=False)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file or folder under a root that the owner configured."""

    #: Name of the root in the settings.
    root: str
    #: Relative path with ``/``.
    path: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IpfsFile:
    """A file in IPFS, fetched through the provider's gateway."""

    #: CID, version 0 or 1. Whoever knows it has the file.
    hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ArweaveFile:
    """A file in Arweave, fetched through the provider's gateway."""

    #: 43 characters of base64url. Whoever knows it has the file.
    transaction_id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GraphqlFile:
    """What a GraphQL query gives. The URL, the query and the headers are secrets."""

    url: str = field(repr=False)
    query: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: JSON object of the consumer's parameters, sent as the query's variables; ``{}`` for none.
    userdata: str = field(default="{}", repr=False)


@dataclass(frozen=True, slots=True)
class ContractFile:
    """What a view of a smart contract gives."""

    chain_id: int = field(repr=False)
    #: Of the contract.
    address: str = field(repr=False)
    function: ContractFunction = field(repr=False)
    #: JSON object of the consumer's parameters: the function's arguments by their names; ``{}`` for none.
    userdata: str = field(default="{}", repr=False)


@dataclass(frozen=True, slots=True)
class S3File:
    """An object in a bucket of S3, or of a server that speaks as S3 does. All of it is secret."""

    #: http or https URL of the service, without the bucket.
    endpoint: str = field(repr=False)
    bucket: str = field(repr=False)
    #: Key of the object, not encoded.
    object_key: str = field(repr=False)
    key: AwsKey = field(repr=False)
    #: False: the bucket is a part of the host name, not of the path.
    path_style: bool = field(default=True, repr=False)


@dataclass(frozen=True, slots=True)
class PeerFile:
    """A file of a service at another provider, which gives it to the consumer of an order.

    No file list can name one: Cove makes it for a published service whose list is encrypted to another provider's key.
    """

    #: Base URL of that provider, without ``/`` at its end.
    provider: str = field(repr=False)
    did: str
    service_id: str
    #: ``0x`` transaction of the order, whose consumer is this provider's own account.
    order_tx: str = field(repr=False)
    #: From 0.
    index: int
    #: As that provider names it, not yet made safe; empty when it does not say.
    filename: str = field(default="", repr=False)
    #: JSON object of the consumer's parameters; ``{}`` for none.
    userdata: str = field(default="{}", repr=False)


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A synthetic file that stands for one of a dataset's in a mock job.

    No file list can name one: its place comes from the policy file of the dataset's owner.
    """

    #: Absolute path on this host, without any link in it.
    place: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ResultFileObject:
    """A released result that was published as an asset, and is kept at this provider.

    A file list says which one of its own asset's results it is. Whose results they are no list can say: that is the
    asset that the list is bound to, or else any list could name the results of others.
    """

    #: From 0.
    index: int
    #: As it is offered, not yet made safe.
    filename: str = field(default="", repr=False)
    #: Address of the asset's NFT, lower case; empty outside of an asset's own list, where there is no such file.
    nft: str = ""


FileObject = (
    UrlFile
    | LocalFile
    | IpfsFile
    | ArweaveFile
    | GraphqlFile
    | ContractFile
    | S3File
    | PeerFile
    | SampleFile
    | ResultFileObject
)


@dataclass(frozen=True, slots=True)
class FileList:
    """What an encrypted ``files`` field holds."""

    files: tuple[FileObject, ...]
    #: Checksummed; empty in the bare lists of DDO version 4.0.0 and for a consumer's own URL.
    datatoken: str = ""
    #: Checksummed; empty likewise.
    nft: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What can be told of a file without giving it away."""

    #: False when it cannot be reached now.
    valid: bool
    #: Name of the type in file objects: ``url``, ``local``, ``ipfs``.
    type: str
    #: Bytes; None when the source does not say.
    content_length: int | None = None
    #: Media type; empty when the source does not say.
    content_type: str = ""
    #: Last part of its name; empty when there is none.
    filename: str = ""
    #: sha256 hex; None when it was not asked for.
    checksum: str | None = None
