"""Samples have the schema of their table and none of its texts, whatever the table holds."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import random
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv as arrow_csv
from pyarrow import json as arrow_json
from pyarrow import parquet

from cove.sampling.errors import TableWrong
from cove.sampling.making import Sample, profiled, sample_of
from cove.sampling.profiles import outwards
from cove.sampling.tables import Table, Written, open_table
from cove.sampling.writing import write

FREELY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def sampled(source: Path, target: Path, *, rows: int = 30, seed: int = 1, keep: tuple[str, ...] = ()) -> Sample:
    table = open_table(source)
    written = target.suffix in {".csv", ".tsv", ".json", ".jsonl"}
    made = sample_of(table, profiled(table, keep), rows, random.Random(seed), written=written)  # noqa: S311
    write(made, table.form, target, overwrite=True)
    return made


def values_of(table: Table | Any) -> list[list[Any]]:
    columns: list[list[Any]] = [[] for _ in table.names]
    for batch in table.batches():
        for column, cells in zip(columns, batch.columns, strict=True):
            column.extend(cells.to_pylist())
    return columns


def texts(columns: list[list[Any]]) -> set[str]:
    return {value for column in columns for value in column if isinstance(value, str) and value}


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=0, max_size=12)
moments = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))  # noqa: DTZ001
COLUMNS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), words),
    "code": (pa.string(), st.from_regex(r"[A-C][0-9]", fullmatch=True)),
    "letter": (pa.large_string(), st.sampled_from("MF")),
    "whole": (pa.int64(), st.integers(-(2**40), 2**40)),
    "tiny": (pa.int8(), st.integers(-128, 127)),
    "point": (pa.float64(), st.floats(allow_nan=True, allow_infinity=True)),
    "single": (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "money": (pa.decimal128(9, 2), st.decimals(-9_999_999, 9_999_999, places=2)),
    "yes": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), moments.map(dt.datetime.date)),
    "moment": (pa.timestamp("us"), moments),
    "zoned": (pa.timestamp("ms", "UTC"), moments.map(lambda at: at.replace(microsecond=0, tzinfo=dt.UTC))),
    "clock": (pa.time64("us"), st.times()),
    "span": (pa.duration("s"), st.timedeltas(dt.timedelta(0), dt.timedelta(9999)).map(lambda d: dt.timedelta(seconds=int(d.total_seconds())))),
    "label": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["red", "green"])),
    "nested": (pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=2)),
    "bytes": (pa.binary(), st.binary(max_size=3)),
}  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, kinds: tuple[str, ...]) -> pa.Table:
    names = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5, unique=True))
    rows = draw(st.integers(1, 25))
    arrays = []
    for name in names:
        type_, values = COLUMNS[name]
        cells = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        arrays.append(pa.array(cells, type_))
    return pa.Table.from_arrays(arrays, names=names)


@FREELY
@given(table=tables(tuple(COLUMNS)), seed=st.integers(0, 9), rows=st.integers(1, 40))
def test_parquet_keeps_its_types_and_none_of_its_texts(tmp_path: Path, table: pa.Table, seed: int, rows: int) -> None:
    source, target = tmp_path / "table.parquet", tmp_path / "sample.parquet"
    parquet.write_table(table, source)
    sampled(source, target, rows=rows, seed=seed)
    made = parquet.read_table(target)
    assert (made.schema.types, made.schema.names, made.num_rows) == (table.schema.types, table.schema.names, rows)
    before, after = (texts(values_of(open_table(place))) for place in (source, target))
    assert before & after == set()
    for name in {"day", "moment", "zoned"} & set(table.schema.names):
        assert set(made[name].drop_null().to_pylist()) & set(table[name].drop_null().to_pylist()) == set()
    for name in table.schema.names:
        nulls = table[name].null_count
        if name not in {"nested", "bytes"}:
            assert nulls or not made[name].null_count
            assert (made[name].null_count == rows) == (nulls == table.num_rows)


def written(columns: dict[str, list[str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    rows = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


CELLS: dict[str, st.SearchStrategy[str]] = {
    "text": words,
    "letters": st.sampled_from("MFD"),
    "digits": st.from_regex(r"[0-9]{1,3}", fullmatch=True),
    "mixed": st.from_regex(r"[0-9]{1,2}|a", fullmatch=True),
    "whole": st.integers(-(10**12), 10**12).map(str),
    "point": st.floats(-1e6, 1e6).map(lambda value: f"{value:.3f}"),
    "day": moments.map(lambda at: f"{at:%Y-%m-%d}"),
    "moment": moments.map(lambda at: f"{at:%Y-%m-%d %H:%M:%S}"),
    "fraction": moments.map(lambda at: f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 10 * 10 + 1:06}"),
    "zoned": moments.map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}Z"),
    "clock": moments.map(lambda at: f"{at:%H:%M:%S}"),
    "yes": st.sampled_from(["true", "false"]),
    "nothing": st.just(""),
}


@st.composite
def csv_columns(draw: st.DrawFn) -> dict[str, list[str]]:
    names = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=2, max_size=6, unique=True))
    rows = draw(st.integers(1, 25))
    return {name: draw(st.lists(CELLS[name] | st.just(""), min_size=rows, max_size=rows)) for name in names}


@FREELY
@given(columns=csv_columns(), rows=st.integers(1, 40))
def test_csv_is_read_by_arrow_as_the_same_types(tmp_path: Path, columns: dict[str, list[str]], rows: int) -> None:
    source, target = tmp_path / "table.csv", tmp_path / "sample.csv"
    source.write_text(written(columns))
    options = arrow_csv.ParseOptions(newlines_in_values=True)
    expected = arrow_csv.read_csv(source, parse_options=options)
    if expected.num_rows == 0:
        return
    sampled(source, target, rows=rows)
    made = arrow_csv.read_csv(target, parse_options=options)
    assert (made.schema, made.num_rows) == (expected.schema, rows)
    for cells, name, kind in zip(columns.values(), made.schema.names, made.schema.types, strict=True):
        if kind == pa.string() or (pa.types.is_temporal(kind) and not pa.types.is_time(kind)):
            assert {cell for cell in cells if cell} & {
                str(cell) for cell in made[name].drop_null().to_pylist()
            } == set()


def _in_json(cell: Any) -> Any:
    return 7.5 if isinstance(cell, float) and not math.isfinite(cell) else cell


@FREELY
@given(table=tables(("text", "code", "whole", "point", "yes")))
def test_json_lines_are_read_by_arrow_as_the_same_types(tmp_path: Path, table: pa.Table) -> None:
    source, target = tmp_path / "table.jsonl", tmp_path / "sample.jsonl"
    columns = {name: list(map(_in_json, table[name].to_pylist())) for name in table.schema.names}
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    source.write_text("".join(f"{json.dumps(record)}\n" for record in [*records, records[0]]))
    expected = arrow_json.read_json(source)
    sampled(source, target)
    made = arrow_json.read_json(target)
    assert made.schema == expected.schema
    assert texts([column.to_pylist() for column in made.columns]) & texts([*columns.values()]) == set()


def test_excel_is_read_with_the_same_types(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["name", "when", "amount", "count", "ok", "none"])
    for n in range(40):
        sheet.append([f"Person {n}", dt.date(2020, 1, 1 + n % 28), n + 0.5, n, n % 2 == 0, None])
    book.save(tmp_path / "table.xlsx")
    made = sampled(tmp_path / "table.xlsx", tmp_path / "sample.xlsx")
    before, after = (open_table(tmp_path / f"{name}.xlsx") for name in ("table", "sample"))
    assert (after.names, after.types, after.form) == (before.names, before.types, before.form)
    assert texts(values_of(before)) & texts(values_of(after)) == set()
    assert [profile.unique for profile in made.profiles][:1] == [True]


def test_ids_stay_unique_and_lie_elsewhere(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text(
        written({"id": [str(1000 + n) for n in range(500)], "age": [str(20 + n % 60) for n in range(500)]})
    )
    made = sampled(source, tmp_path / "s.csv", rows=100)
    ids, ages = (column.to_pylist() for column in made.columns)
    assert len(set(ids)) == 100
    assert min(ids) > 1499
    assert (min(ages) >= 20, max(ages) <= 80) == (True, True)
    profiles = made.profiles
    assert [profile.bounds for profile in profiles] == [(1000, 2000), (20, 80)]


def test_labels_are_kept_only_where_they_are_no_secret(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    wards = ["north", "south", "east"] * 20
    source.write_text(written({"ward": wards, "kind": wards[::-1], "n": [str(n) for n in range(60)]}))
    made = sampled(source, tmp_path / "s.csv", keep=("ward",))
    ward, kind, _ = (set(column.to_pylist()) for column in made.columns)
    assert ward == {"north", "south", "east"}
    assert (kind & ward, 1 < len(kind) <= 5) == (set(), True)


def test_shares_of_empty_cells_are_rounded_and_the_same_seed_gives_the_same(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text(written({"a": ["x" if n % 3 else "" for n in range(300)], "b": ["1"] * 300}))
    first = sampled(source, tmp_path / "a.csv", rows=100)
    assert first.columns[0].null_count == 35
    sampled(source, tmp_path / "b.csv", rows=100)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    sampled(source, tmp_path / "c.csv", rows=100, seed=2)
    assert (tmp_path / "a.csv").read_text() != (tmp_path / "c.csv").read_text()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(18, 97, (10, 100)), (1234567, 1234999, (1000000, 2000000)), (0, 0, (0, 1)), (-5, 3, (-5, 3)), (0.0012, 0.034, (0.0, 0.04)),
     (-120, 30, (-200, 100)), (42, 42, (40, 50)), (10.0, 10.0, (10.0, 20.0))],
)  # fmt: skip
def test_ranges_are_rounded_outwards(low: float, high: float, expected: tuple[float, float]) -> None:
    assert outwards(low, high) == pytest.approx(expected)


@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_a_rounded_range_holds_the_whole(one: int, other: int) -> None:
    low, high = sorted((one, other))
    below, above = outwards(low, high)
    assert below <= low <= high <= above


def test_a_table_that_has_every_number_of_its_type_has_a_sample_all_the_same(tmp_path: Path) -> None:
    table = pa.table(
        {"tiny": pa.array(range(-128, 128), pa.int8()), "wide": pa.array([-(2**31), 2**31 - 1] * 128, pa.int32())}
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    made = sampled(tmp_path / "t.parquet", tmp_path / "s.parquet", rows=200)
    assert (len(set(made.columns[0].to_pylist())), made.columns[1].null_count) == (200, 0)


def test_a_file_that_breaks_off_inside_is_told_in_one_sentence(tmp_path: Path) -> None:
    place = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": [f"secret {n}" for n in range(9999)]}), place, compression="none")
    content = bytearray(place.read_bytes())
    content[8:60_000] = b"\xff" * (60_000 - 8)
    place.write_bytes(content)
    with pytest.raises(TableWrong, match="cannot be read to its end as Parquet") as problem:
        profiled(open_table(place), ())
    assert "secret" not in problem.value.message


def test_a_table_in_another_form_is_written_in_that_one(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text("a\x1fb;when\n" + "7;2020-01-01\n8;2021-01-01\n" * 9)
    table = open_table(source)
    made = sample_of(table, profiled(table, ()), 5, random.Random(1), written=True)  # noqa: S311
    for ending in ("tsv", "json", "jsonl", "parquet", "xlsx"):
        target = tmp_path / f"s.{ending}"
        write(made, Written(ending), target, overwrite=False)
        found = open_table(target)
        assert (found.form.ending, len(found.names), sum(len(batch) for batch in found.batches())) == (ending, 2, 5)
        with pytest.raises(TableWrong, match="is there already"):
            write(made, Written(ending), target, overwrite=False)
