"""The first sheet of an Excel workbook that has rows."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cove.sampling.errors import TableWrong

_ROWS: Final = 4096
_MOST_COLUMNS: Final = 4096
_LARGEST: Final = 4 << 30
_TYPES: Final[dict[type, Any]] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    dt.datetime: pa.timestamp("us"),
    dt.date: pa.date32(),
    dt.time: pa.time64("us"),
    dt.timedelta: pa.duration("us"),
}


def is_workbook(place: Path) -> bool:
    """Say whether a zip file is a workbook, of a size that can be unpacked."""
    with contextlib.suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(place) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > _LARGEST:
            raise TableWrong(f"The workbook {place} unpacks to more than {_LARGEST} bytes.")
        return any(member.filename == "xl/workbook.xml" for member in members)
    return False


class Sheet:
    """A sheet, whose first row has the names.

    Args:
        place: The workbook.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._names: tuple[str, ...] = ()

    def columns(self) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Read everything once, and give names and types."""
        rows = self._rows()
        first = next(rows, ())
        while first and first[-1] is None:
            first = first[:-1]
        self._names = tuple("" if cell is None else str(cell) for cell in first)
        types: list[Any] = [pa.null()] * len(self._names)
        for row in rows:
            for at, cell in enumerate(row[: len(types)]):
                if cell is not None and types[at] != pa.string():
                    types[at] = _wider(types[at], _TYPES.get(type(cell), pa.string()))
        return self._names, tuple(types)

    def batches(self, types: Sequence[Any]) -> Iterator[Any]:
        """Give the rows, from the first one below the names."""
        rows = itertools.islice(self._rows(), 1, None)
        width = len(types)
        while block := list(itertools.islice(rows, _ROWS)):
            padded = [(*row[:width], *(None,) * (width - len(row))) for row in block]
            arrays = [
                pa.array([_cell(cell, kind) for cell in column], kind)
                for column, kind in zip(zip(*padded, strict=True), types, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, [f"f{at}" for at in range(width)])

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        import openpyxl  # noqa: PLC0415 - loading it takes a third of a second

        try:
            book = openpyxl.load_workbook(self._place, read_only=True, data_only=True, keep_links=False)
            with contextlib.closing(book):
                for sheet in book.worksheets:
                    sheet.reset_dimensions()
                    any_row = False
                    for row in sheet.iter_rows(values_only=True, max_col=_MOST_COLUMNS):
                        if any(cell is not None for cell in row):
                            any_row = True
                            yield row
                    if any_row:
                        return
        except (KeyError, TypeError, AttributeError, IndexError, SyntaxError, zipfile.BadZipFile) as problem:
            raise ValueError("broken") from problem


def _wider(one: Any, other: Any) -> Any:  # noqa: ANN401 - Arrow has no types
    if one == other or pa.types.is_null(one):
        return other
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else pa.string()


def _cell(cell: Any, kind: Any) -> Any:  # noqa: ANN401 - whatever a cell holds
    return str(cell) if cell is not None and kind == pa.string() else cell
