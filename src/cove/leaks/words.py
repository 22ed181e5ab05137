"""Words of a text: overlapping windows of them, and what identifies somebody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from cove.leaks.cells import Hashes, Hashing, Level, canonical_text, number_of

Rows = npt.NDArray[np.int64]

WINDOW: Final = 8
"""So many words in a row are a piece of a text."""

MAX_WORDS: Final = 6
_BETWEEN: Final = str.maketrans(dict.fromkeys(",;|\"'`()[]{}<>=", " "))
_KEYS: Final = (('":', '" '), ("':", "' "))
_WIDE: Final = {sign: " " for sign in range(256, 0x10000) if chr(sign).isspace()}
_BLANK: Final = np.array([chr(sign).isspace() for sign in range(256)])
_TELLING_DIGITS: Final = 5
_TELLING_LETTERS: Final = 4
_DIFFERENT: Final = 4


def split(text: str) -> list[str]:
    """Give the words of a text: what stands between blanks, commas, quotes and brackets.

    Of a name and a value with a colon between them the value is the word; the colons of a time are its own.
    """
    words = _apart(text).split()
    return _valued(words, [place for place, word in enumerate(words) if ":" in word])


def split_lines(text: str) -> tuple[list[str], Rows]:
    """Give the words of a text, and the number of the line of each."""
    apart = _apart(text)
    if not apart.isascii():
        apart = apart.translate(_WIDE)
    # By where words begin: much faster than taking the text apart line by line, and looking into each word.
    signs = np.frombuffer(apart.encode("latin-1", "replace"), np.uint8)
    is_blank = _BLANK[signs]
    begins = ~is_blank
    begins[1:] &= is_blank[:-1]
    first = np.flatnonzero(begins)
    counts = np.diff(np.searchsorted(first, np.flatnonzero(signs == ord("\n"))), prepend=0, append=len(first))
    with_colon = np.unique(np.searchsorted(first, np.flatnonzero(signs == ord(":")), "right") - 1)
    return _valued(apart.split(), with_colon.tolist()), np.repeat(np.arange(len(counts), dtype=np.int64), counts)


def _apart(text: str) -> str:
    for key, apart in _KEYS:
        text = text.replace(key, apart)
    return text.translate(_BETWEEN)


def _valued(words: list[str], with_colon: Iterable[int]) -> list[str]:
    for place in with_colon:
        plain = words[place].strip(":")
        name, _, value = plain.partition(":")
        words[place] = value if value and not name[-1:].isdigit() and value[:2] != "//" else plain
    return words


def stepped_windows(hashing: Hashing, hashes: Hashes, width: int) -> Hashes:
    """Hash pieces of ``width`` following hashes that do not overlap, and that are not the same over and over."""
    count = len(hashes) // width
    if not count:
        return np.zeros(0, np.uint64)
    pieces = hashes[: count * width].reshape(count, width)
    ordered = np.sort(pieces, axis=1)
    different = (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) + 1
    windows = hashing.windows(hashes[: count * width], width)[::width]
    found: Hashes = windows[different >= min(_DIFFERENT, width // 2)]
    return found


def identifier_hashes(hashing: Hashing, cells: Any) -> tuple[Hashes, set[int]]:  # noqa: ANN401 - as readers give it
    """Hash each value of a column that identifies somebody, and say how many words they have.

    What is too short to be told from a count, or from any word, is left out: under 5 digits, under 4 letters.
    """
    found: list[Hashes] = []
    lengths: set[int] = set()
    by_length: dict[int, list[str]] = {}
    whole: list[str | None] = []
    for text in texts_of(cells):
        words = identifier_words(text)
        if words:
            by_length.setdefault(len(words), []).extend(words)
            if len(words) > 1:
                whole.append(text)
    for length, words in by_length.items():
        hashes = hashing.at(hashing.column(list(words)), Level.HUNDREDTHS)
        found.append(hashing.windows(hashes, length)[::length])
        lengths.add(length)
    if whole:
        found.append(hashing.windows(hashing.at(hashing.column(whole), Level.HUNDREDTHS), 1))
        lengths.add(1)
    return unique(found), lengths


def identifier_words(text: str) -> list[str]:
    """Give the words by which an identifier is searched; none when it says too little."""
    plain = canonical_text(text)
    number = number_of(plain)
    if number is not None:
        whole = f"{number:.0f}" if number == int(number) else plain
        return [whole] if len(whole.lstrip("-")) >= _TELLING_DIGITS else []
    words = [word for word in split(plain) if word][:MAX_WORDS]
    return words if sum(map(len, words)) >= _TELLING_LETTERS else []


def texts_of(cells: Any) -> Iterable[str]:  # noqa: ANN401 - as readers give it
    """Give the distinct cells of a column as texts."""
    if isinstance(cells, np.ndarray):
        return [
            f"{number:.0f}" if number == int(number) else repr(float(number))
            for number in np.unique(cells)
            if np.isfinite(number)
        ]
    if isinstance(cells, list):
        return [text for text in dict.fromkeys(cells) if text is not None]
    return [str(cell) for cell in cast("Any", cells).unique().to_pylist() if cell is not None]


def unique(pieces: list[Hashes]) -> Hashes:
    """Give the distinct values of all pieces, sorted."""
    return np.unique(np.concatenate(pieces)) if pieces else np.zeros(0, np.uint64)
