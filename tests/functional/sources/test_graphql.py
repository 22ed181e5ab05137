"""GraphQL queries to a server on loopback."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from tests.support.http_server import Server, serving

from cove.core.errors import DataMissing
from cove.core.files import GraphqlFile
from cove.sources.graphql import GraphqlSource
from cove.sources.guard import AddressGuard
from cove.sources.url import UrlSource

QUERY = "query Rows($who: String) { rows(who: $who) { id } }"
ANSWER = b'{"data":{"rows":[]}}'


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def source_of(*servers: Server) -> GraphqlSource:
    allowed = [f"127.0.0.1:{server.port}" for server in servers]
    return GraphqlSource(UrlSource(AddressGuard(allowed), max_bytes=1 << 20, stall_seconds=5))


def read(source: GraphqlSource, file: GraphqlFile) -> bytes:
    buffer = memoryview(bytearray(1000))
    with contextlib.closing(source.open(file)) as reader:
        return bytes(buffer[: reader.readinto(buffer)])


def test_the_query_is_posted_with_the_consumers_parameters(server: Server) -> None:
    server.serve(ANSWER, headers="Content-Type: application/json; charset=utf-8\r\n")
    headers = (("X-Key", "k"), ("content-type", "text/plain"))
    file = GraphqlFile(server.url("/file?a=1"), QUERY, headers, '{"who": "é", "n": 1}')
    assert read(source_of(server), file) == ANSWER
    facts = source_of(server).info(file)
    assert (facts.content_type, facts.filename, facts.content_length) == (
        "application/json",
        "graphql.json",
        len(ANSWER),
    )
    for asked in server.asked:
        assert (asked.method, asked.target, asked.headers["x-key"]) == ("POST", "/file?a=1", "k")
        assert asked.headers["content-type"] == "application/json"
        assert json.loads(asked.body) == {"query": QUERY, "variables": {"who": "é", "n": 1}}


@pytest.mark.parametrize("status", [307, 308])
def test_a_query_follows_its_server(server: Server, status: int) -> None:
    server.serve(ANSWER)
    server.redirect(server.url(), "/old", status)
    assert read(source_of(server), GraphqlFile(server.url("/old"), QUERY)) == ANSWER
    assert json.loads(server.asked[-1].body)["query"] == QUERY


def test_a_query_goes_nowhere_else(server: Server) -> None:
    with serving() as other:
        other.serve(ANSWER)
        for location, status in ((other.url(), 307), (server.url(), 302), (server.url(), 303)):
            server.redirect(location, "/old", status)
            with pytest.raises(DataMissing, match="not meant to go"):
                source_of(server, other).open(GraphqlFile(server.url("/old"), QUERY))
        assert not other.asked


def test_a_private_address_is_not_asked(server: Server) -> None:
    file = GraphqlFile(server.url(), QUERY)
    assert not source_of().info(file).valid
    with pytest.raises(DataMissing, match="not allowed"):
        source_of().open(file)
    assert not server.asked


def test_a_server_that_refuses(server: Server) -> None:
    server.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    assert not source_of(server).info(GraphqlFile(server.url(), QUERY)).valid
    with pytest.raises(DataMissing, match="status 400"):
        source_of(server).open(GraphqlFile(server.url(), QUERY))
