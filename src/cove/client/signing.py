"""Signs what the API wants signed: ``keccak256(text)`` as an EIP-191 personal message."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak

from cove.client.errors import BadAnswer, KeyMissing

_KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}", re.ASCII)
_MAX_KEY_FILE: Final = 4096
_V_OFFSET: Final = 27
_FIRST_LETTER_VALUE: Final = 8


class Signer:
    """An account: signs texts, and never shows its key.

    Args:
        private_key: 64 hex digits, with or without ``0x``.

    Raises:
        KeyMissing: It is no private key.
    """

    __slots__ = ("_key", "address")

    #: Checksummed (EIP-55).
    address: str

    def __init__(self, private_key: str) -> None:
        text = private_key.strip()
        if not _KEY.fullmatch(text):
            raise KeyMissing("This is no private key: it should be 64 hex digits.")
        try:
            self._key = PrivateKey(bytes.fromhex(text.removeprefix("0x")))
        except ValueError:
            raise KeyMissing("This is no private key: the number is out of range.") from None
        self.address = _address(self._key.public_key)

    @classmethod
    def from_file(cls, path: Path) -> Signer:
        """Read the key from a file that holds nothing else.

        Raises:
            KeyMissing: The file cannot be read, others may read it, or it holds no key.
        """
        try:
            with path.open("rb") as file:
                others = os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO)
                content = file.read(_MAX_KEY_FILE)
        except OSError as problem:
            raise KeyMissing(f"The key file {path} cannot be read: {problem.strerror}.") from None
        if others:
            raise KeyMissing(f"The key file {path} can be read by others.", hint=f"chmod 600 {path}")
        try:
            return cls(content.decode("ascii"))
        except (UnicodeDecodeError, KeyMissing):
            raise KeyMissing(f"The key file {path} holds no private key: it should be 64 hex digits.") from None

    def sign(self, text: str) -> str:
        """Sign a text as the Provider API does.

        Args:
            text: The parts that the endpoint names, then the nonce.

        Returns:
            ``0x``, r, s and v (27 or 28) as 130 hex digits.
        """
        digest = keccak(text.encode())
        raw = self.sign_digest(keccak(b"\x19Ethereum Signed Message:\n32" + digest))
        return "0x" + raw.hex()

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes as they are: r, s (32 bytes each) and v (27 or 28)."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return raw[:64] + bytes((raw[64] + _V_OFFSET,))

    def public_key(self) -> str:
        """Give the public key, uncompressed, as 130 hex digits: what is encrypted to it this account alone opens."""
        return self._key.public_key.format(compressed=False).hex()

    def private_key(self) -> bytes:
        """Give the key's 32 bytes, for code that signs transactions or opens files; nothing else should ask."""
        return self._key.secret

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("A Signer is not written anywhere.")


class Nonces:
    """Makes nonces that only rise: the server's last one plus 1, or the time in milliseconds, whichever is greater.

    Args:
        last_used: Asks the server; None for an address that used none.
        milliseconds: The time.
    """

    def __init__(
        self, last_used: Callable[[], str | None], milliseconds: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._last_used = last_used
        self._milliseconds = milliseconds
        self._last: int | None = None
        self._lock = threading.Lock()

    def take(self, *, ask: bool = False) -> str:
        """Give the next nonce.

        Args:
            ask: Ask the server again, since another client of the account took one.
        """
        with self._lock:
            if ask or self._last is None:
                self._last = max(_whole(self._last_used()), self._last or 0)
            self._last = max(self._last + 1, self._milliseconds())
            return str(self._last)


def checksum_address(raw: bytes) -> str:
    """Write 20 bytes as an address with its EIP-55 checksum."""
    text = raw.hex()
    digits = keccak(text.encode()).hex()
    mixed = (
        letter.upper() if int(digit, 16) >= _FIRST_LETTER_VALUE else letter
        for letter, digit in zip(text, digits, strict=False)
    )
    return "0x" + "".join(mixed)


def _address(key: PublicKey) -> str:
    return checksum_address(keccak(key.format(compressed=False)[1:])[12:])


def _whole(nonce: str | None) -> int:
    """Give the whole part of the server's nonce; 0 for none."""
    if not nonce:
        return 0
    try:
        return int(Decimal(nonce))
    except (InvalidOperation, ValueError, OverflowError):
        raise BadAnswer("The server's last nonce is not a number.") from None
