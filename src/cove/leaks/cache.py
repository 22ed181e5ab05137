"""Indexes on disk, encrypted, shared by every Cove of the same key and folder.

A file is a folder per dataset and a name that say nothing without the key. It is written aside and renamed, so there is
never half of one; one that does not open is removed, and made again by whoever asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT: Final = b"cove leak index, 2"
_PART: Final = 4 << 20
_NONCE: Final = 8
_LONG: Final = 12
_TAG: Final = 16
#: In a dataset's folder: its DID, encrypted.
_WHOSE: Final = ".dataset"
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Cache:
    """Keeps indexes.

    Args:
        folder: This process, and others like it, have it for themselves.
        key: 32 bytes for what is kept.
        most_bytes: What was not used for longest goes first.
    """

    def __init__(self, folder: Path, key: bytes, most_bytes: int) -> None:
        self._folder = folder
        self._cipher = AESGCM(key)
        self._names = hmac.digest(key, b"names", "sha256")
        self._most = most_bytes

    def name(self, dataset: str, digest: str, identifiers: Iterable[str]) -> str:
        """Give the name of an index: folder of its dataset, and file."""
        described = "\0".join((digest, *sorted(identifiers))).encode("utf-8", "surrogatepass")
        return f"{self._keyed(dataset.encode('utf-8', 'surrogatepass'))}/{self._keyed(_FORMAT + described)}"

    def get(self, name: str) -> int | None:
        """Give a descriptor of a kept index in memory; None when there is none."""
        place = self._folder / name
        try:
            file = place.open("rb")
        except OSError:
            return None
        into = memory_file()
        with file:
            try:
                self._open(file.fileno(), into, name)
            except (InvalidTag, ValueError, OSError):
                os.close(into)
                place.unlink(missing_ok=True)
                return None
        with contextlib.suppress(OSError):
            os.utime(place)
        return sealed(into)

    def put(self, name: str, dataset: str, index: int) -> None:
        """Keep an index of a dataset; one that does not fit is not kept."""
        size = os.fstat(index).st_size
        if size > self._most:
            return
        place = self._folder / name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = place.with_name(f".{secrets.token_hex(8)}")
        try:
            self._sign(place.parent, dataset)
            with aside.open("xb") as file:
                self._seal(index, size, file.fileno(), name)
            aside.replace(place)
        except OSError:
            aside.unlink(missing_ok=True)  # a full disk: it is made again when it is asked for
        self._evict(place)

    def forget(self, dataset: str) -> int:
        """Remove all indexes of a dataset, and give their number."""
        folder = self._folder / self._keyed(dataset.encode("utf-8", "surrogatepass"))
        try:
            count = sum(not entry.name.startswith(".") for entry in folder.iterdir())
        except OSError:
            return 0
        shutil.rmtree(folder, ignore_errors=True)
        return count

    def datasets(self) -> list[str]:
        """Give the datasets that have indexes, in no order; a folder that does not say whose it is has none of use."""
        found: list[str] = []
        for place in self._folder.glob(f"*/{_WHOSE}"):
            try:
                sealed_name = place.read_bytes()
                plain = self._cipher.decrypt(sealed_name[:_LONG], sealed_name[_LONG:], place.parent.name.encode())
            except (OSError, InvalidTag, ValueError):
                continue
            found.append(plain.decode("utf-8", "surrogatepass"))
        return found

    def names_of(self, dataset: str) -> str:
        """Give what the names of a dataset's indexes begin with."""
        return self._keyed(dataset.encode("utf-8", "surrogatepass")) + "/"

    def _sign(self, folder: Path, dataset: str) -> None:
        place = folder / _WHOSE
        if place.exists():
            return
        nonce = secrets.token_bytes(_LONG)
        plain = dataset.encode("utf-8", "surrogatepass")
        aside = folder / f".{secrets.token_hex(8)}"
        aside.write_bytes(nonce + self._cipher.encrypt(nonce, plain, folder.name.encode()))
        aside.replace(place)

    def _keyed(self, text: bytes) -> str:
        return hmac.digest(self._names, text, hashlib.sha256).hex()[:40]

    def _seal(self, index: int, size: int, into: int, name: str) -> None:
        nonce = secrets.token_bytes(_NONCE)
        _write(into, _FORMAT + nonce)
        count = max(1, -(-size // _PART))
        for number in range(count):
            part = os.pread(index, _PART, number * _PART)
            about = name.encode() + struct.pack("<I?", number, number == count - 1)
            _write(into, self._cipher.encrypt(nonce + struct.pack("<I", number), part, about))

    def _open(self, file: int, into: int, name: str) -> None:
        head = os.read(file, len(_FORMAT) + _NONCE)
        if head[: len(_FORMAT)] != _FORMAT:
            raise ValueError("not one of ours")
        nonce = head[len(_FORMAT) :]
        left = os.fstat(file).st_size - len(head)
        number = 0
        while left > 0:
            part = _read(file, min(_PART + _TAG, left))
            left -= len(part)
            about = name.encode() + struct.pack("<I?", number, left == 0)
            _write(into, self._cipher.decrypt(nonce + struct.pack("<I", number), part, about))
            number += 1
        if not number:
            raise ValueError("cut off")

    def _evict(self, kept: Path) -> None:
        """Remove what was not used for longest, until the rest fits."""
        found: list[tuple[float, int, Path]] = []
        for place in self._folder.glob("*/*"):
            if place.name == _WHOSE:
                continue
            with contextlib.suppress(OSError):
                facts = place.stat()
                found.append((facts.st_mtime, facts.st_size, place))
        total = sum(size for _, size, _ in found)
        for _, size, place in sorted(found):
            if total <= self._most:
                return
            if place != kept:
                place.unlink(missing_ok=True)
                total -= size


def memory_file() -> int:
    """Give a descriptor of an empty file in memory."""
    return os.memfd_create("cove-index", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def sealed(descriptor: int) -> int:
    """Let nobody change a file in memory any more."""
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


def _read(file: int, length: int) -> bytes:
    kept = bytearray()
    while len(kept) < length and (part := os.read(file, length - len(kept))):
        kept.extend(part)
    if len(kept) < length:
        raise ValueError("cut off")
    return bytes(kept)


def _write(into: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(into, view) :]
