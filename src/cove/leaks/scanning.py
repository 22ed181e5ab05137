"""Looks into one output after the other, and into what lies in them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cove.core.inspection import FileReport, Match
from cove.core.releasepolicy import CountRules, LeakRules
from cove.leaks import streams
from cove.leaks.building import row_hashes
from cove.leaks.cells import Column, Hashing
from cove.leaks.chunks import chunk_hashes
from cove.leaks.comparing import Comparison, Tally
from cove.leaks.encoded import decoded, unwrapped
from cove.leaks.finding import Canaries, texts_in
from cove.leaks.groups import Groups
from cove.leaks.index import Index
from cove.leaks.items import Binary, Budget, Inner, Item, Numbers, OpaqueError, Table, Text, Words
from cove.leaks.limits import LeakLimits
from cove.leaks.readers import CONTAINERS, reader_of
from cove.leaks.readers.tensors import numbers_in
from cove.leaks.sniffing import HEAD, Form, form_of
from cove.leaks.words import split_lines, texts_of

_SAMPLE: Final = 262_144
_WORST: Final = ("bomb", "too_large", "too_deep", "encrypted", "broken", "unknown")
_LITTLE: Final = 256
_SHORT: Final = 1 << 20
_TABLES: Final = frozenset({"delimited", "jsonl", "json"})
_DEEPEST: Final = 12
_NAME: Final = Form("text", "text/plain", "utf-8")
_JOINTS: Final = str.maketrans("-_/+&~#@", "        ")


@dataclass
class _State:
    """What is known of one output."""

    canaries: Canaries
    groups: Groups
    path: str
    matches: list[Match] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    troubles: set[str] = field(default_factory=set)


class Scanner:
    """Compares outputs with the inputs of a job.

    Args:
        hashing: The provider's.
        inputs: DID and index of each input.
        leaks: What to search for.
        counts: Which groups to look at.
        limits: How much may be unpacked.
    """

    def __init__(
        self,
        hashing: Hashing,
        inputs: Sequence[tuple[str, Index]],
        leaks: LeakRules,
        counts: CountRules,
        limits: LeakLimits,
    ) -> None:
        self._hashing = hashing
        self.comparison = Comparison(hashing, inputs)
        self._leaks = leaks
        self._counts = counts
        self._limits = limits
        self._budget = Budget(limits.unpacked_bytes, limits.members)
        self._nesting = 0

    def file(self, path: str, kind: str, sha256: str, content: bytes) -> FileReport:
        """Look into one output, its name included."""
        state = _State(Canaries(self._leaks.canaries), Groups(self._counts.columns), path)
        form = _form(content, "" if kind == "algorithmLog" else path)
        self._leaf(state, _name(path), _NAME, "name", 0)
        self._leaf(state, content, form, "", 0)
        opaque = next((reason for reason in _WORST if reason in state.troubles), "")
        return FileReport(
            path, kind, sha256, form.media, max(state.rows.values(), default=None), tuple(state.matches),
            state.canaries.found(), state.groups.smallest(), opaque,
        )  # fmt: skip

    def name(self, path: str) -> None:
        """Take the name of something that is not looked into."""
        state = _State(Canaries(frozenset()), Groups(frozenset()), path)
        self._leaf(state, _name(path), _NAME, "name", 0)

    def _leaf(self, state: _State, content: bytes, form: Form, where: str, depth: int) -> None:
        """Look into one piece of bytes of a known form."""
        if not content:
            return
        if form.kind in CONTAINERS and depth > self._limits.depth:
            state.troubles.add("too_deep")
            return
        tallies = self.comparison.fresh()
        self._nesting += 1
        try:
            if self._nesting > _DEEPEST:
                raise OpaqueError("too_deep")  # noqa: TRY301 - as from a reader
            self._content(state, tallies, content, form, where=where, depth=depth)
        except OpaqueError as problem:
            state.troubles.add(problem.reason)
        except (MemoryError, TimeoutError):
            raise
        except Exception:  # noqa: BLE001 - hostile bytes raise what no library's page names; nothing is let out by it
            state.troubles.add("broken")
        finally:
            self._nesting -= 1
        self.comparison.keep(tallies)
        state.matches.extend(self.comparison.matches(tallies, where))

    def _content(
        self, state: _State, tallies: list[Tally], content: bytes, form: Form, *, where: str, depth: int
    ) -> None:
        state.canaries.look(content)
        if self.comparison.wants_chunks() and form.kind not in CONTAINERS:
            self.comparison.chunks(tallies, chunk_hashes(self._hashing, content))
        if form.encoding:
            text = content.decode(form.encoding, "replace")
            state.canaries.text(text)
            self._hidden(state, tallies, text, where, depth)
            if form.kind in _TABLES and len(text) <= _SHORT:  # a line may say more than its cells do
                self._text(tallies, text)
        packed = form.kind in CONTAINERS
        for item in reader_of(form)(io.BytesIO(content), form, self._budget):
            self._item(state, tallies, item, where=where, depth=depth, packed=packed)

    def _item(self, state: _State, tallies: list[Tally], item: Item, *, where: str, depth: int, packed: bool) -> None:
        match item:
            case Table():
                self._table(state, tallies, item, where)
            case Words():
                lines = np.array(item.lines, np.int64)
                self.comparison.stream(
                    tallies, streams.of_words(self._hashing, item.words, lines, self.comparison.levels)
                )
                state.canaries.text("\n".join(item.words))
            case Text():
                self._text(tallies, item.text)
            case Numbers():
                self.comparison.stream(tallies, streams.of_numbers(self._hashing, item.values, self.comparison.levels))
            case Inner():
                inside = "/".join(part for part in (where, item.name) if part)
                if item.name:
                    self._text(tallies, _name(item.name).decode("utf-8", "replace"))
                    state.canaries.text(item.name)
                self._leaf(state, item.content, _form(item.content, item.name), inside, depth + packed)
            case Binary():
                self._binary(state, tallies, item)

    def _table(self, state: _State, tallies: list[Tally], table: Table, where: str) -> None:
        if not table.columns or not len(table.columns[0]):
            return
        columns = [self._hashing.column(cells) for cells in table.columns]
        count = len(columns[0])
        title = f"{where}\0{table.title}"
        state.rows[title] = state.rows.get(title, 0) + count

        def word(row: int, column: int) -> str:
            return str(table.columns[column][row])

        self.comparison.stream(tallies, streams.of_table(self._hashing, columns, word, self.comparison.levels))
        self._rows(tallies, columns)
        state.groups.table(title, table.names, table.columns)
        if state.canaries:
            for cells in table.columns:
                if not isinstance(cells, np.ndarray):
                    state.canaries.text("\n".join(texts_of(cells)))
        names = " ".join(str(name) for name in table.names)
        self._text(tallies, names)

    def _rows(self, tallies: list[Tally], columns: list[Column]) -> None:
        if self.comparison.wants_rows():
            self.comparison.rows(tallies, row_hashes(self._hashing, columns))
            if len(columns) > 2:  # noqa: PLR2004 - the first may be the number of the row
                self.comparison.rows(tallies, row_hashes(self._hashing, columns[1:]))

    def _text(self, tallies: list[Tally], text: str) -> None:
        if "\\\n" in text:
            text = "\n".join(unwrapped(text.splitlines()))
        words, lines = split_lines(text)
        stream = streams.of_words(self._hashing, words, lines, self.comparison.levels)
        self.comparison.stream(tallies, stream)
        if self.comparison.wants_rows():
            self.comparison.rows(tallies, streams.line_hashes(self._hashing, stream, lines))

    def _hidden(self, state: _State, tallies: list[Tally], text: str, where: str, depth: int) -> None:
        """Look at what is written backwards, and at what is encoded."""
        before = sum(tally.rows() for tally in tallies)
        backwards = text[::-1]
        state.canaries.text(backwards)
        self._text(tallies, backwards[:_SAMPLE])
        if len(text) > _SAMPLE:
            self._text(tallies, backwards[-_SAMPLE:])
            if sum(tally.rows() for tally in tallies) > before:
                self._text(tallies, backwards)
        for content in decoded(text):
            if len(content) < _LITTLE // 8:
                continue
            form = _form(content, "")
            if form.kind == "binary" and len(content) < _LITTLE:
                continue
            if depth >= self._limits.depth and form.kind in CONTAINERS:
                state.troubles.add("too_deep")
                continue
            self._budget.take(len(content))
            self._leaf(state, content, form, "/".join(part for part in (where, "encoded text") if part), depth + 1)

    def _binary(self, state: _State, tallies: list[Tally], item: Binary) -> None:
        for text in texts_in(item.content):
            state.canaries.text(text)
            self._text(tallies, text)
        understood = item.known
        for numbers in numbers_in(item.content):
            understood = True
            self.comparison.stream(tallies, streams.of_numbers(self._hashing, numbers.values, self.comparison.levels))
        if not understood and len(item.content) >= self._limits.opaque_bytes:
            state.troubles.add("unknown")


def _form(content: bytes, name: str) -> Form:
    form = form_of(content[:HEAD], name)
    if form.kind == "zip" and b"xl/workbook.xml" in content:
        return Form("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    return form


def _name(path: str) -> bytes:
    """Give a name as it stands, and once more with blanks where names have other signs between words."""
    apart = path.replace("--", "\t\x00").translate(_JOINTS).replace("\x00", "-")
    return f"{path}\n{apart}".encode("utf-8", "surrogateescape")
