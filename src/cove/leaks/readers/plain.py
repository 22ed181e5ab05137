"""Texts as they stand, and bytes that nobody understands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from cove.leaks.items import Binary, Budget, Item, OpaqueError, Text
from cove.leaks.sniffing import Form

_PART: Final = 16 << 20


def read(file: BinaryIO, form: Form, _budget: Budget) -> Iterator[Item]:
    """Give a text, in pieces that end with a line where they can."""
    import codecs  # noqa: PLC0415 - beside its use

    decoder = codecs.getincrementaldecoder(form.encoding)("replace")
    left = ""
    while part := file.read(_PART):
        text = left + decoder.decode(part)
        end = text.rfind("\n") + 1 or len(text)
        yield Text(text[:end])
        left = text[end:]
    left += decoder.decode(b"", final=True)
    if left:
        yield Text(left)


def read_binary(file: BinaryIO, form: Form, _budget: Budget) -> Iterator[Item]:
    """Give bytes as they are."""
    yield Binary(file.read(), known=form.media.startswith(("image/", "audio/", "video/", "font/")))


def read_known(file: BinaryIO, _form: Form, _budget: Budget) -> Iterator[Item]:
    """Give the bytes of a picture, whose pixels are not looked at."""
    yield Binary(file.read(), known=True)


def read_unknown(file: BinaryIO, _form: Form, _budget: Budget) -> Iterator[Item]:
    """Give bytes of a form that packs what it holds, and that we cannot unpack.

    Raises:
        OpaqueError: Always, at the end.
    """
    yield Binary(file.read(), known=True)
    raise OpaqueError("unknown")
