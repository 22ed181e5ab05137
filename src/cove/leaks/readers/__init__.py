"""Readers: one module per form. Each takes an open file, and gives items."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from cove.leaks.items import Budget, Item
from cove.leaks.sniffing import Form

Reader = Callable[[BinaryIO, Form, Budget], Iterator[Item]]

READERS: Final = {
    "arrow": "parquet:read_arrow",
    "binary": "plain:read_binary",
    "bzip2": "packed:read_bzip2",
    "delimited": "delimited:read",
    "gzip": "packed:read_gzip",
    "image": "plain:read_known",
    "json": "jsons:read",
    "jsonl": "jsons:read_lines",
    "markup": "markup:read",
    "npy": "arrays:read",
    "parquet": "parquet:read",
    "pdf": "pdf:read",
    "pickle": "pickles:read",
    "png": "images:read",
    "safetensors": "tensors:read",
    "sqlite": "sqlite:read",
    "tar": "packed:read_tar",
    "text": "plain:read",
    "unread": "plain:read_unknown",
    "xlsx": "excel:read",
    "xz": "packed:read_xz",
    "zip": "packed:read_zip",
    "zstd": "packed:read_zstd",
}
"""Kind of form -> reader, loaded when it is needed."""

CONTAINERS: Final = frozenset({"bzip2", "gzip", "tar", "xz", "zip", "zstd"})


def reader_of(form: Form) -> Reader:
    """Give the reader of a form."""
    found: Reader = pkgutil.resolve_name(f"cove.leaks.readers.{READERS[form.kind]}")
    return found
