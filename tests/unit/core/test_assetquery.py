"""The part of Elasticsearch's language that is understood, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.documents import DATATOKEN, DID, NFT, OWNER, a_document

from cove.core.assetquery import Narrowing, parse_search, ranked
from cove.core.assetsums import Totals
from cove.core.errors import Invalid
from cove.core.searchtext import Document, fits, least, pattern_of

BODY = a_document(
    metadata={
        "type": "dataset",
        "name": "Weather of Zürich, hourly",
        "description": "Rain and sun since 1990.",
        "author": "MeteoX",
        "tags": ["Rain", "open data"],
        "created": "2024-05-01T00:00:00Z",
    },
    nft={"state": 0, "owner": OWNER},
    stats={"orders": 7, "price": {"value": 2.5}},
    purgatory={"state": False},
)


def score(query: Any) -> float | None:
    return parse_search({"query": query}).score(Document(BODY))


def text(query: str, **more: Any) -> dict[str, Any]:
    return {"query_string": {"query": query, **more}}


@pytest.mark.parametrize(
    "query",
    [
        {"match_all": {}},
        {"term": {"metadata.type": "dataset"}},
        {"term": {"metadata.type.keyword": {"value": "Dataset"}}},
        {"term": {"chainId": 8996}},
        {"term": {"chainId": "8996"}},
        {"term": {"purgatory.state": False}},
        {"term": {"purgatory.state": "false"}},
        {"term": {"stats.orders": 7.0}},
        {"term": {"metadata.name": "hourly"}},
        {"term": {"_id": DID}},
        {"term": {"_index": "anything"}},
        {"terms": {"nft.state": [0, 4]}},
        {"terms": {"services.datatokenAddress": [DATATOKEN.upper().replace("X", "x")]}},
        {"terms": {"metadata.tags.keyword": ["open data"]}},
        {"match": {"metadata.description": "snow or rain"}},
        {"match": {"metadata.description": {"query": "sun rain", "operator": "AND"}}},
        {"match": {"services.compute.allowNetworkAccess": True}},
        {"match": {"id": {"query": DID}}},
        {"match_phrase": {"metadata.description": "sun since 1990"}},
        {"match_phrase": {"metadata.description": {"query": "and SUN", "boost": 2, "slop": 1}}},
        {"prefix": {"metadata.author": "mete"}},
        {"wildcard": {"metadata.author": {"value": "m*o?"}}},
        {"range": {"stats.orders": {"gte": 7, "lt": 8}}},
        {"range": {"stats.price.value": {"gt": "2"}}},
        {"range": {"metadata.created": {"gte": "2024-01-01", "lte": "2024-12-31"}}},
        {"exists": {"field": "nft.owner"}},
        {"ids": {"values": [DID]}},
        {"ids": {"values": DID}},
        {"multi_match": {"query": "hourly", "fields": ["metadata.name^3", "metadata.author"]}},
        {"bool": {}},
        {"bool": {"should": [{"term": {"chainId": 1}}, {"term": {"chainId": 8996}}]}},
        {"bool": {"must": {"term": {"chainId": 8996}}, "should": [{"term": {"chainId": 1}}]}},
        {"bool": {"must_not": [{"term": {"nft.state": 5}}]}},
        {"bool": {"filter": [[], {"bool": {"must_not": {"term": {"nft.state": 5}}}}]}},
        text("weather"),
        text("snow weather"),
        text("snow OR weather"),
        text("Rain AND sun"),
        text("rain sun", default_operator="AND"),
        text("(snow OR rain) AND sun"),
        text("rain -snow"),
        text("+rain +sun snow"),
        text("NOT snow"),
        text('"sun since 1990"'),
        text("metadata.author:meteox"),
        text("metadata.author:(snow OR meteox)"),
        text('metadata.tags:"open data"'),
        text("*züri*"),
        text("**"),
        text("*", fields=["metadata.name"]),
        text("h?urly*", fields=["metadata.*"]),
        text("hourly\\:", fields=["metadata.name"]),
        text("weather hourly snow", minimum_should_match="2<66%"),
        text("rain", fields=["metadata.name", "metadata.description^2"], boost=5, lenient=True, phrase_slop=2),
    ],
)
def test_it_matches(query: Any) -> None:
    assert score(query) is not None


@pytest.mark.parametrize(
    "query",
    [
        {"term": {"metadata.type": "algorithm"}},
        {"term": {"metadata.name.keyword": "hourly"}},
        {"term": {"purgatory.state": True}},
        {"term": {"chainId": 899}},
        {"term": {"nothing.there": 1}},
        {"terms": {"nft.state": []}},
        {"match": {"metadata.description": {"query": "snow rain", "operator": "and"}}},
        {"match": {"id": "did:op:" + "0b" * 32}},
        {"match_phrase": {"metadata.description": "sun rain"}},
        {"match_phrase": {"content": {"query": "rain", "boost": 10}}},
        {"range": {"stats.orders": {"gt": 7}}},
        {"range": {"metadata.name": {"gt": 7}}},
        {"range": {"nothing": {"gt": 7}}},
        {"exists": {"field": "nft.name"}},
        {"ids": {"values": []}},
        {"bool": {"must": [{"match_all": {}}, {"term": {"chainId": 1}}]}},
        {"bool": {"filter": [{"term": {"chainId": 1}}]}},
        {"bool": {"should": [{"term": {"chainId": 1}}]}},
        {"bool": {"must": [{"match_all": {}}], "should": [{"term": {"a": 1}}], "minimum_should_match": 1}},
        {"bool": {"must_not": {"match_all": {}}}},
        text("snow"),
        text("rain AND snow"),
        text("rain snow", default_operator="and"),
        text("-rain"),
        text("+snow rain"),
        text("rain NOT sun"),
        text('"since sun"'),
        text("metadata.author:rain"),
        text("weather snow ice", minimum_should_match="2<75%"),
        text("hourly", fields=["metadata.author"]),
    ],
)
def test_it_does_not_match(query: Any) -> None:
    assert score(query) is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": {"fuzzy": {}}}, "query.fuzzy"),
        ({"query": {"term": {}, "match": {}}}, "query"),
        ({"query": {"term": {"a": 1, "b": 2}}}, "query.term"),
        ({"query": {"term": {"a": None}}}, "query.term.a"),
        ({"query": {"term": {"a": {"value": "b", "boost": -1}}}}, "query.term.a.boost"),
        ({"query": {"terms": {"a": [{}]}}}, "query.terms.a"),
        ({"query": {"match": {"a": {"query": "b", "fuzziness": 1}}}}, "query.match.a.fuzziness"),
        ({"query": {"range": {"a": {"gt": "now-1d"}}}}, "query.range.a"),
        ({"query": {"range": {"a": {"gt": 1, "format": "x"}}}}, "query.range.a.format"),
        ({"query": {"range": {"a": {"gt": True}}}}, "query.range.a"),
        ({"query": {"multi_match": {"query": "a", "type": "cross_fields"}}}, "query.multi_match.type"),
        ({"query": text("a^2")}, "query.query_string.query"),
        ({"query": text("/a/")}, "query.query_string.query"),
        ({"query": text("a:[1 TO 2]")}, "query.query_string.query"),
        ({"query": text("(a")}, "query.query_string.query"),
        ({"query": text("a)")}, "query.query_string.query"),
        ({"query": text("a AND")}, ""),
        ({"query": text("a -")}, "query.query_string.query"),
        ({"query": text("me*:a")}, "query.query_string.query"),
        ({"query": text("(" * 20 + "a" + ")" * 20)}, "query.query_string.query"),
        ({"query": text("a " * 65)}, "query.query_string.query"),
        ({"query": text("a" * 1001)}, "query.query_string.query"),
        ({"query": text("a", minimum_should_match="x")}, "query.query_string.query"),
        ({"query": text("a", default_operator="XOR")}, "query.query_string.default_operator"),
        ({"query": text("a", fields=["b^x"])}, "query.query_string.fields[0]"),
        ({"query": text("a", fuzzy_max_expansions=1)}, "query.query_string.fuzzy_max_expansions"),
        ({"query": {"bool": {"must": [{"match_all": {}}] * 200}}}, "query.bool.must[99]"),
        ({"sort": [{"a": {"order": "asc", "nested": {}}}]}, "sort.a.nested"),
        ({"sort": [1]}, "sort[0]"),
        ({"sort": ["a"] * 6}, "sort"),
        ({"from": -1}, "from"),
        ({"size": "10"}, "size"),
        ({"aggs": {"a": {"terms": {"field": "b"}, "aggs": {"c": {"terms": {"field": "d"}}}}}}, "aggs.a.aggs.c.terms"),
        ({"aggs": {"a": {"terms": {"field": "b", "order": {"x": "desc"}}}}}, "aggs.a.terms.order"),
        ({"aggs": {"a": {"terms": {"field": "b", "include": "x"}}}}, "aggs.a.terms.include"),
        ({"aggs": {str(n): {"sum": {"field": "b"}} for n in range(11)}}, "aggs"),
    ],
)
def test_what_is_wrong_is_named(body: Any, field: str) -> None:
    if not field:
        parse_search(body)  # an operator at the end says nothing
        return
    with pytest.raises(Invalid) as caught:
        parse_search(body)
    assert list(caught.value.errors) == [field]


def test_a_query_that_is_nested_without_end_is_refused() -> None:
    query: Any = {"match_all": {}}
    for _ in range(50):
        query = {"bool": {"must": query}}
    with pytest.raises(Invalid) as caught:
        parse_search({"query": query})
    assert "deep" in str(caught.value.errors)


def test_weights_rank() -> None:
    name = score(text("weather", fields=["metadata.name^10", "metadata.description"]))
    assert name == 10
    assert score({"bool": {"must": [text("weather")], "filter": [{"match_all": {}}], "boost": 3}}) == 3
    assert score({"bool": {"should": [{"match_all": {}}, text("rain"), text("snow")]}}) == 2


def test_the_order_of_results() -> None:
    bodies = [{"n": 3, "t": "b"}, {"n": 1, "t": "a"}, {"n": 2}, {"t": "c"}]

    def ordered(sort: Any) -> list[int]:
        order = parse_search({"sort": sort}).order
        return sorted(range(4), key=lambda place: (ranked(order, Document(bodies[place]), place), place))

    assert ordered({"n": "asc"}) == [1, 2, 0, 3]
    assert ordered({"n": "desc"}) == [0, 2, 1, 3]
    assert ordered([{"t": {"order": "desc"}}]) == [3, 0, 1, 2]
    assert ordered(["t.keyword", "_score"]) == [1, 0, 3, 2]
    assert ordered(None) == [3, 2, 1, 0]


def test_what_need_not_be_looked_at() -> None:
    def narrowed(query: Any) -> Narrowing:
        return parse_search({"query": query}).narrowing

    assert narrowed(None) == Narrowing()
    assert narrowed({"ids": {"values": [DID.upper().replace("DID:OP", "did:op")]}}).dids == {DID}
    assert narrowed({"term": {"nft.owner": OWNER}}).owners == {OWNER}
    both = {
        "bool": {"filter": [[], {"terms": {"chainId": [1, "2", "x"]}}], "must": {"term": {"metadata.type": "dataset"}}}
    }
    assert narrowed(both) == Narrowing(chain_ids={1, 2}, types={"dataset"})
    assert narrowed({"bool": {"should": [{"term": {"chainId": 1}}]}}) == Narrowing()
    assert narrowed({"bool": {"must_not": [{"term": {"chainId": 1}}]}}) == Narrowing()


def test_sums() -> None:
    wanted = {
        "top": {
            "terms": {"field": "owner.keyword", "order": {"sales": "desc"}, "size": 2},
            "aggs": {"sales": {"sum": {"field": "orders"}}},
        },
        "all": {"sum": {"field": "orders"}},
        "mean": {"avg": {"field": "orders"}},
        "none": {"max": {"field": "nothing"}},
        "count": {"value_count": {"field": "owner"}},
    }
    totals = Totals(parse_search({"aggs": wanted}).sums)
    for owner, orders in (("a", 1), ("b", 5), ("a", 2), ("c", 0), ("c", "many"), ("c", 10**400)):
        totals.add(Document({"owner": owner, "orders": orders}))
    answer = totals.answer()
    assert [(one["key"], one["doc_count"], one["sales"]["value"]) for one in answer["top"]["buckets"]] == [
        ("b", 1, 5.0),
        ("a", 2, 3.0),
    ]
    assert answer["top"]["sum_other_doc_count"] == 3
    assert [answer[name]["value"] for name in ("all", "mean", "none", "count")] == [8.0, 2.0, None, 6]


@pytest.mark.parametrize(
    ("spec", "optional", "wanted"),
    [(2, 3, 2), ("-1", 3, 2), ("75%", 4, 3), ("-25%", 4, 3), ("2<75%", 2, 2), ("2<75%", 4, 3), ("2<-25% 9<-3", 10, 7), (9, 3, 3)],
)  # fmt: skip
def test_how_many_must_match(spec: object, optional: int, wanted: int) -> None:
    assert least(spec, optional, "field") == wanted


@given(st.text("ab", max_size=8), st.text("ab*?", max_size=8))
def test_patterns_fit_as_file_names_do(text: str, pattern: str) -> None:
    import fnmatch  # noqa: PLC0415 - the other way to say it

    assert fits(text, pattern_of(pattern)) == fnmatch.fnmatchcase(text, pattern)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["bool", "must", "should", "filter", "term", "terms", "match", "query_string", "query", "fields", "range", "gt",
         "ids", "values", "id", "nft.owner", "chainId", "exists", "field", "boost", "minimum_should_match", "wildcard"]
    ), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.fixed_dictionaries({}, optional={"query": json_values, "sort": json_values, "aggs": json_values}))
def test_nothing_that_is_asked_is_our_fault(body: Any) -> None:
    try:
        search = parse_search(body)
    except Invalid:
        return
    document = Document(BODY | {"nft": {"address": NFT}})
    found = search.score(document)
    if found is not None:
        ranked(search.order, document, found)
        Totals(search.sums).add(document)


@given(st.text(alphabet='ab ()+-"*?:\\ANDORT!~', max_size=40))
def test_no_text_is_our_fault(query: str) -> None:
    try:
        search = parse_search({"query": text(query)})
    except Invalid:
        return
    search.score(Document(BODY))
