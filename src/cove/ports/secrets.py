"""What keeps the provider's key."""

from __future__ import annotations

from typing import Protocol


class Vault(Protocol):
    """The provider's key: it never leaves."""

    #: The provider's account, checksummed.
    address: str

    def public_key(self) -> bytes:
        """Give the public key that others encrypt with, uncompressed, 65 bytes."""
        ...

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt to the provider's own key (ECIES, the wire form of eciespy)."""
        ...

    def decrypt(self, cipher: bytes) -> bytes:
        """Open what was encrypted to the provider's key.

        Raises:
            Invalid: It was not.
        """
        ...

    def seal(self, plain: bytes) -> bytes:
        """Encrypt for the database: quick, authenticated, readable with the same key alone."""
        ...

    def unseal(self, sealed: bytes) -> bytes:
        """Open what :meth:`seal` made.

        Raises:
            SettingsWrong: Another key sealed it.
        """
        ...

    def sign_hash(self, digest: bytes) -> tuple[int, bytes, bytes]:
        """Sign 32 bytes as an EIP-191 personal message: v (27 or 28), r, s (32 bytes each)."""
        ...

    def sign_transaction(self, unsigned: bytes) -> tuple[int, bytes, bytes]:
        """Sign a transaction's bytes (their keccak): parity of the point (0 or 1), r, s (32 bytes each)."""
        ...

    def mac(self, message: bytes) -> str:
        """Give a keyed digest (hex) for links that only this provider can make."""
        ...
