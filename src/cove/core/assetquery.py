"""Searches for assets, in the part of Elasticsearch's language that Ocean's libraries and markets use.

What is not supported is refused by its name: to leave a part of a question out would give a wrong answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cove.core import json_form
from cove.core.assetclauses import (
    MAX_NAME,
    boosted,
    by_field,
    everything,
    exists,
    ids,
    in_range,
    listed,
    match,
    multi_match,
    only,
    path_of,
    phrase,
    prefix,
    query_string,
    term,
    terms,
    unweighted,
    wildcard,
)
from cove.core.assetsums import Sum, parse_sums
from cove.core.errors import Invalid
from cove.core.searchtext import Document, Score, combined, key_of, least

MAX_SIZE: Final = 1_000
"""Assets in one answer."""

MAX_WINDOW: Final = 10_000
"""Where in the results an answer may end."""

MAX_CLAUSES: Final = 100
_MAX_DEPTH: Final = 12
_USUAL_SIZE: Final = 10
_MAX_SORTS: Final = 5


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which assets a search has to look at; parts that are None do not count, given ones must all hold."""

    dids: Collection[str] | None = None
    chain_ids: Collection[int] | None = None
    #: Lower case.
    owners: Collection[str] | None = None
    types: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """A question that was understood."""

    score: Score
    narrowing: Narrowing
    start: int = 0
    size: int = _USUAL_SIZE
    #: Paths, each with True for falling order; ``_score`` is one.
    order: tuple[tuple[str, bool], ...] = (("_score", True),)
    sums: Mapping[str, Sum] = field(default_factory=dict)


def parse_search(body: Mapping[str, object]) -> Search:
    """Read the body of a search.

    Raises:
        Invalid: A part of it is wrong or not supported, under its dotted path.
    """
    known = {"query", "from", "size", "sort", "aggs", "aggregations", "track_total_hits"}
    only(body, known, "")
    start = json_form.whole_number(body.get("from") or 0, "from", least=0, most=MAX_WINDOW)
    given = body.get("size")
    size = json_form.whole_number(_USUAL_SIZE if given is None else given, "size", least=0, most=MAX_SIZE)
    if start + size > MAX_WINDOW:
        raise Invalid({"from": [f"from and size together must be at most {MAX_WINDOW}."]})
    clauses = _Clauses()
    query = body.get("query")
    score = everything if query is None else clauses.one(query, "query")
    sums = parse_sums(body.get("aggs") if body.get("aggregations") is None else body.get("aggregations"))
    return Search(score, _narrowing(query), start, size, _order(body.get("sort")), sums)


def ranked(order: Sequence[tuple[str, bool]], document: Document, score: float) -> tuple[object, ...]:
    """Give what a document is sorted by; what has no value at a path comes last."""
    return tuple(_rank(score if path == "_score" else _first(document, path), down=down) for path, down in order)


class _Down:
    """A text that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: _Down) -> bool:
        return other.text < self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and other.text == self.text

    __hash__ = None  # type: ignore[assignment]  # nothing looks one up


def _rank(value: object, *, down: bool) -> tuple[int, object]:
    if isinstance(value, int | float):
        return 0, -value if down else value
    if isinstance(value, str):
        return 1, _Down(value) if down else value
    return 2, 0


def _first(document: Document, path: str) -> object:
    values = document.values(path)
    return values[0] if values else None


class _Clauses:
    """Reads the clauses of one question, and counts them."""

    def __init__(self) -> None:
        self._count = 0
        self._kinds: Mapping[str, Callable[[Mapping[str, object], str, int], Score]] = {
            "bool": self._bool,
            "match_all": lambda _, __, ___: everything,
            "term": lambda body, path, _: by_field(body, path, "value", term),
            "terms": lambda body, path, _: terms(body, path),
            "match": lambda body, path, _: by_field(body, path, "query", match, {"operator", "minimum_should_match"}),
            "match_phrase": lambda body, path, _: by_field(body, path, "query", phrase),
            "prefix": lambda body, path, _: by_field(body, path, "value", prefix),
            "wildcard": lambda body, path, _: by_field(body, path, "value", wildcard),
            "range": lambda body, path, _: in_range(body, path),
            "exists": lambda body, path, _: exists(body, path),
            "ids": lambda body, path, _: ids(body, path),
            "query_string": lambda body, path, _: query_string(body, path),
            "multi_match": lambda body, path, _: multi_match(body, path),
        }

    def one(self, clause: object, path: str, depth: int = 0) -> Score:
        self._count += 1
        if self._count > MAX_CLAUSES or depth > _MAX_DEPTH:
            raise Invalid({path: [f"A query must be of at most {MAX_CLAUSES} clauses, {_MAX_DEPTH} deep."]})
        body = json_form.mapping(clause, path)
        if len(body) != 1:
            raise json_form.wrong(path, "an object with the name of one kind of query")
        kind, inner = next(iter(body.items()))
        read = self._kinds.get(kind)
        if read is None:
            raise Invalid({f"{path}.{kind[:50]}": ["This kind of query is not supported."]})
        score = read(json_form.mapping(inner, f"{path}.{kind}"), f"{path}.{kind}", depth)
        return boosted(score, inner, f"{path}.{kind}") if kind in {"bool", "query_string", "multi_match"} else score

    def _bool(self, body: Mapping[str, object], path: str, depth: int) -> Score:
        only(body, {"must", "should", "filter", "must_not", "minimum_should_match", "boost", "_name"}, path)
        parts = {
            name: [
                self.one(clause, f"{path}.{name}[{place}]", depth + 1)
                for place, clause in enumerate(listed(body.get(name), f"{path}.{name}"))
                if clause != []  # what front ends leave in the place of a filter that they do not need
            ]
            for name in ("must", "should", "filter", "must_not")
        }
        given = body.get("minimum_should_match")
        alone = not parts["must"] and not parts["filter"]
        wanted = int(alone and bool(parts["should"]))
        if given is not None:
            wanted = least(given, len(parts["should"]), f"{path}.minimum_should_match")
        filters = [unweighted(one) for one in parts["filter"]]
        return combined([*filters, *parts["must"]], parts["should"], parts["must_not"], wanted)


def _order(value: object) -> tuple[tuple[str, bool], ...]:
    entries = listed(value, "sort")
    if len(entries) > _MAX_SORTS:
        raise json_form.wrong("sort", f"of at most {_MAX_SORTS} fields")
    found: list[tuple[str, bool]] = []
    for place, entry in enumerate(entries):
        pairs = {entry: "desc" if entry == "_score" else "asc"} if isinstance(entry, str) else entry
        for named, how in json_form.mapping(pairs, f"sort[{place}]").items():
            path = f"sort.{named[:MAX_NAME]}"
            if isinstance(how, Mapping):
                only(how, {"order", "unmapped_type", "missing", "mode"}, path)
                how = how.get("order", "asc")  # noqa: PLW2901 - it stood one level deeper
            direction = json_form.text(how, path).lower()
            if direction not in {"asc", "desc"}:
                raise json_form.wrong(path, "asc or desc")
            found.append(("_score" if named == "_score" else path_of(named, path), direction == "desc"))
    return tuple(found) or (("_score", True),)


def _narrowing(query: object) -> Narrowing:
    """Give what all assets that a question can match have, so that the others need not be looked at.

    Only what must hold at the top counts; everything is checked again on the assets themselves.
    """
    found: dict[str, Collection[object]] = {}
    for clause in _required(query):
        if not isinstance(clause, Mapping) or len(clause) != 1:
            continue
        kind, body = next(iter(clause.items()))
        if kind == "ids" and isinstance(body, Mapping):
            body, kind = {"_id": body.get("values")}, "terms"
        if kind not in {"term", "terms"} or not isinstance(body, Mapping):
            continue
        for named, value in body.items():
            if isinstance(value, Mapping):
                value = value.get("value")  # noqa: PLW2901 - it stood one level deeper
            values = value if kind == "terms" and isinstance(value, list) else [value]
            name = _NARROW.get(named.removesuffix(".keyword"))
            if name is not None and name not in found:
                found[name] = values
    chains = found.get("chain_ids")
    texts = {name: {key_of(value) for value in values} for name, values in found.items() if name != "chain_ids"}
    return Narrowing(
        dids=texts.get("dids"),
        chain_ids=None if chains is None else {int(str(v)) for v in chains if str(v).isdecimal() and len(str(v)) < 19},  # noqa: PLR2004 - 63 bits
        owners=texts.get("owners"),
        types=texts.get("types"),
    )


_NARROW: Final = {
    "_id": "dids",
    "id": "dids",
    "chainId": "chain_ids",
    "nft.owner": "owners",
    "metadata.type": "types",
}


def _required(query: object) -> list[object]:
    if not isinstance(query, Mapping):
        return []
    body = query.get("bool")
    if not isinstance(body, Mapping):
        return [query]
    return [clause for name in ("filter", "must") for clause in listed(body.get(name), name)]
