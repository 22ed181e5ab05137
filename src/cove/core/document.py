"""Opens the document of a metadata event: decrypt, decompress, check, each with a limit."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Callable
from typing import Final

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
