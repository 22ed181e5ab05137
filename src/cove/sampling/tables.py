"""Reads tables of every usual form as batches of typed columns, from the beginning as often as is wanted."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cove.leaks.sniffing import HEAD, Form, form_of
from cove.sampling import delimited, jsons, workbooks
from cove.sampling.errors import TableWrong

MOST_COLUMNS: Final = 4096
_ROWS: Final = 16_384


@dataclass(frozen=True, slots=True)
class Written:
    """How a table is written down."""

    #: ``csv``, ``tsv``, ``jsonl``, ``json``, ``parquet`` or ``xlsx``: the ending of its files.
    ending: str
    delimiter: str = ","
    #: Whether the first row has the names.
    header: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is read batch by batch."""

    form: Written
    #: As the file has them; two may be the same.
    names: tuple[str, ...]
    types: tuple[Any, ...]
    #: Gives its batches, from the first one; may be called again.
    batches: Callable[[], Iterator[Any]]


def open_table(place: Path, *, header: bool | None = None) -> Table:
    """Open a table, and find out its types, for which it may be read once. Blocking.

    Args:
        place: A regular file.
        header: Whether a CSV's first row has the names; None: it has, unless a number is among them.

    Raises:
        TableWrong: It is none, or of a form that is not read.
    """
    if place.exists() and not place.is_file():  # a FIFO would wait for ever
        raise TableWrong(f"The table {place} is no regular file.")
    try:
        with place.open("rb") as file:
            head = file.read(HEAD)
    except OSError as problem:
        raise TableWrong(f"The table {place} cannot be read: {problem.strerror}.") from None
    form = form_of(head, place.name)
    with _readable(place, form.kind):
        found = _opened(place, form, head, header=header)
        _check(found, place)

    def batches() -> Iterator[Any]:
        with _readable(place, form.kind):
            yield from found.batches()

    return replace(found, batches=batches)


@contextlib.contextmanager
def _readable(place: Path, kind: str) -> Iterator[None]:
    """Turn what the libraries say of a broken file into our own error: their texts quote values."""
    try:
        yield
    except _BROKEN:
        raise TableWrong(f"The table {place} is broken: it cannot be read to its end as {_NAMES[kind]}.") from None


_BROKEN: Final = (pa.ArrowException, ValueError, OSError, OverflowError, RecursionError, zipfile.BadZipFile)
_NAMES: Final = {
    "delimited": "CSV",
    "text": "CSV",
    "jsonl": "JSON lines",
    "json": "JSON",
    "parquet": "Parquet",
    "zip": "an Excel workbook",
}


def _opened(place: Path, form: Form, head: bytes, *, header: bool | None) -> Table:
    match form.kind:
        case "delimited":
            return _of_csv(place, form, head, header=header)
        case "text" if place.suffix.lower() in {".csv", ".tsv"} and head.strip():
            return _of_csv(place, form, head, header=header)
        case "jsonl" | "json":
            text = jsons.Records(place, form.encoding, lines=form.kind == "jsonl")
            schema = text.schema()
            return Table(Written(form.kind), tuple(schema.names), tuple(schema.types), lambda: text.batches(schema))
        case "parquet":
            return _of_parquet(place)
        case "zip" if workbooks.is_workbook(place):
            book = workbooks.Sheet(place)
            names, types = book.columns()
            return Table(Written("xlsx"), names, types, lambda: book.batches(types))
        case _:
            raise TableWrong(
                f"{place} is no table that is read here ({form.media}).",
                hint="CSV, TSV, JSON lines, JSON, Parquet and Excel (xlsx) are; unpack what is packed.",
            )


def _of_csv(place: Path, form: Form, head: bytes, *, header: bool | None) -> Table:
    text = delimited.Delimited(place, form.encoding, head, header=header)
    types = text.types()
    ending = "tsv" if text.delimiter == "\t" else "csv"
    return Table(Written(ending, text.delimiter, text.header), text.names, types, lambda: text.batches(types))


def _of_parquet(place: Path) -> Table:
    with _parquet(place) as opened:
        schema = opened.schema_arrow

    def batches() -> Iterator[Any]:
        with _parquet(place) as opened:
            yield from opened.iter_batches(batch_size=_ROWS, use_threads=False)

    return Table(Written("parquet"), tuple(schema.names), tuple(schema.types), batches)


def _parquet(place: Path) -> Any:  # noqa: ANN401 - Arrow has no types
    from pyarrow import parquet  # noqa: PLC0415 - slow to load

    return parquet.ParquetFile(place, pre_buffer=False)


def _check(table: Table, place: Path) -> None:
    if not table.names:
        raise TableWrong(f"The table {place} has no columns.")
    if len(table.names) > MOST_COLUMNS:
        raise TableWrong(f"The table {place} has {len(table.names)} columns, more than {MOST_COLUMNS}.")
