"""Where a file lies, as data: one frozen class per type of file object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


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


FileObject = UrlFile | LocalFile


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
    #: Name of the type in file objects: ``url``, ``local``.
    type: str
    #: Bytes; None when the source does not say.
    content_length: int | None = None
    #: Media type; empty when the source does not say.
    content_type: str = ""
    #: Last part of its name; empty when there is none.
    filename: str = ""
    #: sha256 hex; None when it was not asked for.
    checksum: str | None = None
