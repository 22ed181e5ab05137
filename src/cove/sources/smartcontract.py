"""What views of smart contracts give, as JSON. Addresses, functions and arguments are secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final

from cove.core.errors import DataMissing
from cove.core.files import CONTRACT_NAME, ContractFile, FileFacts, FileObject
from cove.sources.contract_values import decoded, encoded

Call = Callable[[int, str, bytes], bytes]
"""Calls a contract: chain id, address, call data (selector and arguments); gives what it returned.

Blocking. Raises DataMissing where the chain is not served or does not answer, or where the contract refused."""

MAX_RESULT: Final = 1 << 20
"""Bytes that a contract may return."""

_KIND: Final = "smartcontract"


class ContractReader:
    """A result that is being read."""

    def __init__(self, content: bytes) -> None:
        self.length: int | None = len(content)
        self._left = memoryview(content)
        self._closed = False
        self._lock = Lock()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as bytes come; 0 means the end. See :class:`cove.ports.Reader`."""
        with self._lock:
            if self._closed:
                raise DataMissing("The source was closed.")
            count = min(len(buffer), len(self._left))
            buffer[:count] = self._left[:count]
            self._left = self._left[count:]
            return count

    def close(self) -> None:
        """Let go; may be repeated."""
        with self._lock:
            self._closed = True
            self._left = memoryview(b"")


class ContractSource:
    """Asks contracts for files of type ``smartcontract``.

    A function with one output gives its value, one with several a list (``cove.sources.contract_values`` says how).

    Args:
        call: Calls a contract.
        keccak: keccak-256.
        max_bytes: Bytes that a contract may return.
    """

    def __init__(self, call: Call, keccak: Callable[[bytes], bytes], *, max_bytes: int = MAX_RESULT) -> None:
        self._call = call
        self._keccak = keccak
        self._max_bytes = max_bytes

    def info(self, file: FileObject) -> FileFacts:
        """Look at a result, which asks the contract. See ``cove.ports``."""
        try:
            size = len(self._content(file))
        except DataMissing:
            return FileFacts(valid=False, type=_KIND)
        return FileFacts(
            valid=True, type=_KIND, content_length=size, content_type="application/json", filename=CONTRACT_NAME
        )

    def open(self, file: FileObject, offset: int = 0) -> ContractReader:
        """Ask the contract. See ``cove.ports``."""
        content = self._content(file)
        if offset > len(content):
            raise DataMissing("The contract's result is shorter than the part of it that was read before.")
        return ContractReader(content[offset:])

    def path(self, file: FileObject) -> Path | None:
        """Give None: a result lies nowhere."""
        del file
        return None

    def fingerprint(self, file: FileObject) -> str | None:
        """Give None: the bytes are hashed."""
        del file
        return None

    def _content(self, file: FileObject) -> bytes:
        if not isinstance(file, ContractFile):
            raise DataMissing("The file is not of type smartcontract.")
        function = file.function
        data = self._keccak(function.signature.encode())[:4] + encoded(function.inputs, file.userdata)
        result = self._call(file.chain_id, file.address, data)
        if len(result) > self._max_bytes:
            raise DataMissing("The contract's result is larger than the provider reads.")
        values = decoded(function.outputs, result)
        return json.dumps(values[0] if len(values) == 1 else values, separators=(",", ":")).encode()
