"""JSON records, one per line or in one list: the types are those that Arrow gives them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import json as arrow

from cove.sampling.errors import TableWrong

_CHUNK: Final = 4 << 20
_LONGEST: Final = 16 << 20
_LARGEST: Final = 256 << 20


class Records:
    """A file of records.

    Args:
        place: The file.
        encoding: Of its text.
        lines: One per line; else one list of them.
    """

    def __init__(self, place: Path, encoding: str, *, lines: bool) -> None:
        self._place = place
        self._encoding = encoding
        self._lines = lines

    def schema(self) -> Any:  # noqa: ANN401 - Arrow has no types
        """Read everything once, and give names and types."""
        found = pa.schema([])
        for chunk in self._chunks():
            found = _wider(found, _read(chunk, None).schema, self._place)
        return found

    def batches(self, schema: Any) -> Iterator[Any]:  # noqa: ANN401 - Arrow has no types
        """Give the records, from the first one."""
        for chunk in self._chunks():
            yield from _read(chunk, schema).select(schema.names).to_batches()

    def _chunks(self) -> Iterator[bytes]:
        if not self._lines:
            yield self._listed()
            return
        kept: list[bytes] = []
        size = 0
        with self._place.open("r", encoding=self._encoding, errors="strict") as file:
            while line := file.readline(_LONGEST):
                if len(line) == _LONGEST:
                    raise TableWrong(f"The table {self._place} has a record of more than {_LONGEST} characters.")
                if not line.strip():
                    continue
                kept.append(line.encode())
                size += len(kept[-1])
                if size > _CHUNK:
                    yield b"".join(kept)
                    kept, size = [], 0
        if kept:
            yield b"".join(kept)

    def _listed(self) -> bytes:
        if self._place.stat().st_size > _LARGEST:
            raise TableWrong(f"The table {self._place} is too large for one JSON list: make it JSON lines.")
        try:
            records = json.loads(self._place.read_text(self._encoding))
        except RecursionError:
            records = None
        if not isinstance(records, list) or not records or not all(isinstance(one, dict) for one in records):
            raise TableWrong(f"The table {self._place} is no list of records, which are objects of names and values.")
        out = io.StringIO()
        for record in records:
            out.write(json.dumps(record))
            out.write("\n")
        return out.getvalue().encode()


def _read(chunk: bytes, schema: Any) -> Any:  # noqa: ANN401 - Arrow has no types
    options = arrow.ParseOptions(
        explicit_schema=schema, unexpected_field_behavior="infer" if schema is None else "ignore"
    )
    return arrow.read_json(
        pa.BufferReader(chunk), arrow.ReadOptions(use_threads=False, block_size=len(chunk) + 1), options
    )


def _wider(one: Any, other: Any, place: Path) -> Any:  # noqa: ANN401 - Arrow has no types
    types = dict(zip(one.names, one.types, strict=True))
    for name, kind in zip(other.names, other.types, strict=True):
        known = types.get(name, pa.null())
        if {str(known), str(kind)} == {"timestamp[s]", "string"}:
            types[name] = pa.string()
            continue
        try:
            both = [pa.schema([("x", known)]), pa.schema([("x", kind)])]
            types[name] = pa.unify_schemas(both, promote_options="permissive").field(0).type
        except pa.ArrowException:
            raise TableWrong(f"The table {place} has values of different kinds in one column.") from None
    return pa.schema(list(types.items()))
