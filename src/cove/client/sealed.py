"""Opens files that a provider encrypted to an account's key, holding no more than a piece of them.

The form is that of ``eciespy``: an uncompressed ephemeral key (65 bytes), nonce (16), tag (16), AES-256-GCM.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, Final

from coincurve import PrivateKey, PublicKey
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cove.client.errors import KeyMissing
from cove.client.signing import Signer

_POINT: Final = 65
_NONCE: Final = 16
_TAG: Final = 16
_CHUNK: Final = 1 << 20


def decrypt_file(signer: Signer, source: Path, target: Path) -> int:
    """Open a file that was encrypted to the account's key; it is there whole and unchanged, or not at all.

    Args:
        signer: The account.
        source: The encrypted file.
        target: Where its content goes; an existing file is replaced in one step.

    Returns:
        Bytes of the content.

    Raises:
        KeyMissing: It was not encrypted to this account's key, or was changed.
        OSError: A file cannot be read or written.
    """
    with source.open("rb") as file:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as written:
                size = _decrypt(signer, file, written)
            Path(name).replace(target)
        except (ValueError, InvalidTag):
            raise KeyMissing(f"{source} was not encrypted to the key of {signer.address}, or was changed.") from None
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
    return size


def _decrypt(signer: Signer, file: BinaryIO, written: BinaryIO) -> int:
    head = file.read(_POINT)
    nonce, tag = file.read(_NONCE), file.read(_TAG)
    if len(head) + len(nonce) + len(tag) != _POINT + _NONCE + _TAG:
        raise ValueError("too short")
    key = PrivateKey(signer.private_key())
    shared = PublicKey(head).multiply(key.secret).format(compressed=False)
    secret = HKDF(algorithm=SHA256(), length=32, salt=None, info=None).derive(head + shared)
    decryptor = Cipher(AES(secret), GCM(nonce, tag)).decryptor()
    size = 0
    while chunk := file.read(_CHUNK):
        size += written.write(decryptor.update(chunk))
    decryptor.finalize()
    return size
