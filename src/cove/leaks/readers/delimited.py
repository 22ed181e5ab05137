"""CSV and its kin, of any delimiter."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from cove.leaks.cells import number_of
from cove.leaks.items import Budget, Item, Table, Words
from cove.leaks.sniffing import Form
from cove.leaks.words import split

_DELIMITERS: Final = (",", "\t", ";", "|")
_LINES: Final = 50
_SMALL: Final = 400_000
_ROWS: Final = 65_536
_BLOCK: Final = 1 << 20
_MOST_COLUMNS: Final = 4096
_RULE: Final = frozenset("-:= ")
_FIELD: Final = 1 << 20


def dialect_of(text: str, name: str = "") -> str:
    """Give the delimiter of a table; empty when a text is none.

    Args:
        text: Its beginning.
        name: A table of one column is known by its name alone.
    """
    lines = [line for line in text[:20_000].splitlines() if line.strip()][: _LINES + 1]
    if len(text) > 20_000 and len(lines) > 1:  # noqa: PLR2004 - the last line is cut off
        lines.pop()
    best, best_share = "", 0.0
    if sum(map(text.count, (": ", "="))) * 4 > sum(map(text.count, _DELIMITERS)):
        return ""  # names stand beside values: words, whatever is between them
    for delimiter in _DELIMITERS:
        if delimiter not in text:
            continue
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        except csv.Error:
            continue
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        share = count / sum(widths.values())
        if width > 1 and share >= 0.8 and sum(widths.values()) > 1 and (share, width) > (best_share, 1):  # noqa: PLR2004
            best, best_share = (delimiter, share) if share > best_share else (best, best_share)
    if not best and lines and name.lower().endswith((".csv", ".tsv")):
        return "\t" if name.lower().endswith(".tsv") else ","
    return best


def read(file: BinaryIO, form: Form, _budget: Budget) -> Iterator[Item]:
    """Give a table's rows; those that have not its width come as words."""
    start = file.tell()
    first = file.read(_SMALL + 1)
    head = first[:65_536].decode(form.encoding, "replace").lstrip("\ufeff")
    file.seek(start)
    delimiter = dialect_of(head) or ","
    names, has_header = _names(head, delimiter)
    if len(first) > _SMALL and delimiter != "|" and form.encoding in {"utf-8", "utf-8-sig"}:
        done = 0
        try:
            for item in _fast(file, names, delimiter, has_header=has_header):
                done += 1
                yield item
        except (ValueError, OSError):
            file.seek(start)
        else:
            return
    text = io.TextIOWrapper(io.BufferedReader(_Kept(file)), form.encoding, errors="replace", newline="")
    yield from _slow(text, names, delimiter, has_header=has_header)


class _Kept(io.RawIOBase):
    """A file that is not closed with the text over it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        part = self._file.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)


def _names(head: str, delimiter: str) -> tuple[list[str], bool]:
    """Give the names of columns, and whether the first line holds them."""
    first: list[str] = []
    with contextlib.suppress(csv.Error):
        first = next(csv.reader(io.StringIO(head), delimiter=delimiter), [])
    first = first[:_MOST_COLUMNS]
    named = bool(first) and not any(number_of(name.strip()) is not None for name in first)
    return (first if named else [f"column {place}" for place in range(len(first))]), named


def _fast(file: BinaryIO, names: list[str], delimiter: str, *, has_header: bool) -> Iterator[Item]:
    import pyarrow as pa  # noqa: PLC0415 - loading it takes a quarter of a second
    from pyarrow import csv as arrow_csv  # noqa: PLC0415

    odd: list[str] = []

    def skip(row: Any) -> str:  # noqa: ANN401 - Arrow's
        odd.append(row.text or "")
        return "skip"

    reader = arrow_csv.open_csv(
        pa.PythonFile(_Kept(file), mode="r"),
        arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK, autogenerate_column_names=True),
        arrow_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip, newlines_in_values=True),
        arrow_csv.ConvertOptions(column_types={f"f{place}": pa.string() for place in range(len(names))}),
    )
    is_first = True
    for batch in reader:
        rows = batch.slice(1) if is_first and has_header else batch
        is_first = False
        if rows.num_rows:
            yield Table(names, rows.columns)
        if odd:
            yield _odd(odd)
            odd.clear()


def _slow(text: io.TextIOBase, names: list[str], delimiter: str, *, has_header: bool) -> Iterator[Item]:
    kept: list[list[str]] = []
    odd: list[str] = []
    for row in itertools.islice(_rows(text, delimiter), int(has_header), None):
        if len(row) == len(names):
            kept.append(row)
        else:
            odd.append(delimiter.join(row))
        if len(kept) + len(odd) >= _ROWS:
            yield from _items(names, kept, odd)
            kept, odd = [], []
    yield from _items(names, kept, odd)


def _rows(text: io.TextIOBase, delimiter: str) -> Iterator[list[str]]:
    """Give rows but for the rules that tables in texts have below their heads."""
    csv.field_size_limit(_FIELD)
    rows = csv.reader((line.replace("\0", "") for line in text), delimiter=delimiter)
    while True:
        try:
            for row in rows:
                if row and (delimiter != "|" or set("".join(row)) - _RULE):
                    yield row
        except csv.Error:  # a field beyond every size: what follows is read on
            continue
        return


def _items(names: list[str], kept: list[list[str]], odd: list[str]) -> Iterator[Item]:
    if kept:
        yield Table(names, [list(column) for column in zip(*kept, strict=True)])
    if odd:
        yield _odd(odd)


def _odd(rows: list[str]) -> Words:
    words: list[str] = []
    lines: list[int] = []
    for number, row in enumerate(rows):
        found = split(row)
        words.extend(found)
        lines.extend([number] * len(found))
    return Words(words, lines)
