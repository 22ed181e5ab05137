"""Objects that are sent in parts, to a server that checks S3's signatures and keeps what S3 would keep."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
from tests.functional.sources.test_sending import KEY, NOW, Pieces
from tests.support.aws import KEY_ID, SECRET_KEY, keep_out
from tests.support.http_server import Asked, Server, serving

from cove.core.errors import Refused, Unavailable
from cove.core.files import S3File
from cove.ports.deliveries import Parcel
from cove.sources.guard import AddressGuard
from cove.sources.http_exchange import Limits
from cove.sources.multipart import Sized
from cove.sources.sending import GuardedSender

PATH = "/bucket/in/a%20b"
ROWS = bytes(range(256)) * 10
ID = "x/+&amp;y"


@dataclass
class Bucket:
    """What S3 keeps, and what it is told to do wrong."""

    server: Server
    parts: dict[int, bytes] = field(default_factory=dict)
    whole: bytes | None = None
    aborted: int = 0
    #: By ``method number``: a whole answer instead of its own.
    wrong: dict[str, bytes] = field(default_factory=dict)

    def answer(self, connection: socket.socket, asked: Asked) -> None:
        query = parse_qs(asked.target.partition("?")[2], keep_blank_values=True)
        number = query.get("partNumber", [""])[0]
        assert "uploads" in query or query["uploadId"] == ["x/+&y"]
        if said := self.wrong.get(f"{asked.method} {'new' if 'uploads' in query else number}".strip()):
            connection.sendall(said)
            return
        body, head = b"", ""
        match asked.method:
            case "POST" if "uploads" in query:
                body = f"<R><UploadId>{ID}</UploadId></R>".encode()
            case "POST":
                listed = re.findall(r"<PartNumber>(\d+)</PartNumber><ETag>\"e(\d+)\"</ETag>", asked.body.decode())
                assert [int(one) for one, _ in listed] == sorted(self.parts) == [int(tag) for _, tag in listed]
                self.whole = b"".join(self.parts[one] for one in sorted(self.parts))
                body = b'<?xml version="1.0"?>\n\n<CompleteMultipartUploadResult xmlns="x"/>'
            case "PUT":
                self.parts[int(number)] = asked.body
                head = f'ETag: "e{number}"\r\n'
            case "DELETE":
                self.aborted += 1
        connection.sendall(f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serving() as server:
        made = Bucket(server)
        server.handlers[PATH] = made.answer
        keep_out(server, PATH, {KEY_ID: SECRET_KEY}, now=NOW)
        yield made


def send(bucket: Bucket, content: Pieces, sized: Sized) -> None:
    guard = AddressGuard([f"127.0.0.1:{bucket.server.port}"])
    sender = GuardedSender(guard, Limits(5, 10), lambda: NOW, mark="1.1 cove-me", sized=sized)
    sender.send(Parcel(S3File(bucket.server.url(""), "bucket", "in/", KEY), "a b", content))


@pytest.mark.parametrize(("part", "count"), [(1000, 3), (1280, 2), (2559, 2), (100, 26)])
def test_the_parts_are_the_whole(bucket: Bucket, part: int, count: int) -> None:
    send(bucket, Pieces(ROWS), Sized(100, part))
    assert (bucket.whole, len(bucket.parts), bucket.aborted) == (ROWS, count, 0)


def test_what_fits_goes_in_one_piece(bucket: Bucket) -> None:
    bucket.server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", PATH)
    send(bucket, Pieces(ROWS), Sized(len(ROWS), 1000))
    assert [asked.method for asked in bucket.server.asked] == ["PUT"]


def test_no_object_has_more_parts_than_s3_takes() -> None:
    assert Sized().of(1) == 64 << 20
    assert -(-(5 << 40) // Sized().of(5 << 40)) <= 10_000


@pytest.mark.parametrize(
    ("call", "said", "error"),
    [
        ("PUT 2", b"HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\ngeheim", Unavailable),
        ("PUT 2", b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", Refused),
        ("PUT 2", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Unavailable),
        ("PUT 3", b"HTTP/1.1 302 No\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n", Unavailable),
        ("POST", b"HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n<Error><Code>InternalError</Code></Err", Unavailable),
    ],
)
def test_what_fails_on_the_way_is_aborted(
    bucket: Bucket, call: str, said: bytes, error: type[Refused | Unavailable]
) -> None:
    bucket.wrong[call] = said
    with pytest.raises(error) as caught:
        send(bucket, Pieces(ROWS), Sized(100, 1000))
    assert "geheim" not in f"{caught.value.message} {caught.value.hint}"
    assert (bucket.whole, bucket.aborted) == (None, 1)


def test_what_was_never_begun_is_not_aborted(bucket: Bucket) -> None:
    bucket.wrong["POST new"] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n<>"
    with pytest.raises(Unavailable, match="as S3 does"):
        send(bucket, Pieces(ROWS), Sized(100, 1000))
    assert bucket.aborted == 0


class Short(Pieces):
    """Says that it has more than it has, as a result that is cut."""

    def chunks(self) -> Iterator[bytes]:
        yield self.content[:1500]


def test_a_result_that_is_cut_is_aborted(bucket: Bucket) -> None:
    with pytest.raises(Unavailable, match="shorter"):
        send(bucket, Short(ROWS), Sized(100, 1000))
    assert (bucket.whole, bucket.aborted) == (None, 1)
