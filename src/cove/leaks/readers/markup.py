"""HTML and XML: tables by their rows, everything else as words."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import BinaryIO, Final

from cove.leaks.items import Budget, Item, Text, Words
from cove.leaks.sniffing import Form

_CELLS: Final = frozenset({"td", "th"})
_BREAKS: Final = frozenset(
    {"tr", "p", "br", "div", "li", "row", "record", "table", "h1", "h2", "h3", "pre", "g", "text"}
)
_PART: Final = 1 << 20


def read(file: BinaryIO, form: Form, _budget: Budget) -> Iterator[Item]:
    """Give the cells of tables, one row a line, and all text."""
    parser = _Cells()
    text = file.read().decode(form.encoding, "replace")
    for start in range(0, len(text), _PART):
        parser.feed(text[start : start + _PART])
    parser.close()
    parser.end_cell()
    yield Words(parser.words, parser.lines)
    yield Text("\n".join(parser.loose))


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.lines: list[int] = []
        self.loose: list[str] = []
        self._line = 0
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loose.extend(value for _, value in attrs if value and len(value) > 3)  # noqa: PLR2004 - says something
        if tag in _CELLS:
            self.end_cell()
            self._cell = []
        elif tag in _BREAKS:
            self.end_cell()
            self._line += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _CELLS or tag in _BREAKS:
            self.end_cell()

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)
        elif data.strip():
            self.loose.append(data)

    def handle_comment(self, data: str) -> None:
        self.loose.append(data)

    def unknown_decl(self, data: str) -> None:
        self.loose.append(data)

    def end_cell(self) -> None:
        if self._cell is not None:
            self.words.append("".join(self._cell).strip())
            self.lines.append(self._line)
            self._cell = None
