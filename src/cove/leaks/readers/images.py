"""PNG: its texts, and what stands behind its end. Pixels are not looked at."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from cove.leaks.items import Budget, Inner, Item
from cove.leaks.sniffing import Form

_PIXELS: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD"})
_MOST: Final = 64 << 20


def read(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give the contents of every chunk that holds no pixels, and what follows the picture."""
    content = file.read()
    place = 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        kind, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        place += 12 + length
        if kind not in _PIXELS and body:
            yield Inner(kind.decode("latin-1"), _text(kind, body, budget))
        if kind == b"IEND":
            break
    if place < len(content):
        yield Inner("behind the picture", content[place:])


def _text(kind: bytes, body: bytes, budget: Budget) -> bytes:
    """Give what a text chunk says, inflated where it is compressed."""
    _, _, rest = body.partition(b"\0")
    if kind == b"tEXt":
        return rest or body
    start = rest.find(b"\x78") if kind in {b"zTXt", b"iTXt", b"iCCP"} else -1
    if start >= 0:
        try:
            found = zlib.decompressobj().decompress(rest[start:], _MOST)
        except zlib.error:
            return rest
        budget.take(len(found))
        return found
    return rest.lstrip(b"\0") or body
