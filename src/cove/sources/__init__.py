"""Where data comes from: one module per type of file object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cove.core.errors import DataMissing
from cove.core.files import (
    ArweaveFile,
    ContractFile,
    FileObject,
    GraphqlFile,
    IpfsFile,
    LocalFile,
    PeerFile,
    ResultFileObject,
    S3File,
    SampleFile,
    UrlFile,
)
from cove.ports import FileSource

SOURCES: Final[Mapping[str, str]] = {
    "url": "cove.sources.url:UrlSource",
    "local": "cove.sources.local:LocalSource",
    "ipfs": "cove.sources.ipfs:IpfsSource",
    "arweave": "cove.sources.arweave:ArweaveSource",
    "graphql": "cove.sources.graphql:GraphqlSource",
    "smartcontract": "cove.sources.smartcontract:ContractSource",
    "s3": "cove.sources.s3:S3Source",
    "peer": "cove.sources.peer:PeerSource",
    "sample": "cove.sources.sample:SampleSource",
    "result": "cove.sources.result:ResultSource",
}
"""Type of file objects, and the class that brings them. A new type is a line here, a class, and a run of
``tests/contract/test_file_source.py``."""


_TYPES: Final[Mapping[type[FileObject], str]] = {
    UrlFile: "url",
    LocalFile: "local",
    IpfsFile: "ipfs",
    ArweaveFile: "arweave",
    GraphqlFile: "graphql",
    ContractFile: "smartcontract",
    S3File: "s3",
    PeerFile: "peer",
    SampleFile: "sample",
    ResultFileObject: "result",
}


def type_of(file: FileObject) -> str:
    """Give the name of a file object's type."""
    return _TYPES[type(file)]


def source_for(file: FileObject, sources: Mapping[str, FileSource]) -> FileSource:
    """Give the source that brings a file.

    Args:
        file: Which file.
        sources: By type of the file object.

    Raises:
        DataMissing: This provider serves no files of that type.
    """
    kind = type_of(file)
    if kind not in sources:
        raise DataMissing(f"This provider serves no files of type {kind}.")
    return sources[kind]
