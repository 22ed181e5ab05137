"""Excel workbooks (xlsx), sheet by sheet."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from cove.leaks.cells import number_of
from cove.leaks.items import Budget, Item, OpaqueError, Table
from cove.leaks.sniffing import Form

_ROWS: Final = 65_536
_MOST_COLUMNS: Final = 4096


def read(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give the rows of every sheet.

    Raises:
        OpaqueError: It is broken, or a bomb.
    """
    import openpyxl  # noqa: PLC0415 - loading it takes a third of a second

    for member in zipfile.ZipFile(file).infolist():
        budget.take(member.file_size)
    file.seek(0)
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            yield from _sheet(sheet)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, SyntaxError, zipfile.BadZipFile):
        raise OpaqueError("broken") from None


def _sheet(sheet: Any) -> Iterator[Item]:  # noqa: ANN401 - openpyxl has no types
    names: list[str] = []
    kept: list[list[str | None]] = []
    for row in sheet.iter_rows(values_only=True, max_col=_MOST_COLUMNS):
        cells = [_text(cell) for cell in row]
        if not any(cells):
            continue
        if not names:
            is_header = not any(cell is not None and number_of(cell) is not None for cell in cells)
            names = [cell or "" for cell in cells] if is_header else [f"column {at}" for at in range(len(cells))]
            if is_header:
                continue
        width = len(names)
        if len(cells) > width:
            names.extend(f"column {at}" for at in range(width, len(cells)))
        kept.append(cells)
        if len(kept) >= _ROWS:
            yield _table(names, kept, sheet.title)
            kept = []
    if kept:
        yield _table(names, kept, sheet.title)


def _table(names: list[str], rows: list[list[str | None]], title: str) -> Table:
    width = len(names)
    padded = [row + [None] * (width - len(row)) for row in rows]
    return Table(tuple(names), [list(column) for column in zip(*padded, strict=True)], title)


def _text(cell: Any) -> str | None:  # noqa: ANN401 - whatever a cell holds
    if cell is None:
        return None
    if isinstance(cell, float):
        return repr(cell)
    return cell.isoformat(" ") if isinstance(cell, dt.datetime) else str(cell)
