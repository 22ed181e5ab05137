"""Containers, never unpacked beyond what is left of the budget."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol, cast

from cove.leaks.items import Binary, Budget, Inner, Item, OpaqueError
from cove.leaks.sniffing import Form
from cove.leaks.streaming import zstd

_PART: Final = 1 << 20


class _Packed(Protocol):
    """A stream that is unpacked while it is read."""

    def read1(self, size: int = ..., /) -> bytes:
        """Give what is there without waiting for more, so that a cut off stream gives what it has."""
        ...


_ENCRYPTED: Final = 0x1
_BROKEN: Final = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile)


def read_gzip(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give what a gzip file holds."""
    with gzip.GzipFile(fileobj=file) as packed:
        yield from _one(packed, budget)


def read_bzip2(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give what a bzip2 file holds."""
    with bz2.BZ2File(file) as packed:
        yield from _one(packed, budget)


def read_xz(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give what an xz file holds."""
    with lzma.LZMAFile(file) as packed:
        yield from _one(packed, budget)


def read_zstd(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give what a zstd file holds."""
    with zstd.ZstdFile(file) as packed:
        yield from _one(packed, budget)


def read_tar(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give the files of a tar file, and the names of everything."""
    names: list[str] = []
    try:
        with tarfile.open(fileobj=file, mode="r:") as opened:
            for member in opened:
                names.extend((member.name, member.linkname, *member.pax_headers.values()))
                if member.isreg() and (inner := opened.extractfile(member)) is not None:
                    yield Inner(member.name, _read(cast("_Packed", inner), budget))
    except (tarfile.TarError, *_BROKEN):
        yield Inner("", "\n".join(names).encode("utf-8", "replace"))
        raise OpaqueError("broken") from None
    yield Inner("", "\n".join(names).encode("utf-8", "replace"))


def read_zip(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give the files of a zip file, its names and its comments."""
    secret = False
    try:
        with zipfile.ZipFile(file) as opened:
            members = opened.infolist()
            notes = [opened.comment, *(member.comment for member in members), *(member.extra for member in members)]
            yield Inner("", b"\n".join([*(member.filename.encode("utf-8", "replace") for member in members), *notes]))
            for member in members:
                if member.flag_bits & _ENCRYPTED:
                    secret = True
                elif not member.is_dir():
                    with opened.open(member) as inner:
                        yield Inner(member.filename, _read(cast("_Packed", inner), budget))
    except (RuntimeError, NotImplementedError, *_BROKEN):
        file.seek(0)
        yield Binary(file.read(), known=True)
        raise OpaqueError("broken") from None
    if secret:
        raise OpaqueError("encrypted")


def _one(packed: _Packed, budget: Budget) -> Iterator[Item]:
    """Unpack one stream.

    Raises:
        OpaqueError: It is a bomb or broken.
    """
    kept = io.BytesIO()
    try:
        yield Inner("", _read(packed, budget, kept))
    except _BROKEN:
        if kept.tell():
            yield Inner("", kept.getvalue())
        raise OpaqueError("broken") from None


def _read(packed: _Packed, budget: Budget, kept: io.BytesIO | None = None) -> bytes:
    kept = kept if kept is not None else io.BytesIO()
    while part := packed.read1(min(_PART, budget.bytes + 1)):
        kept.write(part)
        if kept.tell() > budget.bytes:
            raise OpaqueError("bomb")
    budget.take(kept.tell())
    return kept.getvalue()
