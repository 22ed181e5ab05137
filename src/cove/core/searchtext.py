"""Words of a document and of a search, and the language of ``query_string``: the part of Lucene's that markets use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cove.core.errors import Invalid

MAX_QUERY: Final = 1_000
"""Characters of a text that is searched for."""

MAX_TERMS: Final = 64
_MAX_TEXT: Final = 20_000
"""Characters of a value whose words are looked at."""

_MAX_DEPTH: Final = 10
_MAX_WORD: Final = 256
_WORD: Final = re.compile(r"did:op:[0-9a-f]+|\w+")
_ANY, _ONE = "\ue000", "\ue001"
_UNSUPPORTED: Final = frozenset("~^[]{}<>=/")
_PART: Final = re.compile(r"(-?\d+)(%?)\Z")

Score = Callable[["Document"], float | None]
"""How well a document matches; None: it does not."""


class Document:
    """A DDO that is searched: the values at a dotted path, lists looked through, and their words."""

    __slots__ = ("_body", "_values", "_words")

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body
        self._values: dict[str, tuple[Any, ...]] = {}
        self._words: dict[str, tuple[str, ...]] = {}

    def values(self, path: str) -> tuple[Any, ...]:
        """Give the texts, numbers and truth values at a path."""
        known = self._values.get(path)
        if known is None:
            known = tuple(_values(self._body, path.split(".")))
            self._values[path] = known
        return known

    def words(self, path: str) -> tuple[str, ...]:
        """Give the words of all values at a path, lower case, in their order."""
        known = self._words.get(path)
        if known is None:
            known = tuple(word for value in self.values(path) for word in words(_text(value)))
            self._words[path] = known
        return known


def words(text: str) -> list[str]:
    """Give the words of a text in lower case; a DID is one word."""
    return _WORD.findall(text[:_MAX_TEXT].lower())


def key_of(value: object) -> str:
    """Give what two values have in common that count as the same: texts without case, numbers also given as texts."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _text(value).lower()


def has_words(document: Document, path: str, wanted: Sequence[str], *, every: bool) -> bool:
    """Say whether a field has all of some words, or one of them."""
    present = frozenset(document.words(path))
    return bool(wanted) and (all if every else any)(word in present for word in wanted)


def has_phrase(document: Document, path: str, wanted: Sequence[str]) -> bool:
    """Say whether a field has some words one after the other."""
    found, length = document.words(path), len(wanted)
    first = wanted[0] if wanted else ""
    return any(word == first and found[place : place + length] == tuple(wanted) for place, word in enumerate(found))


def fits(text: str, pattern: str) -> bool:
    """Say whether a text fits a pattern of characters, ``any`` and ``one`` marks; linear but for one way back."""
    place = mark = 0
    star, begun = -1, 0
    while place < len(text):
        if mark < len(pattern) and pattern[mark] in {_ONE, text[place]}:
            place, mark = place + 1, mark + 1
        elif mark < len(pattern) and pattern[mark] == _ANY:
            star, begun = mark, place
            mark += 1
        elif star >= 0:
            begun += 1
            place, mark = begun, star + 1
        else:
            return False
    return all(character == _ANY for character in pattern[mark:])


def pattern_of(text: str) -> str:
    """Give the pattern of a text with ``*`` and ``?``."""
    return text.lower().replace("*", _ANY).replace("?", _ONE)


def has_fitting(document: Document, path: str, pattern: str) -> bool:
    """Say whether a word of a field, or a short value as a whole, fits a pattern."""
    if pattern.strip(_ANY) == "":
        return bool(document.values(path))
    whole = (_text(value).lower() for value in document.values(path))
    return any(len(word) <= _MAX_WORD and fits(word, pattern) for word in (*document.words(path), *whole))


def least(spec: object, optional: int, field: str) -> int:
    """Give how many of the optional parts must match: ``2``, ``-1``, ``75%``, ``2<75%``.

    Raises:
        Invalid: It is none of these.
    """
    text = _text(spec)
    for condition in text.split() if "<" in text else ():
        bound, _, then = condition.partition("<")
        if not bound.isdecimal():
            break
        if optional <= int(bound):
            return optional
        text = then
    found = _PART.match(text)
    if found is None or len(text) > 6:  # noqa: PLR2004 - digits of a reasonable number
        raise Invalid({field: ["It must be a number or a percentage, as in 2<75%."]})
    number = int(found[1])
    if found[2]:
        number = int(optional * abs(number) / 100) * (1 if number >= 0 else -1)
    return max(0, min(optional, number if number >= 0 else optional + number))


@dataclass(frozen=True, slots=True)
class Language:
    """How a ``query_string`` is read."""

    #: Where it stands, for texts of errors.
    place: str
    #: Paths that are looked at, with their weight.
    fields: tuple[tuple[str, float], ...]
    #: True: all terms must match, where nothing else is said.
    every: bool = False
    #: How many of the optional terms must match; None: one.
    least: object = None


def parse(text: str, language: Language) -> Score:
    """Read a ``query_string``: words, "phrases", ``field:..``, AND, OR, NOT, + and -, brackets, * and ?.

    Raises:
        Invalid: It is too long, or uses something else.
    """
    if len(text) > MAX_QUERY:
        raise Invalid({language.place: [f"It must be at most {MAX_QUERY} characters long."]})
    tokens = list(_tokens(text, language.place))
    if sum(kind in {"term", "phrase"} for kind, _ in tokens) > MAX_TERMS:
        raise Invalid({language.place: [f"It must be of at most {MAX_TERMS} terms."]})
    return _Reader(tokens, language).whole()


class _Reader:
    """Reads tokens into a score."""

    def __init__(self, tokens: list[tuple[str, str]], language: Language) -> None:
        self._tokens = tokens
        self._language = language
        self._place = 0
        self._depth = 0

    def whole(self) -> Score:
        score = self._group(self._language.fields, least=self._language.least)
        if self._place < len(self._tokens):
            raise self._wrong("a closing bracket that opens nowhere")
        return score

    def _group(self, fields: tuple[tuple[str, float], ...], least: object = None) -> Score:
        """Read up to the closing bracket: alternatives, each of parts that must all match."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._wrong("too many brackets")
        must: list[Score] = []
        must_not: list[Score] = []
        optional: list[Score] = []
        joined = False
        while self._kind() not in {"", ")"}:
            if self._kind() in {"or", "and"}:
                joined = self._take()[0] == "and"
                continue
            sign = self._take()[0] if self._kind() in {"+", "-", "not"} else ""
            one = self._one(fields)
            if sign in {"-", "not"}:
                must_not.append(one)
            elif sign == "+":
                must.append(one)
            elif joined or (self._language.every and self._before() != "or" and optional):
                optional[-1:] = [_all_of([*optional[-1:], one])]
            else:
                optional.append(one)
            joined = False
        self._depth -= 1
        wanted = 1 if least is None else _least_of(least, len(optional), self._language.place)
        return combined(must, optional, must_not, 0 if must and least is None else min(wanted, len(optional)))

    def _before(self) -> str:
        """Say what stood between the part that was just read and the one before it."""
        depth = 0
        for kind, _ in reversed(self._tokens[: self._place]):
            depth += (kind == ")") - (kind == "(")
            if depth == 0 and kind in {"or", "and"}:
                return kind
            if depth == 0 and kind in {"term", "phrase"} and (kind, _) != self._tokens[self._place - 1]:
                return ""
        return ""

    def _one(self, fields: tuple[tuple[str, float], ...]) -> Score:
        kind, text = self._take()
        if kind == "field":
            return self._one(((text, 1.0),))
        if kind == "(":
            score = self._group(fields)
            if self._kind() != ")":
                raise self._wrong("a bracket that is not closed")
            self._take()
            return score
        if kind not in {"term", "phrase"}:
            raise self._wrong("an operator without a term")
        return _term(text, fields, phrase=kind == "phrase")

    def _kind(self) -> str:
        return self._tokens[self._place][0] if self._place < len(self._tokens) else ""

    def _take(self) -> tuple[str, str]:
        if self._place >= len(self._tokens):
            raise self._wrong("an operator without a term")
        self._place += 1
        return self._tokens[self._place - 1]

    def _wrong(self, what: str) -> Invalid:
        return Invalid({self._language.place: [f"It has {what}."]})


_least_of = least


def combined(must: Sequence[Score], optional: Sequence[Score], must_not: Sequence[Score], wanted: int) -> Score:
    """Give the score of parts together.

    Args:
        must: All of them match.
        optional: As many as wanted match.
        must_not: None of them matches.
        wanted: At least so many of the optional ones.
    """

    def score(document: Document) -> float | None:
        total = 0.0
        for one in must:
            found = one(document)
            if found is None:
                return None
            total += found
        if any(one(document) is not None for one in must_not):
            return None
        scores = [found for one in optional if (found := one(document)) is not None]
        return None if len(scores) < wanted else total + sum(scores)

    return score


def _all_of(parts: Sequence[Score]) -> Score:
    return combined(parts, (), (), 0)


def _term(text: str, fields: tuple[tuple[str, float], ...], *, phrase: bool) -> Score:
    wanted = words(text)
    pattern = text.lower() if not phrase and (_ANY in text or _ONE in text) else ""

    def score(document: Document) -> float | None:
        weights = [
            weight
            for path, weight in fields
            if (has_fitting(document, path, pattern) if pattern else has_phrase(document, path, wanted))
        ]
        return max(weights, default=None)

    return score


def _tokens(text: str, place: str) -> Iterator[tuple[str, str]]:
    """Cut a text into tokens: kind, and what it says. Marks stand for ``*`` and ``?`` that are not escaped."""
    position = 0
    while position < len(text):
        character = text[position]
        if character.isspace():
            position += 1
        elif character in "()":
            position += 1
            yield character, ""
        elif character == '"':
            said, position = _until(text, position + 1, '"')
            yield "phrase", said
        elif character in "+-" or character == "!":
            position += 1
            yield ("not" if character == "!" else character), ""
        else:
            said, ended = _bare(text, position, place)
            if ended < len(text) and text[ended] == ":":
                if not said or _ANY in said or _ONE in said:
                    raise Invalid({place: ["It names a field by a pattern, which is not supported."]})
                position = ended + 1
                yield "field", said.removesuffix(".keyword")
                continue
            whole, position = text[position:ended], ended
            kind = {"AND": "and", "&&": "and", "OR": "or", "||": "or", "NOT": "not"}.get(whole, "term")
            yield kind, said


def _until(text: str, position: int, end: str) -> tuple[str, int]:
    said = []
    while position < len(text) and text[position] != end:
        position += text[position] == "\\"
        said.append(text[position : position + 1])
        position += 1
    return "".join(said), position + 1


def _bare(text: str, position: int, place: str) -> tuple[str, int]:
    said = []
    while position < len(text) and not text[position].isspace() and text[position] not in '():"':
        character = text[position]
        if character == "\\":
            position += 1
            character = text[position : position + 1]
        elif character in _UNSUPPORTED:
            raise Invalid(
                {place: [f"It uses {character}, which is not supported; a backslash before it takes it as it is."]}
            )
        else:
            character = {"*": _ANY, "?": _ONE}.get(character, character)
        said.append(character)
        position += 1
    return "".join(said), position


def _values(value: object, path: Sequence[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _values(one, path)
    elif not path:
        if value is not None and not isinstance(value, dict):
            yield value
    elif isinstance(value, dict):
        yield from _values(value.get(path[0]), path[1:])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
