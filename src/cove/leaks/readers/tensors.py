"""Safetensors, and numbers in bytes that nobody described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import numpy as np

from cove.leaks.cells import Floats
from cove.leaks.items import Binary, Budget, Item, Numbers, OpaqueError, Text
from cove.leaks.readers.arrays import items_of_array
from cove.leaks.sniffing import Form

_TYPES: Final = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
}
_LEAST: Final = 16
_SHARE: Final = 0.9
_SAMPLE: Final = 4096
_NOISE: Final = 4.0
_LITTLE: Final = 1e-6
_LARGE: Final = 1e12


def read(file: BinaryIO, _form: Form, _budget: Budget) -> Iterator[Item]:
    """Give every tensor.

    Raises:
        OpaqueError: It is broken.
    """
    content = file.read()
    begin = 8 + int.from_bytes(content[:8], "little")
    try:
        head = json.loads(content[8:begin])
        tensors = [entry for name, entry in head.items() if name != "__metadata__"]
        yield Text(json.dumps(head))
        for entry in tensors:
            yield from _tensor(content, begin, entry)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise OpaqueError("broken") from None
    last = max([begin, *(begin + int(entry["data_offsets"][1]) for entry in tensors)])
    if last < len(content):
        yield Binary(content[last:])


def _tensor(content: bytes, begin: int, entry: dict[str, Any]) -> Iterator[Item]:
    first, last = (begin + int(offset) for offset in entry["data_offsets"])
    part = content[first:last]
    kind = _TYPES.get(entry["dtype"])
    if kind is None:
        yield Binary(part, known=True)
        return
    values = np.frombuffer(part[: len(part) // np.dtype(kind).itemsize * np.dtype(kind).itemsize], kind)
    yield from items_of_array(values.reshape([int(length) for length in entry["shape"]]))


def numbers_in(content: bytes) -> Iterator[Numbers]:
    """Give bytes as doubles and as floats, from each place where they may begin, where many of them make sense so.

    Most of them do in bytes that hold nothing else: the best way to read those is enough.
    """
    ways = [("<f8", 0), ("<f8", 4), ("<f4", 0), ("<f4", 1), ("<f4", 2), ("<f4", 3)]
    rated = sorted(((_rating(content, kind, shift), kind, shift) for kind, shift in ways), reverse=True)
    fit = [(kind, shift) for share, kind, shift in rated if share >= _SHARE][:2]
    for kind, shift in fit or [(kind, shift) for share, kind, shift in rated if share >= _SHARE / 4][:4]:
        values = _read(content, kind, shift)
        yield Numbers(np.where(_sensible(values), values, np.nan))


def _read(content: bytes, kind: str, shift: int) -> Floats:
    size = np.dtype(kind).itemsize
    with np.errstate(invalid="ignore"):
        return np.frombuffer(content, kind, (len(content) - shift) // size, shift).astype(np.float64)


def _rating(content: bytes, kind: str, shift: int) -> float:
    """Give the share of numbers that make sense; 0 where their sizes are as those of noise, evenly spread."""
    size = np.dtype(kind).itemsize
    if len(content) < _LEAST * size + shift:
        return 0.0
    values = _read(content, kind, shift)
    sample = values[:: max(1, len(values) // _SAMPLE)]
    sensible = sample[_sensible(sample) & (sample != 0)]
    if len(sensible) < _LEAST or float(np.log10(np.abs(sensible)).std()) > _NOISE:
        return 0.0
    return len(sensible) / len(sample)


def _sensible(values: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    with np.errstate(invalid="ignore"):
        size = np.abs(values)
        found: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (size == 0) | ((size > _LITTLE) & (size < _LARGE))
    return found
