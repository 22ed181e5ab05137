"""Sums over the assets that a search found: the part of Elasticsearch's aggregations that markets use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cove.core import json_form
from cove.core.errors import Invalid
from cove.core.searchtext import Document

MAX_SUMS: Final = 10
MAX_BUCKETS: Final = 1_000
MAX_KEYS: Final = 10_000
"""Different values that are counted; what comes after them is counted together."""

_USUAL_BUCKETS: Final = 10
_MAX_PATH: Final = 200
_MAX_KEY: Final = 256
_LARGEST: Final = 1e300
_NUMBERS: Final = ("sum", "avg", "min", "max", "value_count")


@dataclass(frozen=True, slots=True)
class Sum:
    """One aggregation: ``terms`` counts values, the others are numbers over all values."""

    kind: str
    path: str
    #: Of ``terms``: how many buckets.
    size: int = _USUAL_BUCKETS
    #: Of ``terms``: ``_count``, ``_key``, or the name of a number within; with True for falling order.
    order: tuple[str, bool] = ("_count", True)
    within: Mapping[str, Sum] = field(default_factory=dict)


def parse_sums(value: object) -> Mapping[str, Sum]:
    """Read the aggregations of a search.

    Raises:
        Invalid: One is wrong or not supported, under its dotted path.
    """
    return _parse(value, "aggs", within=False)


def _parse(value: object, path: str, *, within: bool) -> Mapping[str, Sum]:
    body = json_form.optional_mapping(value, path)
    if len(body) > MAX_SUMS:
        raise json_form.wrong(path, f"of at most {MAX_SUMS} aggregations")
    return {name: _one(inner, f"{path}.{name[:50]}", within=within) for name, inner in body.items()}


def _one(value: object, path: str, *, within: bool) -> Sum:
    body = dict(json_form.mapping(value, path))
    inner = body.pop("aggs", body.pop("aggregations", None))
    if len(body) != 1:
        raise json_form.wrong(path, "an object with the name of one kind of aggregation")
    kind, options = next(iter(body.items()))
    place = f"{path}.{kind[:50]}"
    if kind not in {*_NUMBERS, "terms"} or (within and kind == "terms"):
        raise Invalid({place: ["This kind of aggregation is not supported here."]})
    given = json_form.mapping(options, place)
    unknown = given.keys() - ({"field", "size", "order"} if kind == "terms" else {"field"})
    if unknown or (inner is not None and kind != "terms"):
        raise Invalid({f"{place}.{min(unknown, default='aggs')[:50]}": ["This part is not supported."]})
    named = json_form.text(given.get("field"), f"{place}.field")
    if not 0 < len(named) <= _MAX_PATH:
        raise json_form.wrong(f"{place}.field", "a field's name")
    numbers = _parse(inner, f"{path}.aggs", within=True)
    size = given.get("size")
    return Sum(
        kind,
        "id" if named == "_id" else named.removesuffix(".keyword"),
        json_form.whole_number(_USUAL_BUCKETS if size is None else size, f"{place}.size", least=1, most=MAX_BUCKETS),
        _order(given.get("order"), f"{place}.order", numbers),
        numbers,
    )


def _order(value: object, path: str, numbers: Mapping[str, Sum]) -> tuple[str, bool]:
    body = json_form.optional_mapping(value, path)
    if not body:
        return "_count", True
    name, direction = next(iter(body.items()))
    if len(body) != 1 or name not in {"_count", "_key", *numbers} or direction not in {"asc", "desc"}:
        raise json_form.wrong(path, "one of _count, _key or an aggregation within, with asc or desc")
    return name, direction == "desc"


@dataclass(slots=True)
class _Number:
    count: int = 0
    total: float = 0.0
    least: float | None = None
    most: float | None = None

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.least = value if self.least is None else min(self.least, value)
        self.most = value if self.most is None else max(self.most, value)

    def value(self, kind: str) -> float | int | None:
        if kind == "avg":
            return self.total / self.count if self.count else None
        return {"sum": self.total, "min": self.least, "max": self.most, "value_count": self.count}[kind]


@dataclass(slots=True)
class _Bucket:
    key: Any
    count: int = 0
    numbers: dict[str, _Number] = field(default_factory=dict)


class Totals:
    """Adds documents up.

    Args:
        sums: What is wanted.
    """

    def __init__(self, sums: Mapping[str, Sum]) -> None:
        self._sums = sums
        self._numbers = {name: _Number() for name, one in sums.items() if one.kind != "terms"}
        self._buckets: dict[str, dict[Any, _Bucket]] = {name: {} for name, one in sums.items() if one.kind == "terms"}
        self._others = dict.fromkeys(self._buckets, 0)

    def add(self, document: Document) -> None:
        """Count a document."""
        for name, number in self._numbers.items():
            _add(number, self._sums[name], document)
        for name, buckets in self._buckets.items():
            one = self._sums[name]
            for value in dict.fromkeys(document.values(one.path)):
                key = value[:_MAX_KEY] if isinstance(value, str) else value
                if key not in buckets and len(buckets) >= MAX_KEYS:
                    self._others[name] += 1
                    continue
                bucket = buckets.setdefault(key, _Bucket(key, 0, {within: _Number() for within in one.within}))
                bucket.count += 1
                for within, number in bucket.numbers.items():
                    _add(number, one.within[within], document)

    def answer(self) -> dict[str, Any]:
        """Give the answer as Elasticsearch words it."""
        found: dict[str, Any] = {name: {"value": n.value(self._sums[name].kind)} for name, n in self._numbers.items()}
        for name, buckets in self._buckets.items():
            one = self._sums[name]
            ordered = _ordered(list(buckets.values()), one)
            kept = ordered[: one.size]
            found[name] = {
                "doc_count_error_upper_bound": 0,
                "sum_other_doc_count": self._others[name] + sum(bucket.count for bucket in ordered[one.size :]),
                "buckets": [
                    {
                        "key": bucket.key,
                        "doc_count": bucket.count,
                        **{w: {"value": n.value(one.within[w].kind)} for w, n in bucket.numbers.items()},
                    }
                    for bucket in kept
                ],
            }
        return found


def _add(number: _Number, one: Sum, document: Document) -> None:
    for value in document.values(one.path):
        if one.kind == "value_count":
            number.count += 1
        elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
            number.add(float(value))


def _ordered(buckets: list[_Bucket], one: Sum) -> list[_Bucket]:
    name, down = one.order
    by_key = sorted(buckets, key=lambda bucket: str(bucket.key))
    if name == "_key":
        return by_key[::-1] if down else by_key

    def rank(bucket: _Bucket) -> float:
        value = bucket.count if name == "_count" else bucket.numbers[name].value(one.within[name].kind) or 0
        return -value if down else value

    return sorted(by_key, key=rank)
