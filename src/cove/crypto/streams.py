"""Encrypts long contents to anybody's public key, in the form of eciespy, holding no more than a piece of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from cove.core.errors import Unavailable
from cove.crypto.box import shared_key
from cove.ports.deliveries import Content

HEAD_BYTES: Final = 65 + 16 + 16
"""Ephemeral key, nonce and tag; what was encrypted follows."""

MOST_BYTES: Final = 2**36 - 32
"""AES-GCM encrypts no more with one nonce."""

_NONCE: Final = 16


def is_public_key(key: str) -> bool:
    """Say whether a text is a point of the curve, in hex without ``0x``."""
    try:
        PublicKey(bytes.fromhex(key))
    except ValueError:
        return False
    return True


class Encrypted:
    """A content as it is encrypted to a public key; it reads the same however often it is read.

    The tag stands before what it is about, so the content is read once more for it.

    Args:
        key: Of secp256k1, in hex without ``0x``, compressed or not.
        content: What is encrypted.

    Raises:
        ValueError: It is no public key, or the content is larger than :data:`MOST_BYTES`.
    """

    def __init__(self, key: str, content: Content) -> None:
        if content.size > MOST_BYTES:
            raise ValueError("the content is too large to be encrypted")
        self.size = content.size + HEAD_BYTES
        self._content = content
        ephemeral = PrivateKey()
        self._ephemeral = ephemeral.public_key.format(compressed=False)
        self._nonce = os.urandom(_NONCE)
        self._key = shared_key(self._ephemeral, PublicKey(bytes.fromhex(key)), ephemeral)
        self._tag: bytes | None = None

    def chunks(self) -> Iterator[bytes]:
        """Give the encrypted bytes from the beginning."""
        if self._tag is None:
            for _ in self._encrypt():
                pass
        yield b"".join((self._ephemeral, self._nonce, self._tag or b""))
        yield from self._encrypt()

    def _encrypt(self) -> Iterator[bytes]:
        encryptor = Cipher(AES(self._key), GCM(self._nonce)).encryptor()
        for chunk in self._content.chunks():
            yield encryptor.update(chunk)
        yield encryptor.finalize()
        if self._tag is not None and encryptor.tag != self._tag:
            raise Unavailable("results", "A result is not what it was a moment ago.")
        self._tag = encryptor.tag
