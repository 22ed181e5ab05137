"""Inputs that are packed are read through, and not unpacked into memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from typing import BinaryIO, cast

from cove.leaks.sniffing import Form

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["unpacked", "zstd"]


def unpacked(file: BinaryIO, form: Form) -> BinaryIO | None:
    """Give what a packed stream holds; None when it is none."""
    match form.kind:
        case "gzip":
            return cast("BinaryIO", gzip.GzipFile(fileobj=file))
        case "bzip2":
            return cast("BinaryIO", bz2.BZ2File(file))
        case "xz":
            return cast("BinaryIO", lzma.LZMAFile(file))
        case "zstd":
            return cast("BinaryIO", zstd.ZstdFile(file))
        case _:
            return None
