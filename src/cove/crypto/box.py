"""What the provider's key opens, seals and signs."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from coincurve import PrivateKey, PublicKey
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cove.core.errors import Invalid, SettingsWrong
from cove.crypto.keys import PUBLIC_KEY_BYTES, Account, keccak, personal_hash

MAX_PLAIN_BYTES: Final = 8 << 20
"""Largest document or file list that is encrypted to, or opened with, the provider's key."""

_ECIES_NONCE: Final = 16
_TAG: Final = 16
_ECIES_HEAD: Final = PUBLIC_KEY_BYTES + _ECIES_NONCE + _TAG
_SEAL_NONCE: Final = 12
_SEAL_VERSION: Final = b"\x01"


class KeyVault:
    """The provider's key, as ``cove.ports.Vault`` describes it.

    The keys for the database and for links are derived from it (HKDF-SHA256), so one key is all there is to keep.

    Args:
        account: The provider's account.
    """

    def __init__(self, account: Account) -> None:
        self.address: str = account.address
        self._account = account
        self._private = PrivateKey(account.secret)
        self._public = account.public_key()
        self._sealing = AESGCM(_derive(account.secret, b"cove: seal for the database, 1"))
        self._link_key = _derive(account.secret, b"cove: links, 1")

    def public_key(self) -> bytes:
        """Give the public key that others encrypt with, uncompressed, 65 bytes."""
        return self._account.public_key()

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt to the provider's own key.

        The wire form is that of eciespy: uncompressed ephemeral key (65 bytes), nonce (16), tag (16), AES-256-GCM text.

        Raises:
            Invalid: It is larger than :data:`MAX_PLAIN_BYTES`.
        """
        if len(plain) > MAX_PLAIN_BYTES:
            raise _refusal(f"It has more than {MAX_PLAIN_BYTES} bytes.")
        ephemeral = PrivateKey()
        head = ephemeral.public_key.format(compressed=False)
        nonce = os.urandom(_ECIES_NONCE)
        sealed = AESGCM(shared_key(head, PublicKey(self._public), ephemeral)).encrypt(nonce, plain, None)
        return b"".join((head, nonce, sealed[-_TAG:], sealed[:-_TAG]))

    def decrypt(self, cipher: bytes) -> bytes:
        """Open what was encrypted to the provider's key.

        Raises:
            Invalid: It was not, or it is too large.
        """
        if not _ECIES_HEAD <= len(cipher) <= _ECIES_HEAD + MAX_PLAIN_BYTES:
            raise _refusal("It is no document encrypted to this provider's key: its size is out of range.")
        head, rest = cipher[:PUBLIC_KEY_BYTES], memoryview(cipher)[PUBLIC_KEY_BYTES:]
        nonce, tag, text = rest[:_ECIES_NONCE], rest[_ECIES_NONCE : _ECIES_NONCE + _TAG], rest[_ECIES_NONCE + _TAG :]
        try:
            key = shared_key(head, PublicKey(head), self._private)
            return AESGCM(key).decrypt(bytes(nonce), b"".join((text, tag)), None)
        except (ValueError, InvalidTag):
            raise _refusal("It was not encrypted to this provider's key.") from None

    def seal(self, plain: bytes) -> bytes:
        """Encrypt for the database (AES-256-GCM with a derived key)."""
        nonce = os.urandom(_SEAL_NONCE)
        return b"".join((_SEAL_VERSION, nonce, self._sealing.encrypt(nonce, plain, _SEAL_VERSION)))

    def unseal(self, sealed: bytes) -> bytes:
        """Open what :meth:`seal` made.

        Raises:
            SettingsWrong: Another key sealed it, or it was changed.
        """
        version, nonce, text = sealed[:1], sealed[1 : 1 + _SEAL_NONCE], sealed[1 + _SEAL_NONCE :]
        try:
            return self._sealing.decrypt(nonce, text, version)
        except (ValueError, InvalidTag):
            raise SettingsWrong(
                "The database was written with another private key.",
                hint="Start with the key that this state folder was made with.",
            ) from None

    def sign_hash(self, digest: bytes) -> tuple[int, bytes, bytes]:
        """Sign 32 bytes as an EIP-191 personal message: v (27 or 28), r, s (32 bytes each)."""
        signature = self._account.sign(personal_hash(digest))
        return signature[64], signature[:32], signature[32:64]

    def sign_transaction(self, unsigned: bytes) -> tuple[int, bytes, bytes]:
        """Sign a transaction's bytes (their keccak): parity of the point (0 or 1), r, s (32 bytes each)."""
        signature = self._account.sign(keccak(unsigned))
        return signature[64] - 27, signature[:32], signature[32:64]

    def mac(self, message: bytes) -> str:
        """Give a keyed digest (HMAC-SHA256, hex) for links that only this provider can make."""
        return hmac.new(self._link_key, message, hashlib.sha256).hexdigest()

    def derive(self, purpose: bytes) -> bytes:
        """Give a key of 32 bytes for a purpose of its own (HKDF-SHA256), from which nobody finds this one."""
        return _derive(self._account.secret, b"cove: derived, 1: " + purpose)

    def __repr__(self) -> str:
        return f"KeyVault({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a vault is not to be copied out of its process")


def shared_key(ephemeral: bytes, point: PublicKey, scalar: PrivateKey) -> bytes:
    """Derive the AES key: HKDF-SHA256 over the ephemeral key and the shared point, both uncompressed."""
    shared = point.multiply(scalar.secret).format(compressed=False)
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=None).derive(ephemeral + shared)


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret)


def _refusal(text: str) -> Invalid:
    return Invalid({"encryptedDocument": [text]})
