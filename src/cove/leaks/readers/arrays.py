"""NumPy arrays, never by unpickling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import numpy as np

from cove.leaks.items import Binary, Budget, Item, Numbers, OpaqueError, Table
from cove.leaks.readers.pickles import items_of_pickle
from cove.leaks.sniffing import Form

WIDEST: Final = 64


def read(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give an array's rows.

    Raises:
        OpaqueError: It is broken, or claims more than it has.
    """
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = header(file)
        rest = file.read()
        if kind.hasobject:
            yield from items_of_pickle(rest, budget)
            return
        count = int(np.prod([int(length) for length in shape], dtype=object)) if shape else 1
        if kind.itemsize == 0 or count < 0 or count * kind.itemsize > len(rest):
            raise OpaqueError("broken")
        values = np.frombuffer(rest, kind, count).reshape(shape, order="F" if fortran else "C")
        extra = rest[count * kind.itemsize :]
    except (ValueError, TypeError, OverflowError, SyntaxError, MemoryError, RecursionError):
        raise OpaqueError("broken") from None
    yield from items_of_array(values)
    if extra:
        yield Binary(extra)


def items_of_array(values: np.ndarray[Any, Any]) -> Iterator[Item]:
    """Give an array as a table where it has few columns, else as numbers in their order."""
    if values.dtype.names:
        flat = values.reshape(-1)
        names = list(values.dtype.names)
        columns = [flat[name].reshape(len(flat), -1)[:, 0] for name in names] if len(flat) else []
        if columns:
            yield Table(names, [_cells(column) for column in columns])
        return
    if not values.size:
        return
    if values.ndim == 2 and 1 < values.shape[1] <= WIDEST:  # noqa: PLR2004 - rows and columns
        yield Table([f"column {at}" for at in range(values.shape[1])], [_cells(column) for column in values.T])
        return
    if values.ndim == 2 and 1 < values.shape[0] <= WIDEST:  # noqa: PLR2004 - columns and rows
        yield Table([f"column {at}" for at in range(values.shape[0])], [_cells(row) for row in values])
        return
    cells = _cells(values.reshape(-1))
    yield Numbers(cells) if isinstance(cells, np.ndarray) else Table(["column 0"], [cells])


def _cells(column: np.ndarray[Any, Any]) -> Any:  # noqa: ANN401 - numbers or texts
    if column.dtype.kind in "fiub":
        return np.ascontiguousarray(column).astype(np.float64)
    if column.dtype.kind == "c":
        return np.ascontiguousarray(column.real).astype(np.float64)
    return [part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in column.tolist()]
