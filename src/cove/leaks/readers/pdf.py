"""PDF: what its streams say, inflated. Text that is split into single letters is not put together."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from cove.leaks.items import Binary, Budget, Inner, Item, OpaqueError
from cove.leaks.sniffing import Form

_STREAM: Final = re.compile(rb"stream\r?\n")
_MOST: Final = 32 << 20


def read(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give every stream.

    Raises:
        OpaqueError: It is encrypted.
    """
    content = file.read()
    for found in _STREAM.finditer(content):
        end = content.find(b"endstream", found.end())
        if end < 0:
            break
        try:
            plain = zlib.decompressobj().decompress(content[found.end() : end], _MOST)
        except zlib.error:
            continue
        budget.take(len(plain))
        yield Inner("stream", plain)
    yield Binary(content, known=True)
    if b"/Encrypt" in content:
        raise OpaqueError("encrypted")
