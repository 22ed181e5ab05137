"""JSON: records, columns, lists of rows, and anything else as words; JSON lines."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

from cove.leaks.items import Budget, Item, Table, Text, Words
from cove.leaks.sniffing import Form

_ROWS: Final = 65_536
_DEEPEST: Final = 64
_SCALARS: Final = (str, int, float, bool, type(None))


def read(file: BinaryIO, form: Form, _budget: Budget) -> Iterator[Item]:
    """Give the tables of a document."""
    text = file.read().decode(form.encoding, "replace").lstrip("\ufeff")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        yield Text(text)
        return
    yield from items_of(document)


def read_lines(file: BinaryIO, form: Form, _budget: Budget) -> Iterator[Item]:
    """Give the records of a document per line; lines that are none come as text."""
    records: list[Any] = []
    odd: list[str] = []
    for line in io.TextIOWrapper(file, form.encoding, errors="replace"):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError):
            odd.append(line)
        if len(records) >= _ROWS:
            yield from items_of(records)
            records = []
    if records:
        yield from items_of(records)
    if odd:
        yield Text("".join(odd))


def items_of(document: Any) -> Iterator[Item]:  # noqa: ANN401 - JSON
    """Give what a document says as tables, and as words where it has no form of one."""
    if isinstance(document, list) and document and all(isinstance(record, dict) for record in document):
        yield from _records(document)
        return
    if isinstance(document, list) and document and all(isinstance(row, list) for row in document):
        widths = {len(row) for row in document}
        if len(widths) == 1 and all(isinstance(cell, _SCALARS) for row in document for cell in row):
            names = [f"column {place}" for place in range(widths.pop())]
            yield Table(names, [[_text(cell) for cell in column] for column in zip(*document, strict=True)])
            return
    if isinstance(document, dict) and (columns := _columns(document)):
        yield Table(list(columns), [[_text(cell) for cell in column] for column in columns.values()])
        return
    words: list[str] = []
    lines: list[int] = []
    _walk(document, words, lines, [0], 0)
    yield Words(words, lines)


def _records(records: Sequence[Mapping[str, Any]]) -> Iterator[Item]:
    """Give records of the same keys as one table each; what lies deeper is laid flat."""
    flat = [_flat(record) for record in records]
    by_keys: dict[tuple[str, ...], list[dict[str, str | None]]] = {}
    for record in flat:
        by_keys.setdefault(tuple(sorted(record)), []).append(record)
    if len(by_keys) > 100:  # noqa: PLR2004 - records without a form
        names = sorted({name for record in flat for name in record})[:4096]
        yield Table(names, [[record.get(name) for record in flat] for name in names])
        return
    for keys, alike in by_keys.items():
        if keys:
            yield Table(keys, [[record[key] for record in alike] for key in keys])


def _flat(record: Mapping[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for key, value in record.items():
        if isinstance(value, _SCALARS):
            found[key] = _text(value)
            continue
        words: list[str] = []
        _walk(value, words, [], [0], 1)
        found.update({f"{key}.{place}": word for place, word in enumerate(words[:256])})
    return found


def _columns(document: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Give the columns of ``{"name": [..]}`` and of ``{"name": {"0": ..}}``; empty when it is neither."""
    found: dict[str, list[Any]] = {}
    for name, column in document.items():
        cells = list(column.values()) if isinstance(column, dict) else column
        if not isinstance(cells, list) or not all(isinstance(cell, _SCALARS) for cell in cells):
            return {}
        found[name] = cells
    return found if len({len(cells) for cells in found.values()}) == 1 else {}


def _walk(value: Any, words: list[str], lines: list[int], line: list[int], depth: int) -> None:  # noqa: ANN401 - JSON
    """Collect scalars; each innermost list or object is a line."""
    if isinstance(value, _SCALARS):
        if (word := _text(value)) is not None:
            words.append(word)
            lines.append(line[0])
        return
    if depth > _DEEPEST:
        return
    line[0] += 1
    for part in value.values() if isinstance(value, dict) else value:
        _walk(part, words, lines, line, depth + 1)
    line[0] += 1


def _text(value: Any) -> str | None:  # noqa: ANN401 - JSON
    if value is None or isinstance(value, str):
        return value
    return str(value) if not isinstance(value, float) else repr(value)
