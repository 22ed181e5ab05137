"""CSV and its kin: the types are those that Arrow gives the whole file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import csv as arrow

from cove.leaks.cells import number_of
from cove.leaks.readers.delimited import dialect_of
from cove.sampling.errors import TableWrong

_BLOCK: Final = 4 << 20
_FIELD: Final = 1 << 20
_MOST: Final = 4096


class Delimited:
    """A file of rows.

    Args:
        place: The file.
        encoding: Of its text.
        head: Its beginning.
        header: Whether the first row has the names; None: it has, unless a number is among them.
    """

    def __init__(self, place: Path, encoding: str, head: bytes, *, header: bool | None) -> None:
        self._place = place
        self._encoding = "utf8" if encoding in {"utf-8", "utf-8-sig"} else encoding
        text = head.decode(encoding, "replace").lstrip("\ufeff")
        self.delimiter = dialect_of(text, place.name) or ("\t" if place.suffix.lower() == ".tsv" else ",")
        first = _first_row(text, self.delimiter)
        if len(first) > _MOST:
            raise TableWrong(f"The table {place} has more than {_MOST} columns.")
        named = bool(first) and not any(number_of(name.strip()) is not None for name in first)
        self.header = named if header is None else header
        self.names = tuple(first) if self.header else tuple(f"f{at}" for at in range(len(first)))

    def types(self) -> tuple[Any, ...]:
        """Read everything once, and give the type of each column."""
        found: list[Any] = [pa.null()] * len(self.names)
        for batch in self._rows([pa.string()] * len(self.names)):
            found = [wider(known, kind) for known, kind in zip(found, _inferred(batch), strict=True)]
        return tuple(found)

    def batches(self, types: Sequence[Any]) -> Iterator[Any]:
        """Give the rows, from the first one; those that have not the table's width are passed over."""
        return self._rows(types)

    def _rows(self, types: Sequence[Any]) -> Iterator[Any]:
        columns = [f"f{at}" for at in range(len(self.names))]
        with arrow.open_csv(
            self._place,
            arrow.ReadOptions(
                use_threads=False,
                block_size=_BLOCK,
                column_names=columns,
                skip_rows_after_names=int(self.header),
                encoding=self._encoding,
            ),
            arrow.ParseOptions(delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=lambda _: "skip"),
            arrow.ConvertOptions(column_types=dict(zip(columns, types, strict=True))),
        ) as reader:
            for batch in reader:
                if batch.num_rows:
                    yield batch


def _first_row(text: str, delimiter: str) -> list[str]:
    csv.field_size_limit(_FIELD)
    try:
        return next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    except csv.Error:
        return []


def _inferred(batch: Any) -> list[Any]:  # noqa: ANN401 - Arrow has no types
    """Give the types that Arrow would give these rows alone."""
    sink = pa.BufferOutputStream()
    arrow.write_csv(batch, sink, arrow.WriteOptions(include_header=False))
    options = arrow.ReadOptions(
        use_threads=False, column_names=batch.schema.names, block_size=max(_BLOCK, 2 * sink.tell())
    )
    read = arrow.read_csv(
        pa.BufferReader(sink.getvalue()), options, arrow.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    )
    return list(read.schema.types)


def wider(one: Any, other: Any) -> Any:  # noqa: ANN401 - Arrow has no types
    """Give the type of a column that has rows of both."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    both = {str(one), str(other)}
    if both == {"int64", "double"}:
        return pa.float64()
    if both <= {"date32[day]", "timestamp[s]"}:
        return pa.timestamp("s")
    if both <= {"date32[day]", "timestamp[s]", "timestamp[ns]"}:
        return pa.timestamp("ns")
    return pa.string()
