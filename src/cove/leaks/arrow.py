"""Columns of Arrow, understood without a Python object per cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cove.leaks.cells import NUMBER, Column, text_hash_or_empty

if TYPE_CHECKING:
    from cove.leaks.cells import Hashing

_NUMBER = f"^{NUMBER}$"


def column_of(hashing: Hashing, cells: Any) -> Column:  # noqa: ANN401 - Arrow has no types
    """Understand an Arrow array of any type."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    kind = cells.type
    if pa.types.is_dictionary(kind):
        values = column_of(hashing, cells.dictionary)
        places = cells.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        numbers, texts = np.append(values.numbers, np.nan), np.append(values.texts, np.uint64(0))
        return Column(numbers[places], texts[places])
    if (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    ):
        return _numbers(cells)
    if pa.types.is_null(kind):
        return Column(np.full(len(cells), np.nan), np.zeros(len(cells), np.uint64))
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        try:
            cells = cells.cast(pa.string())
        except pa.ArrowException:
            return hashing.column([None if cell is None else str(cell) for cell in cells.to_pylist()])
    return _texts(hashing, cells)


def _numbers(cells: Any) -> Column:  # noqa: ANN401 - Arrow has no types
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.int8())
    numbers = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    return Column(np.where(np.isfinite(numbers), numbers, np.nan), np.zeros(len(numbers), np.uint64))


def _texts(hashing: Hashing, cells: Any) -> Column:  # noqa: ANN401 - Arrow has no types
    trimmed = pc.utf8_trim(cells, characters=" \t\r\n\"'`")
    is_number = pc.match_substring_regex(trimmed, _NUMBER).fill_null(fill_value=False)
    none = pa.scalar(None, trimmed.type)
    digits = pc.utf8_ltrim(pc.if_else(is_number, trimmed, none), characters="+")
    numbers = digits.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    rest = pc.if_else(is_number, none, cells)
    if rest.null_count == len(rest):
        return Column(numbers, np.zeros(len(numbers), np.uint64))
    encoded = rest.dictionary_encode()
    hashes = np.array([text_hash_or_empty(hashing, text) for text in encoded.dictionary.to_pylist()] + [0], np.uint64)
    places = encoded.indices.fill_null(len(hashes) - 1).to_numpy(zero_copy_only=False)
    return Column(numbers, hashes[places])
