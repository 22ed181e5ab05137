"""Ethereum accounts: hashes, addresses, who signed something, and the provider's own key."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak as _keccak

from cove.core.errors import Invalid, SettingsWrong

PUBLIC_KEY_BYTES: Final = 65
_SIGNATURE_BYTES: Final = 65
_SIGNATURE_HEX: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{130})\Z")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_KEY_HEX: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{64})\Z")
_RECOVERY_IDS: Final = {0: 0, 1: 1, 27: 0, 28: 1}
_LONGEST_KEY_FILE: Final = 256


def keccak(data: bytes) -> bytes:
    """Give the keccak-256 of some bytes, 32 bytes."""
    return bytes(_keccak(data))


@lru_cache(maxsize=4096)
def checksum(address: str) -> str:
    """Give an address with the capitals of EIP-55.

    Args:
        address: ``0x`` and 40 hex digits in any case.

    Raises:
        Invalid: It is no address.
    """
    if not _ADDRESS.match(address):
        raise Invalid({"address": ["This is no Ethereum address: 0x and 40 hex digits are expected."]})
    digits = address[2:].lower()
    marks = keccak(digits.encode()).hex()
    capital_from = "8"
    return "0x" + "".join(
        digit.upper() if mark >= capital_from else digit for digit, mark in zip(digits, marks, strict=False)
    )


def personal_hash(message: bytes) -> bytes:
    """Give what ``personal_sign`` signs for a message of any length (EIP-191, version ``E``)."""
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)


def recover(digest: bytes, signature: bytes) -> str | None:
    """Give the address that signed a digest, checksummed; None when this is no signature.

    Args:
        digest: The 32 bytes that were signed.
        signature: r, s (32 bytes each) and v, which is 0, 1, 27 or 28.
    """
    if len(signature) != _SIGNATURE_BYTES or signature[-1] not in _RECOVERY_IDS:
        return None
    compact = signature[:64] + bytes((_RECOVERY_IDS[signature[-1]],))
    try:
        public = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    except ValueError:
        return None
    return _address_of(public)


def text_digests(message: str) -> Iterator[bytes]:
    """Give the digests that a client may have signed for a text, the most usual one first.

    The personal message over the 32 bytes of the text's keccak; the same without the leading zero bytes of that hash,
    which ocean.js drops; and the personal message over the text itself.
    """
    text = message.encode("utf-8", "surrogatepass")
    hashed = keccak(text)
    stripped = hashed.lstrip(b"\0")
    forms = (hashed, stripped, text) if stripped != hashed else (hashed, text)
    return (personal_hash(form) for form in forms)  # hashed when it is asked for: most often the first is the one


def parse_signature(signature: str) -> bytes | None:
    """Give the 65 bytes of a signature in hex, with or without ``0x``; None when it is none."""
    found = _SIGNATURE_HEX.match(signature)
    return bytes.fromhex(found[1]) if found else None


def signer_candidates(message: str, signature: str) -> Iterator[str]:
    """Give, one after the other, the addresses that may have signed a text.

    Args:
        message: The text, without any hashing.
        signature: Hex, with or without ``0x``.
    """
    raw = parse_signature(signature)
    if raw is None:
        return
    for digest in text_digests(message):
        signer = recover(digest, raw)
        if signer is not None:
            yield signer


def verify_text(message: str, signature: str, address: str) -> bool:
    """Say whether an address signed a text in one of the forms of :func:`text_digests`.

    Args:
        message: The text, without any hashing.
        signature: Hex, with or without ``0x``.
        address: In any case.
    """
    wanted = address.lower()
    return any(signer.lower() == wanted for signer in signer_candidates(message, signature))


class Account:
    """A private key and its address. It prints its address and nothing else.

    Args:
        secret: The key's 32 bytes.

    Raises:
        SettingsWrong: This is no private key.
    """

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        try:
            self._key = PrivateKey(secret)
        except ValueError:
            raise SettingsWrong("The private key is not one of the secp256k1 curve.") from None
        #: Checksummed.
        self.address = _address_of(self._key.public_key)

    @classmethod
    def from_hex(cls, text: str) -> Account:
        """Read a key of 64 hex digits, with or without ``0x``.

        Raises:
            SettingsWrong: This is no private key; the text never quotes it.
        """
        found = _KEY_HEX.match(text.strip())
        if not found:
            raise SettingsWrong("The private key is not 64 hex digits.", hint="Give it as 0x and 64 hex digits.")
        return cls(bytes.fromhex(found[1]))

    @classmethod
    def from_file(cls, path: Path) -> Account:
        """Read a key from a file that its owner alone may read.

        Raises:
            SettingsWrong: The file is not there, is open to others, or holds no key.
        """
        try:
            with path.open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
                content = opened.read(_LONGEST_KEY_FILE + 1)
        except OSError as problem:
            raise SettingsWrong(f"The key file {path} cannot be read: {problem.strerror}.") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingsWrong(
                f"The key file {path} is open to other accounts of this machine.", hint=f"Run: chmod 600 {path}"
            )
        return cls.from_hex(content.decode("ascii", "replace") if len(content) <= _LONGEST_KEY_FILE else "")

    @property
    def secret(self) -> bytes:
        """The key's 32 bytes, from which other keys are derived."""
        return self._key.secret

    def public_key(self) -> bytes:
        """Give the public key, uncompressed, 65 bytes."""
        return self._key.public_key.format(compressed=False)

    def sign(self, digest: bytes) -> bytes:
        """Sign 32 bytes as they are: r, s and v (27 or 28)."""
        compact = self._key.sign_recoverable(digest, hasher=None)
        return compact[:64] + bytes((compact[64] + 27,))

    def sign_text(self, message: str) -> str:
        """Sign a text as ocean.js and ocean.py do, ``0x`` hex."""
        return "0x" + self.sign(personal_hash(keccak(message.encode()))).hex()

    def __repr__(self) -> str:
        return f"Account({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("an account is not to be copied out of its process")


def _address_of(public: PublicKey) -> str:
    return checksum("0x" + keccak(public.format(compressed=False)[1:])[-20:].hex())
