"""Writes a sample in the form of the table that it is of, or in another."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cove.sampling.errors import TableWrong
from cove.sampling.making import Sample
from cove.sampling.tables import Written

ENDINGS: Final = ("csv", "tsv", "jsonl", "json", "parquet", "xlsx")


def write(sample: Sample, form: Written, target: Path, *, overwrite: bool) -> None:
    """Write a sample: whole, or not at all. Blocking.

    Args:
        sample: What to write.
        form: How.
        target: Where to.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        TableWrong: The file is there, or cannot be written.
    """
    content = _FORMS[form.ending](sample, form)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        beside.write_bytes(content)
        try:
            if overwrite:
                beside.replace(target)
            else:
                os.link(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except FileExistsError:
        raise TableWrong(f"The file {target} is there already.", hint="Give --force to replace it.") from None
    except OSError as problem:
        raise TableWrong(f"The file {target} cannot be written: {problem.strerror}.") from None


def text_of(value: Any, type_: Any) -> str:  # noqa: ANN401 - of any type
    """Write a value as whoever reads it takes it for one of its type."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return _moment(value, type_)
    return repr(value) if isinstance(value, float) else str(value)


def _moment(value: dt.datetime, type_: Any) -> str:  # noqa: ANN401 - Arrow has no types
    zone = "Z" if value.tzinfo is not None else ""
    plain = value.astimezone(dt.UTC).replace(tzinfo=None) if zone else value
    fraction = getattr(type_, "unit", "s") != "s" and not (zone and not plain.microsecond)
    digits = f".{plain.microsecond:06}" if fraction else ""
    return f"{plain:%Y-%m-%d %H:%M:%S}{digits}{zone}"


def _rows(sample: Sample) -> Sequence[tuple[Any, ...]]:
    return list(zip(*(_plain(column) for column in sample.columns), strict=True))


def _plain(column: Any) -> list[Any]:  # noqa: ANN401 - Arrow has no types
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        # What is below a microsecond is of no use to a sample, and Python has none.
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    if pa.types.is_duration(column.type) or (pa.types.is_time(column.type) and column.type.unit == "ns"):
        return [None if one is None else str(one) for one in column.cast(pa.int64()).to_pylist()]
    found: list[Any] = column.to_pylist()
    return found


def _csv(sample: Sample, form: Written) -> bytes:
    out = io.StringIO()
    delimiter = "\t" if form.ending == "tsv" else form.delimiter if form.delimiter != "\t" else ","
    rows = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    if form.header:
        rows.writerow(sample.names)
    types = [column.type for column in sample.columns]
    for row in _rows(sample):
        rows.writerow([text_of(value, kind) for value, kind in zip(row, types, strict=True)])
    return out.getvalue().encode()


def _records(sample: Sample) -> list[dict[str, Any]]:
    types = [column.type for column in sample.columns]
    return [
        {name: _json(value, kind) for name, value, kind in zip(sample.names, row, types, strict=True)}
        for row in _rows(sample)
    ]


def _json(value: Any, type_: Any) -> Any:  # noqa: ANN401 - of any type
    return value if value is None or isinstance(value, bool | int | float | str) else text_of(value, type_)


def _jsonl(sample: Sample, _: Written) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in _records(sample)).encode()


def _json_list(sample: Sample, _: Written) -> bytes:
    return json.dumps(_records(sample), indent=1).encode()


def _parquet(sample: Sample, _: Written) -> bytes:
    from pyarrow import parquet  # noqa: PLC0415 - slow to load

    types = [profile.type for profile in sample.profiles]
    columns = [
        column.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else column
        for column, kind in zip(sample.columns, types, strict=True)
    ]
    table = pa.Table.from_arrays(columns, schema=pa.schema(list(zip(sample.names, types, strict=True))))
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _xlsx(sample: Sample, _: Written) -> bytes:
    import openpyxl  # noqa: PLC0415 - loading it takes a third of a second

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("sample")
    sheet.append(["".join(sign if sign.isprintable() else " " for sign in name) for name in sample.names])
    for row in _rows(sample):
        sheet.append([_cell(value) for value in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _cell(value: Any) -> Any:  # noqa: ANN401 - of any type
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    return value if value is None or isinstance(value, bool | int | float | str | dt.date | dt.time) else str(value)


_FORMS: Final[Mapping[str, Callable[[Sample, Written], bytes]]] = {
    "csv": _csv,
    "tsv": _csv,
    "jsonl": _jsonl,
    "json": _json_list,
    "parquet": _parquet,
    "xlsx": _xlsx,
}
