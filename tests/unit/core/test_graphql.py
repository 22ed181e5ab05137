from __future__ import annotations

import time

import pytest

from cove.core.graphql import MAX_QUERY, is_query


@pytest.mark.parametrize(
    "text",
    [
        "{ rows }",
        "query { rows }",
        "query Rows($mutation: Int = 1) @live { mutation(subscription: $mutation) { mutation } }",
        'query { rows(where: "} mutation { drop }") { id } }',
        'query { rows(where: """ } " \\""" mutation { drop } """) { id } }',
        "# mutation { drop }\nquery { rows }",
        "fragment F on Row { id } query { rows { ...F } } # } mutation",
        '{ a(b: "\\"") c(d: "") }',
    ],
)
def test_what_only_asks(text: str) -> None:
    assert is_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "query",
        "# { }",
        "mutation { drop }",
        "subscription { rows }",
        "\ufeff ,, mutation{drop}",
        "# a comment\r mutation { drop }",
        "query A { rows } mutation B { drop }",
        "fragment F on Row { id } mutation { drop { ...F } }",
        '"""a description""" mutation { drop }',
        '{ a(b: "\\\\") } mutation { c(d: "") }',
        '{ a(b: """ \\\\""") } mutation { c(d: """ """) }',
        '{ a(b: "open) }',
        '{ a(b: """open) }',
        "{ rows",
        "rows }",
        "} mutation {",
    ],
)
def test_what_changes_something_or_is_no_query(text: str) -> None:
    assert not is_query(text)


@pytest.mark.parametrize("piece", ['"""\\', '"', "\\", '"\\', "{", "#", '""', "{}("])
def test_hostile_texts_take_no_time(piece: str) -> None:
    began = time.process_time()
    is_query(piece * (MAX_QUERY // len(piece)))
    assert time.process_time() - began < 1
