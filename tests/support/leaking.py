"""Tables of made-up people, and the many forms in which an algorithm may carry them, or something innocent, out."""

from __future__ import annotations

import base64
import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tests.support.schemas import Others, Table

from cove.leaks.streaming import zstd


def part(table: Mapping[str, Any], rows: slice | Any) -> Table:
    """Give some rows."""
    return {name: column[rows] for name, column in table.items()}


def columns(table: Mapping[str, Any], *names: str) -> Table:
    """Give some columns."""
    return {name: table[name] for name in names}


def rounded(table: Mapping[str, Any]) -> Table:
    """Give a table at two decimals."""
    return {name: np.round(column, 2) if column.dtype.kind == "f" else column for name, column in table.items()}


def rows_of(table: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Give rows of Python's own values."""
    return list(zip(*(column.tolist() for column in table.values()), strict=True))


def records_of(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give a dictionary per row."""
    return [dict(zip(table, row, strict=True)) for row in rows_of(table)]


def as_csv(table: Mapping[str, Any], delimiter: str = ",") -> bytes:
    """Write CSV."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(table)
    writer.writerows(rows_of(table))
    return out.getvalue().encode()


def numbers_of(table: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Give the columns of numbers as a matrix."""
    return np.stack([column.astype(float) for column in table.values() if column.dtype.kind in "fi"], axis=1)


def as_frame(table: Mapping[str, Any], width: int = 80) -> bytes:
    """Print a table as a data frame is printed into a log: six decimals, in blocks that fit a line."""
    rows = [[f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows_of(table)]
    blocks: list[list[int]] = [[]]
    for place in range(len(table)):
        if 14 * len(blocks[-1]) + 14 > width:
            blocks.append([])
        blocks[-1].append(place)
    lines = []
    names = list(table)
    for block in blocks:
        end = "  \\" if block is not blocks[-1] else ""
        lines.append("    " + "".join(f"{names[place]:>14}" for place in block) + end)
        lines += [f"{number:<4}" + "".join(f"{row[place]:>14}" for place in block) for number, row in enumerate(rows)]
        lines.append("")
    return "\n".join(lines).encode()


def zipped(name: str, content: bytes) -> bytes:
    """Put a file into a zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(name, content)
    return out.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    """Put a file into a tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as opened:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        opened.addfile(member, io.BytesIO(content))
    return out.getvalue()


def as_parquet(table: Mapping[str, Any]) -> bytes:
    """Write Parquet."""
    import pyarrow as pa  # noqa: PLC0415 - a quarter of a second
    from pyarrow import parquet  # noqa: PLC0415

    out = io.BytesIO()
    parquet.write_table(pa.table(dict(table)), out)
    return out.getvalue()


def as_excel(table: Mapping[str, Any]) -> bytes:
    """Write a workbook."""
    import openpyxl  # noqa: PLC0415 - a third of a second

    book = openpyxl.Workbook()
    book.active.append(list(table))
    for row in rows_of(table):
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def as_sqlite(table: Mapping[str, Any]) -> bytes:
    """Write an SQLite file."""
    opened = sqlite3.connect(":memory:")
    opened.execute(f"CREATE TABLE t ({', '.join(table)})")
    opened.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(table))})", rows_of(table))  # noqa: S608 - our own names
    opened.commit()
    content = opened.serialize()
    opened.close()
    return content


def as_npy(array: np.ndarray[Any, Any]) -> bytes:
    """Write a NumPy array."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def as_npz(array: np.ndarray[Any, Any]) -> bytes:
    """Write a compressed NumPy archive."""
    out = io.BytesIO()
    np.savez_compressed(out, a=array)
    return out.getvalue()


def as_safetensors(array: np.ndarray[Any, Any]) -> bytes:
    """Write a tensor of floats."""
    content = array.astype("<f4").tobytes()
    head = json.dumps({"w": {"dtype": "F32", "shape": list(array.shape), "data_offsets": [0, len(content)]}}).encode()
    return struct.pack("<Q", len(head)) + head + content


def as_png(text: bytes = b"", pixels: bytes = bytes(110)) -> bytes:
    """Write a picture of 10 x 10 with a text in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 0, 0, 0, 0))
    texts = chunk(b"tEXt", b"note\0" + text) if text else b""
    return b"\x89PNG\r\n\x1a\n" + head + texts + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def as_html(table: Mapping[str, Any]) -> bytes:
    """Write a page with a table."""
    rows = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows_of(table)]
    return f"<html><body><table>{''.join(rows)}</table></body></html>".encode()


def as_markdown(table: Mapping[str, Any]) -> bytes:
    """Write a table as in a text."""
    lines = [list(table), ["---"] * len(table), *rows_of(table)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in lines).encode()


def as_model(table: Mapping[str, Any], seed: int = 3) -> bytes:
    """Write weights with raw rows among them."""
    weights = np.random.default_rng(seed).normal(size=4000)
    return b"MODEL\0\0\0" + weights.astype("<f4").tobytes() + numbers_of(table).astype("<f4").tobytes()


FORMS: dict[str, Callable[[Table], bytes]] = {
    "csv": as_csv,
    "tsv": lambda table: as_csv(table, "\t"),
    "csv with semicolons": lambda table: as_csv(table, ";"),
    "csv in utf-16": lambda table: as_csv(table).decode().encode("utf-16"),
    "json records": lambda table: json.dumps(records_of(table)).encode(),
    "json columns": lambda table: json.dumps({name: column.tolist() for name, column in table.items()}).encode(),
    "json, indented": lambda table: json.dumps(records_of(table), indent=2).encode(),
    "json lines": lambda table: "\n".join(json.dumps(record) for record in records_of(table)).encode(),
    "printed dictionaries": lambda table: "\n".join(f"row: {record}" for record in records_of(table)).encode(),
    "printed frame": as_frame,
    "one value a line": lambda table: "\n".join(
        f"{name}    {cell}" for record in records_of(table) for name, cell in record.items()
    ).encode(),
    "columns shuffled": lambda table: as_csv(dict(reversed(table.items()))),
    "rounded to 2 decimals": lambda table: as_csv(rounded(table)),
    "5 columns": lambda table: as_csv(columns(table, *list(table)[1:6])),
    "3 columns": lambda table: as_csv(columns(table, *list(table)[2:5])),
    "html": as_html,
    "markdown": as_markdown,
    "gzip": lambda table: gzip.compress(as_csv(table)),
    "bzip2": lambda table: bz2.compress(as_csv(table)),
    "xz": lambda table: lzma.compress(as_csv(table)),
    "zstd": lambda table: zstd.compress(as_csv(table)),
    "tar": lambda table: tarred("a.csv", as_csv(table)),
    "zip": lambda table: zipped("a.csv", as_csv(table)),
    "nested zip": lambda table: zipped("b.zip", zipped("a.csv", as_csv(table))),
    "tar in gzip": lambda table: gzip.compress(tarred("a.csv", as_csv(table))),
    "gzip and base64 in a line": lambda table: b"done: " + base64.b64encode(gzip.compress(as_csv(table))) + b"\n",
    "base64 in lines": lambda table: base64.encodebytes(as_csv(table)),
    "hex": lambda table: as_csv(table).hex().encode(),
    "reversed": lambda table: as_csv(table)[::-1],
    "lines reversed": lambda table: b"\n".join(line[::-1] for line in as_csv(table).splitlines()),
    "parquet": as_parquet,
    "excel": as_excel,
    "sqlite": as_sqlite,
    "npy": lambda table: as_npy(numbers_of(table)),
    "npz": lambda table: as_npz(numbers_of(table)),
    "pickled array": lambda table: pickle.dumps(numbers_of(table)),
    "pickled records": lambda table: pickle.dumps(records_of(table)),
    "pickled columns": lambda table: pickle.dumps(dict(table)),
    "safetensors": lambda table: as_safetensors(numbers_of(table)),
    "model with raw rows": as_model,
    "raw doubles": lambda table: numbers_of(table).tobytes(),
    "png text": lambda table: as_png(as_csv(table)),
}
"""Every form in which rows are carried out whole, and must be found."""


def categories(table: Mapping[str, Any]) -> list[str]:
    """Give the names of columns of few values, those of texts first."""
    few = [name for name, column in table.items() if column.dtype.kind in "Ui" and len(np.unique(column[:2000])) < 100]
    return sorted(few, key=lambda name: table[name].dtype.kind == "i")


def measures(table: Mapping[str, Any]) -> list[str]:
    """Give the names of columns of numbers of many values."""
    found = [name for name, column in table.items() if column.dtype.kind == "f"]
    return found or [name for name, column in table.items() if column.dtype.kind == "i"]


def means(table: Mapping[str, Any], by: str) -> Table:
    """Give the means of every column of numbers by group, and the groups' sizes."""
    groups, places = np.unique(table[by], return_inverse=True)
    sizes = np.bincount(places)
    found: Table = {by: groups, "count": sizes}
    for name, column in table.items():
        if column.dtype.kind in "fi" and name != by:
            found[name] = np.bincount(places, column.astype(float)) / sizes
    return found


def described(table: Mapping[str, Any]) -> Table:
    """Give what ``describe()`` prints: count, mean, deviation, least, quartiles, most."""
    names = [name for name, column in table.items() if column.dtype.kind in "fi"]
    found: Table = {"": np.array(["count", "mean", "std", "min", "25%", "50%", "75%", "max"])}
    for name in names:
        column = table[name].astype(float)
        quartiles = np.percentile(column, [0, 25, 50, 75, 100])
        found[name] = np.array([len(column), column.mean(), column.std(), *quartiles])
    return found


def model_of(table: Mapping[str, Any], seed: int = 4) -> bytes:
    """Give a pickled model: weights of layers, names of features, and its scores."""
    rng = np.random.default_rng(seed)
    layers = [rng.normal(size=shape) for shape in ((8, 64), (64, 64), (64, 1))]
    scores = {"accuracy": 0.8731, "loss": [float(loss) for loss in np.exp(-np.arange(50) / 20)]}
    return pickle.dumps({"layers": layers, "features": list(table), "scores": scores})


def log_of(seed: int = 5) -> bytes:
    """Give a log of training."""
    rng = np.random.default_rng(seed)
    return "\n".join(
        f"2026-01-02 10:{step // 60:02}:{step % 60:02} INFO epoch {step} loss {rng.random():.4f} accuracy {rng.random():.2f}"
        for step in range(2000)
    ).encode()


INNOCENT: dict[str, Callable[[Table, Others], bytes]] = {
    "group means": lambda table, _: as_csv(means(table, categories(table)[0])),
    "group means, json": lambda table, _: json.dumps(records_of(means(table, categories(table)[0]))).encode(),
    "means by a number": lambda table, _: as_csv(means(table, categories(table)[-1])),
    "describe()": lambda table, _: as_csv(described(table)),
    "describe(), printed": lambda table, _: as_frame(described(table)),
    "counts": lambda table, _: as_csv(columns(means(table, categories(table)[-1]), categories(table)[-1], "count")),
    "correlations": lambda table, _: as_csv({f"c{at}": row for at, row in enumerate(np.corrcoef(numbers_of(table).T))}),
    "histogram": lambda table, _: json.dumps(
        {name: [part.tolist() for part in np.histogram(table[name], 50)] for name in measures(table)}
    ).encode(),
    "others of the same form": lambda table, others: as_csv(others(len(next(iter(table.values()))), 77)),
    "others, parquet": lambda _, others: as_parquet(others(5000, 78)),
    "others, rounded": lambda _, others: as_csv(rounded(others(5000, 79))),
    "others, 3 columns": lambda table, others: as_csv(columns(others(5000, 80), *list(table)[2:5])),
    "weights, pickled": lambda table, _: model_of(table),
    "weights, npy": lambda *_: as_npy(np.random.default_rng(6).normal(size=(300, 100))),
    "weights, safetensors": lambda *_: as_safetensors(np.random.default_rng(7).normal(size=(300, 100))),
    "weights, raw": lambda *_: np.random.default_rng(8).normal(size=50_000).astype("<f4").tobytes(),
    "weights, json": lambda *_: json.dumps(np.random.default_rng(9).normal(size=(100, 20)).tolist()).encode(),
    "plot": lambda *_: as_png(b"Software matplotlib", np.random.default_rng(10).bytes(50_000)),
    "predictions": lambda table, _: as_csv(predictions(len(next(iter(table.values()))))),
    "log of training": lambda *_: log_of(),
    "synthetic rows": lambda table, _: as_csv(synthetic(table, 2000)),
    "text": lambda *_: b"The model was trained on all patients. Its accuracy is 0.87.\n" * 20,
    "html report": lambda table, _: as_html(means(table, categories(table)[0])),
    "workbook of means": lambda table, _: as_excel(means(table, categories(table)[-1])),
    "quantiles": lambda table, _: json.dumps(
        {name: np.percentile(table[name], range(0, 101, 5)).tolist() for name in measures(table)}
    ).encode(),
    "zip of reports": lambda table, _: zipped("means.csv", as_csv(means(table, categories(table)[-1]))),
}
"""What no policy means to hold."""


def synthetic(table: Mapping[str, Any], rows: int) -> Table:
    """Give rows that were drawn from what a model knows of each column."""
    rng = np.random.default_rng(12)
    found: Table = {}
    for name, column in table.items():
        if column.dtype.kind == "U":
            found[name] = rng.choice(np.unique(column)[:500], rows)
        else:
            drawn = rng.normal(column.mean(), column.std(), rows)
            found[name] = np.rint(drawn).astype(int) if column.dtype.kind == "i" else np.round(drawn, 3)
    return found


def predictions(rows: int) -> Table:
    """Give a score for every row, by its number."""
    return {"row": np.arange(rows), "score": np.random.default_rng(11).random(rows)}
