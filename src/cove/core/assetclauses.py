"""The kinds of query that look at fields, each read into a score; ``core.assetquery`` joins them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from cove.core import json_form
from cove.core.errors import Invalid
from cove.core.searchtext import (
    Document,
    Language,
    Score,
    has_fitting,
    has_phrase,
    has_words,
    key_of,
    least,
    parse,
    pattern_of,
    words,
)

MAX_VALUES: Final = 1_000
MAX_NAME: Final = 200
"""Characters of a field's name."""

#: What a text is looked for in, where the question names no field.
TEXT_FIELDS: Final = (
    "id",
    "metadata.name",
    "metadata.description",
    "metadata.author",
    "metadata.tags",
    "metadata.categories",
    "metadata.type",
    "nft.name",
    "nft.symbol",
    "nft.owner",
    "datatokens.address",
    "datatokens.name",
    "datatokens.symbol",
)
_HINTS: Final = frozenset(
    {"boost", "_name", "lenient", "analyze_wildcard", "phrase_slop", "slop", "auto_generate_synonyms_phrase_query"}
)
"""Options that change the order of results or tolerate more; they may stand, and do nothing but for ``boost``."""


def everything(_: Document) -> float | None:
    """Match every document."""
    return 1.0


def by_field(
    body: Mapping[str, object],
    path: str,
    name: str,
    make: Callable[[str, object, Mapping[str, object], str], Score],
    options: Collection[str] = (),
) -> Score:
    """Read a clause of one field, whose value stands there alone or in an object with options."""
    given = {key: value for key, value in body.items() if key != "boost"}
    if len(given) != 1:
        raise json_form.wrong(path, "an object with the name of one field")
    named, value = next(iter(given.items()))
    place = f"{path}.{named[:MAX_NAME]}"
    extra: Mapping[str, object] = {}
    if isinstance(value, Mapping):
        extra = json_form.mapping(value, place)
        only(extra, {name, "wildcard", "case_insensitive", *options, *_HINTS}, place)
        value = extra.get(name, extra.get("wildcard"))
    if not isinstance(value, str | int | float | bool):
        raise json_form.wrong(place, "a text, a number, or true or false")
    if isinstance(value, str) and len(value) > MAX_VALUES:
        raise json_form.wrong(place, f"at most {MAX_VALUES} characters long")
    return boosted(make(named, value, extra, place), extra or body, place)


def term(named: str, value: object, _: Mapping[str, object], place: str) -> Score:
    """Read a value of a field."""
    return _one_of(named, [value], place)


def terms(body: Mapping[str, object], path: str) -> Score:
    """Read values of a field, of which one is enough."""
    given = {key: value for key, value in body.items() if key not in _HINTS}
    if len(given) != 1:
        raise json_form.wrong(path, "an object with the name of one field")
    named, values = next(iter(given.items()))
    place = f"{path}.{named[:MAX_NAME]}"
    wanted = json_form.sequence(values, place, most=MAX_VALUES)
    if not all(isinstance(value, str | int | float | bool) for value in wanted):
        raise json_form.wrong(place, "a list of texts, numbers, or true and false")
    return boosted(_one_of(named, wanted, place), body, path)


def _one_of(named: str, wanted: Sequence[object], place: str) -> Score:
    """Give the score of values of which one is there: as a whole, or as a word of a text."""
    field_path = path_of(named, place)
    if field_path == "_index":  # there is one
        return everything
    by_word = not named.endswith(".keyword")
    texts = frozenset(key_of(value) for value in wanted)

    def score(document: Document) -> float | None:
        if any(key_of(value) in texts for value in document.values(field_path)):
            return 1.0
        return 1.0 if by_word and any(word in texts for word in document.words(field_path)) else None

    return score


def match(named: str, value: object, options: Mapping[str, object], place: str) -> Score:
    """Read words of a field."""
    field_path = path_of(named, place)
    wanted = words(key_of(value))
    operator = json_form.optional_text(options.get("operator"), f"{place}.operator").lower() or "or"
    if operator not in {"and", "or"}:
        raise json_form.wrong(f"{place}.operator", "and, or or")
    given = options.get("minimum_should_match")
    number = len(wanted) if operator == "and" else 1
    if given is not None:
        number = max(1, least(given, len(wanted), f"{place}.minimum_should_match"))

    def score(document: Document) -> float | None:
        present = frozenset(document.words(field_path))
        found = sum(word in present for word in wanted)
        return float(found) if wanted and found >= number else None

    return score


def phrase(named: str, value: object, _: Mapping[str, object], place: str) -> Score:
    """Read words that follow each other."""
    field_path, wanted = path_of(named, place), words(key_of(value))
    return lambda document: float(len(wanted)) if has_phrase(document, field_path, wanted) else None


def prefix(named: str, value: object, _: Mapping[str, object], place: str) -> Score:
    """Read the beginning of a word."""
    field_path, pattern = path_of(named, place), key_of(value) + pattern_of("*")
    return lambda document: 1.0 if has_fitting(document, field_path, pattern) else None


def wildcard(named: str, value: object, _: Mapping[str, object], place: str) -> Score:
    """Read a pattern of a word."""
    field_path, pattern = path_of(named, place), pattern_of(key_of(value))
    return lambda document: 1.0 if has_fitting(document, field_path, pattern) else None


_BOUNDS: Final[Mapping[str, Callable[[int], bool]]] = {
    "gt": lambda order: order > 0,
    "gte": lambda order: order >= 0,
    "lt": lambda order: order < 0,
    "lte": lambda order: order <= 0,
}


def in_range(body: Mapping[str, object], path: str) -> Score:
    """Read bounds of a number, or of a text (times, as DDOs write them, are texts in their order)."""
    if len(body) != 1:
        raise json_form.wrong(path, "an object with the name of one field")
    named, inner = next(iter(body.items()))
    place = f"{path}.{named[:MAX_NAME]}"
    bounds = json_form.mapping(inner, place)
    only(bounds, {*_BOUNDS, "boost"}, place)
    limits = [(_BOUNDS[name], bound) for name, bound in bounds.items() if name in _BOUNDS and bound is not None]
    for _, bound in limits:
        if isinstance(bound, bool) or not isinstance(bound, str | int | float):
            raise json_form.wrong(place, "bounds that are numbers or texts")
        if isinstance(bound, str) and bound.startswith("now"):
            raise Invalid({place: ["Times that are counted from now are not supported: write the time itself."]})
    field_path = path_of(named, place)

    def score(document: Document) -> float | None:
        for value in document.values(field_path):
            orders = [(holds, _compared(value, bound)) for holds, bound in limits]
            if all(order is not None and holds(order) for holds, order in orders):
                return 1.0
        return None

    return score


def _compared(value: object, bound: object) -> int | None:
    """Give -1, 0 or 1 as a value is below, at or above a bound; None where they are of different kinds."""
    if isinstance(bound, str) and isinstance(value, int | float):
        try:
            bound = float(bound)
        except ValueError:
            return None
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) and isinstance(bound, int | float):
        return (value > bound) - (value < bound)
    if isinstance(value, str) and isinstance(bound, str):
        return (value > bound) - (value < bound)
    return None


def exists(body: Mapping[str, object], path: str) -> Score:
    """Read that a field is there."""
    only(body, {"field", "boost"}, path)
    field_path = path_of(json_form.text(body.get("field"), f"{path}.field"), f"{path}.field")
    return lambda document: 1.0 if document.values(field_path) else None


def ids(body: Mapping[str, object], path: str) -> Score:
    """Read DIDs."""
    only(body, {"values", "boost"}, path)
    values = listed(body.get("values"), f"{path}.values")
    return _one_of("id.keyword", [json_form.text(value, f"{path}.values") for value in values], path)


def query_string(body: Mapping[str, object], path: str) -> Score:
    """Read a text in the language of :func:`cove.core.searchtext.parse`."""
    options = {"query", "fields", "default_field", "default_operator", "minimum_should_match"}
    only(body, {*options, *_HINTS}, path)
    operator = json_form.optional_text(body.get("default_operator"), f"{path}.default_operator").lower() or "or"
    if operator not in {"and", "or"}:
        raise json_form.wrong(f"{path}.default_operator", "AND, or OR")
    named = body.get("fields")
    if named is None and body.get("default_field") is not None:
        named = [body.get("default_field")]
    language = Language(
        f"{path}.query", _fields(named, f"{path}.fields"), operator == "and", body.get("minimum_should_match")
    )
    return parse(json_form.text(body.get("query"), f"{path}.query"), language)


def multi_match(body: Mapping[str, object], path: str) -> Score:
    """Read words that are looked for in several fields."""
    only(body, {"query", "fields", "type", "operator", *_HINTS}, path)
    kind = json_form.optional_text(body.get("type"), f"{path}.type") or "best_fields"
    if kind not in {"best_fields", "most_fields", "phrase"}:
        raise Invalid({f"{path}.type": [f"{kind[:30]} is not supported."]})
    every = json_form.optional_text(body.get("operator"), f"{path}.operator").lower() == "and"
    wanted = words(json_form.text(body.get("query"), f"{path}.query")[:MAX_VALUES])
    fields = _fields(body.get("fields"), f"{path}.fields")

    def score(document: Document) -> float | None:
        found = [
            weight
            for named, weight in fields
            if (
                has_phrase(document, named, wanted)
                if kind == "phrase"
                else has_words(document, named, wanted, every=every)
            )
        ]
        return max(found, default=None)

    return score


def _fields(value: object, path: str) -> tuple[tuple[str, float], ...]:
    """Read names of fields with their weights (``metadata.name^10``); without any, or for ``*``, the usual ones."""
    found: list[tuple[str, float]] = []
    for place, given in enumerate(listed(value, path)):
        named, _, weight = json_form.text(given, f"{path}[{place}]").partition("^")
        try:
            factor = float(weight or 1)
        except ValueError:
            raise json_form.wrong(f"{path}[{place}]", "a field, or a field, ^ and a number") from None
        if not 0 <= factor <= MAX_VALUES:
            raise json_form.wrong(f"{path}[{place}]", f"a weight from 0 to {MAX_VALUES}")
        pattern = pattern_of(named)
        wide = [known for known in TEXT_FIELDS if "*" in named and _glob(known, pattern)]
        found += [(name, factor) for name in (wide if "*" in named else [path_of(named, f"{path}[{place}]")])]
    return tuple(found) or tuple((name, 1.0) for name in TEXT_FIELDS)


def _glob(name: str, pattern: str) -> bool:
    return has_fitting(Document({"name": name}), "name", pattern)


def path_of(named: str, place: str) -> str:
    """Give the dotted path of a field's name."""
    if not named or len(named) > MAX_NAME:
        raise json_form.wrong(place, f"a field's name of at most {MAX_NAME} characters")
    return "id" if named == "_id" else named.removesuffix(".keyword")


def boosted(score: Score, body: object, path: str) -> Score:
    """Give a score times its ``boost``."""
    factor = body.get("boost") if isinstance(body, Mapping) else None
    if factor is None:
        return score
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor <= MAX_VALUES:
        raise json_form.wrong(f"{path}.boost", f"a number from 0 to {MAX_VALUES}")

    def scaled(document: Document) -> float | None:
        found = score(document)
        return None if found is None else found * factor

    return scaled


def unweighted(score: Score) -> Score:
    """Give a score that counts nothing: it is there, or not."""
    return lambda document: None if score(document) is None else 0.0


def only(body: Mapping[str, object], known: Collection[str], path: str) -> None:
    """Refuse parts that are not known."""
    for name in body:
        if name not in known:
            raise Invalid({f"{path}.{name[:50]}".removeprefix("."): ["This part of a query is not supported."]})


def listed(value: object, path: str) -> Sequence[object]:
    """Give a list, also of one that stands alone, or of nothing."""
    if value is None:
        return ()
    return json_form.sequence(value, path, most=MAX_VALUES) if isinstance(value, list) else [value]
