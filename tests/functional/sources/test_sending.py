"""Files sent to servers on loopback: one that checks S3's signatures by itself, and others that misbehave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.aws import KEY_ID, REGION, SECRET_KEY, keep_out
from tests.support.http_server import Server, serving

from cove.core.errors import Refused, Unavailable
from cove.core.files import S3File
from cove.core.output import UrlPlace
from cove.core.sigv4 import AwsKey
from cove.ports.deliveries import Parcel
from cove.sources.guard import AddressGuard
from cove.sources.http_exchange import Limits
from cove.sources.sending import GuardedSender

NOW = 1_700_000_000.0
KEY = AwsKey(REGION, KEY_ID, SECRET_KEY)
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Pieces:
    """A content of two pieces, read as often as is wanted."""

    def __init__(self, content: bytes = b"rows of a table") -> None:
        self.content = content
        self.size = len(content)

    def chunks(self) -> Iterator[bytes]:
        middle = self.size // 2
        yield self.content[:middle]
        yield self.content[middle:]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def sender(*servers: Server, total: float = 10, stall: float = 5) -> GuardedSender:
    guard = AddressGuard([f"127.0.0.1:{server.port}" for server in servers])
    return GuardedSender(guard, Limits(stall, total), lambda: NOW, mark="1.1 cove-me")


@pytest.mark.parametrize(
    ("key", "name", "path"),
    [
        ("in/", "a b/é+~(1)%?#.csv", "/bucket/in/a%20b/%C3%A9%2B~%281%29%25%3F%23.csv"),
        ("in/", "\udcff", "/bucket/in/%25FF"),
        ("one.tar", "", "/bucket/one.tar"),
    ],
)
def test_an_object_is_put_with_a_signature_over_its_bytes(server: Server, key: str, name: str, path: str) -> None:
    server.say(TAKEN, path)
    keep_out(server, path, {KEY_ID: SECRET_KEY}, now=NOW)
    place = S3File(server.url(""), "bucket", key, KEY)
    sender(server).send(Parcel(place, name, Pieces()))
    assert server.asked[0].body == b"rows of a table"
    with pytest.raises(Unavailable, match="status 403"):
        sender(server).send(Parcel(replace(place, key=replace(KEY, secret_access_key="other")), name, Pieces()))


def test_a_server_gets_the_file_with_what_its_owner_wants_sent(server: Server) -> None:
    server.say(TAKEN, "/in/a%20b")
    place = UrlPlace(server.url("/in/?sig=a%2Fb"), "PUT", (("content-type", "text/csv"), ("X-Kind", "block")))
    sender(server).send(Parcel(place, "a b", Pieces()))
    (asked,) = server.asked
    assert (asked.method, asked.target, asked.body) == ("PUT", "/in/a%20b?sig=a%2Fb", b"rows of a table")
    assert asked.headers["content-type"] == "text/csv"
    assert asked.headers["x-kind"] == "block"
    assert asked.headers["via"] == "1.1 cove-me"


def test_an_empty_file_is_sent_too(server: Server) -> None:
    server.say(TAKEN)
    sender(server).send(Parcel(UrlPlace(server.url()), "", Pieces(b"")))
    assert server.asked[0].headers["content-length"] == "0"


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", Unavailable, "status 302"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\ngeheim", Unavailable, "status 500"),
        (b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", Refused, "status 413"),
        (b"geheim\r\n\r\n", Unavailable, "not HTTP"),
        (b"", Unavailable, "storage"),
    ],
)
def test_what_is_not_taken_is_said_without_anything_that_was_answered(
    server: Server, answer: bytes, error: type[Refused | Unavailable], text: str
) -> None:
    server.say(answer)
    with pytest.raises(error) as caught:
        sender(server).send(Parcel(UrlPlace(server.url("/file?geheim")), "", Pieces()))
    said = f"{caught.value.message} {caught.value.hint}"
    assert text in said
    assert "geheim" not in said
    assert "source" not in said
    assert len(server.asked) == 1


def test_who_refuses_before_all_is_sent_is_heard() -> None:
    import socket  # noqa: PLC0415 - here alone
    import threading  # noqa: PLC0415 - likewise

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 20):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        port = listener.getsockname()[1]
        made = GuardedSender(AddressGuard([f"127.0.0.1:{port}"]), Limits(5, 10), lambda: NOW)
        with pytest.raises(Refused, match="not_taken"):
            made.send(Parcel(UrlPlace(f"http://127.0.0.1:{port}/x"), "", Pieces(bytes(1 << 22))))
        thread.join(120)


def test_a_server_that_hangs_holds_no_thread_for_ever(server: Server) -> None:
    server.hang(b"HTTP/1.1 200")
    with pytest.raises(Unavailable):
        sender(server, total=0.5, stall=0.5).send(Parcel(UrlPlace(server.url()), "", Pieces()))


def test_private_addresses_are_for_those_that_the_owner_lists(server: Server) -> None:
    for place in (UrlPlace(server.url()), S3File(server.url(""), "bucket", "a", KEY)):
        with pytest.raises(Unavailable, match="not allowed"):
            sender().send(Parcel(place, "", Pieces()))
    assert server.asked == []
