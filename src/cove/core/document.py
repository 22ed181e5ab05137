"""Opens the document of a metadata event: decrypt, decompress, check, each with a limit."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Callable
from typing import Final

from cove.core import json_form
from cove.core.errors import Invalid

COMPRESSED: Final = 1
ENCRYPTED: Final = 2
MAX_DOCUMENT_BYTES: Final = 8 << 20
_MEMORY_LIMIT: Final = 128 << 20


def decode_document(data: bytes, flags: int, document_hash: bytes, decrypt: Callable[[bytes], bytes]) -> bytes:
    """Give a published document in clear.

    Args:
        data: As it stands in the event.
        flags: 1 compressed (xz), 2 encrypted; what is both was compressed first.
        document_hash: sha256 of the plain document.
        decrypt: Opens what is encrypted to the provider's key.

    Raises:
        Invalid: It cannot be opened, is too large, or is not the document that the hash names.
    """
    plain = decrypt(data) if flags & ENCRYPTED else data
    if flags & COMPRESSED:
        plain = _decompress(plain)
    if len(plain) > MAX_DOCUMENT_BYTES:
        raise Invalid({"encryptedDocument": ["The document is too large."]})
    if hashlib.sha256(plain).digest() != document_hash:
        raise Invalid({"documentHash": ["Checksum doesn't match."]})
    return plain


def is_document_of(plain: bytes, did: str) -> bool:
    """Say whether a document is the DDO of that asset.

    The provider's key opens every ciphertext that was ever made for it, file lists too, and those stand in public
    documents: what is given out must say itself that it is the document of the asset that was asked about.
    """
    try:
        body = json_form.mapping(json_form.load(plain, "ddo", limit=MAX_DOCUMENT_BYTES), "ddo")
    except Invalid:
        return False
    found = body.get("id")
    return isinstance(found, str) and found.lower() == did.lower()


def _decompress(data: bytes) -> bytes:
    """Undo lzma without ever holding more than the largest document that is allowed."""
    opener = lzma.LZMADecompressor(memlimit=_MEMORY_LIMIT)
    try:
        plain = opener.decompress(data, MAX_DOCUMENT_BYTES + 1)
    except (lzma.LZMAError, EOFError):
        raise Invalid({"encryptedDocument": ["The document cannot be decompressed."]}) from None
    if not opener.eof:
        raise Invalid({"encryptedDocument": ["The document is too large or broken off."]})
    return plain
