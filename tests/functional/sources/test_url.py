from __future__ import annotations

import contextlib
import gzip
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.certificates import self_signed
from tests.support.http_server import Asked, Server, serving
from tests.support.ports import closed_port

from cove.core.errors import DataMissing
from cove.core.files import UrlFile
from cove.sources.copying import copy_to
from cove.sources.guard import AddressGuard
from cove.sources.url import UrlReader, UrlSource

SECRET = "s3cret"
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def source_of(*servers: Server, stall: float = 5.0, total: float = 20.0, most: int = 1 << 20) -> UrlSource:
    guard = AddressGuard([f"{server.host}:{server.port}" for server in servers])
    return UrlSource(guard, max_bytes=most, stall_seconds=stall, total_seconds=total)


def read(reader: UrlReader) -> bytes:
    buffer = memoryview(bytearray(1 << 16))
    parts = []
    with contextlib.closing(reader):
        while count := reader.readinto(buffer):
            parts.append(bytes(buffer[:count]))
    return b"".join(parts)


def problem(source: UrlSource, file: UrlFile, offset: int = 0) -> str:
    with pytest.raises(DataMissing) as caught:
        read(source.open(file, offset))
    assert SECRET not in f"{caught.value!r} {caught.value.hint}"
    return caught.value.message


# ------------------------------------------------------------------------------------------------ what is asked


def test_a_request_has_what_the_owner_wrote_and_nothing_that_unpacks(server: Server) -> None:
    server.serve(b"x")
    file = UrlFile(server.url("/file?a=1"), "POST", (("X-Key", SECRET),), '{"b": "2 3", "a": "9"}')
    assert read(source_of(server).open(file)) == b"x"
    asked = server.asked[0]
    assert (asked.method, asked.target) == ("POST", "/file?a=1&b=2+3")
    assert asked.headers["x-key"] == SECRET
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert "range" not in asked.headers
    assert "proxy" not in str(asked.headers)


def test_packed_bytes_stay_packed(server: Server) -> None:
    packed = gzip.compress(b"x" * 1000)
    server.serve(packed, headers="Content-Encoding: gzip\r\n")
    assert read(source_of(server).open(UrlFile(server.url()))) == packed


def test_proxies_of_the_environment_are_not_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve(b"direct")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert read(source_of(server).open(UrlFile(server.url()))) == b"direct"


# ------------------------------------------------------------------------------------------------ what is answered


def test_chunks_and_an_open_end(server: Server) -> None:
    server.say(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    reader = source_of(server).open(UrlFile(server.url()))
    assert reader.length is None
    assert read(reader) == b"abcde"
    server.say(b"HTTP/1.0 200 OK\r\n\r\nabc")
    assert read(source_of(server).open(UrlFile(server.url()))) == b"abc"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (OK + b"Content-Length: 5\r\n\r\nabc", "broke off"),
        (OK + b"Content-Length: 3\r\n\r\nabcde", "more bytes than it announced"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcde", "more bytes than it announced"),
        (OK + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", "not framed"),
        (OK + b"Content-Length: -3\r\n\r\nabc", "not framed"),
        (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "not framed"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "broke off"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n", "not framed"),
        (OK + b"Content-Length: 2000000\r\n\r\nabc", "larger"),
        (OK + b"X: " + b"s3cret" * 20000 + b"\r\n\r\n", "not HTTP"),
        (OK + b"X: s3cret\r\n" * 200 + b"\r\n", "not HTTP"),
        (b"s3cret nonsense\r\n\r\n", "not HTTP"),
        (b"", "failed"),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-2/9\r\nContent-Length: 3\r\n\r\nabc", "another part"),
        (b"HTTP/1.1 401 s3cret\r\n\r\n", "status 401"),
        (b"HTTP/1.1 410 Gone\r\n\r\n", "no such file"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "status 204"),
        (b"HTTP/1.1 500 s3cret\r\n\r\n", "status 500"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "malformed URL"),
    ],
)
def test_answers_that_are_no_file(server: Server, raw: bytes, text: str) -> None:
    server.say(raw)
    assert text in problem(source_of(server), UrlFile(server.url(f"/file?{SECRET}")))


@pytest.mark.parametrize("part", ["bytes 0-2/9", "bytes 4-6/9", "bytes */9", "lines 3-5/9", "bytes 3-5/9s3cret", ""])
def test_another_part_than_was_asked_for(server: Server, part: str) -> None:
    head = f"HTTP/1.1 206 Partial Content\r\nContent-Range: {part}\r\nContent-Length: 3\r\n\r\n"
    server.say(head.encode() + b"abc")
    assert "another part" in problem(source_of(server), UrlFile(server.url()), 3)


def test_a_file_that_ended_before_the_offset(server: Server) -> None:
    server.serve(b"abc", ranges=False)
    assert "shorter" in problem(source_of(server), UrlFile(server.url()), 4)
    server.serve(b"abc")
    assert "status 416" in problem(source_of(server), UrlFile(server.url()), 4)


# ------------------------------------------------------------------------------------------------ time and size


def test_a_server_without_end_is_cut_at_the_limit(server: Server) -> None:
    server.drip(OK + b"\r\n", b"x" * 65536, seconds=0)
    assert "larger" in problem(source_of(server), UrlFile(server.url()))
    server.drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n", seconds=0)
    assert "larger" in problem(source_of(server), UrlFile(server.url()))


def test_silence_before_and_in_the_body_is_given_up(server: Server) -> None:
    for first in (b"", b"HTTP/1.1 200", OK, OK + b"Content-Length: 9\r\n\r\nabc"):
        server.hang(first)
        assert "in time" in problem(source_of(server, stall=0.2), UrlFile(server.url()))


def test_headers_that_drip_are_given_up(server: Server) -> None:
    server.drip(OK + b"X: ", b"x")
    assert "in time" in problem(source_of(server, stall=0.3), UrlFile(server.url()))
    server.drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    assert "in time" in problem(source_of(server, stall=0.3), UrlFile(server.url()))


def test_a_body_that_drips_is_given_up(server: Server) -> None:
    server.drip(OK + b"\r\n", b"x")
    assert "too slowly" in problem(source_of(server, stall=0.3), UrlFile(server.url()))


def test_trailers_that_drip_are_given_up(server: Server) -> None:
    server.drip(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"x")
    assert "longer than the time" in problem(source_of(server, total=0.3), UrlFile(server.url()))


def test_a_whole_file_has_a_time_limit(server: Server) -> None:
    server.drip(OK + b"\r\n", b"x" * 500)
    assert "longer than the time" in problem(source_of(server, total=0.3), UrlFile(server.url()))


def test_a_close_from_another_thread_ends_a_read(server: Server) -> None:
    server.hang(OK + b"Content-Length: 9\r\n\r\nabc")
    reader = source_of(server).open(UrlFile(server.url()))
    buffer = memoryview(bytearray(9))
    assert reader.readinto(buffer) == 3
    closing = threading.Timer(0.05, reader.close)
    closing.start()
    with pytest.raises(DataMissing, match="closed"):
        reader.readinto(buffer)
    closing.join()


def test_a_stop_does_not_wait_for_a_silent_server(server: Server, tmp_path: Path) -> None:
    server.hang(OK + b"Content-Length: 9\r\n\r\nabc")
    stop = threading.Event()
    reader = source_of(server).open(UrlFile(server.url()))
    descriptor = os.open(tmp_path / "target", os.O_WRONLY | os.O_CREAT)
    threading.Timer(0.05, stop.set).start()
    try:
        copy_to(reader, descriptor, limit_bytes=None, stop=stop.is_set)
    finally:
        os.close(descriptor)
        reader.close()
    assert stop.is_set()


def test_no_thread_and_no_connection_is_left(server: Server) -> None:
    server.serve(b"x" * 1000)
    server.say(b"nonsense\r\n", "/bad")
    source = source_of(server)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    for _ in range(5):
        source.info(UrlFile(server.url()))
        read(source.open(UrlFile(server.url())))
        problem(source, UrlFile(server.url("/bad")))
    ours = [
        thread
        for thread in threading.enumerate()
        if isinstance(thread, threading.Timer) and not thread.finished.is_set()
    ]
    assert ours == []
    deadline = threading.Event()
    for _ in range(2400):
        if len(os.listdir("/proc/self/fd")) <= before:  # noqa: PTH208
            return
        deadline.wait(0.05)  # the server's own ends close in its threads
    pytest.fail("connections were left open")


# ------------------------------------------------------------------------------------------------ where it goes


def test_this_host_is_not_asked(server: Server) -> None:
    server.serve(b"private")
    source = UrlSource(AddressGuard(), max_bytes=1 << 20)
    for host in ("127.0.0.1", "localhost", "0x7f.1", "2130706433", "017700000001", "127.1", "[::1]", "[::ffff:127.0.0.1]",
                 "[::ffff:7f00:1]", "[64:ff9b::127.0.0.1]", "[::]", "0", "169.254.169.254", "[fd00:ec2::254]"):  # fmt: skip
        file = UrlFile(f"http://{host}:{server.port}/file?{SECRET}")
        assert "not allowed" in problem(source, file)
        assert not source.info(file).valid
    assert server.asked == []


def test_a_redirect_is_checked_again(server: Server) -> None:
    with serving() as private:
        private.serve(b"private")
        for location in (private.url(), f"//127.0.0.1:{private.port}/file", f"http://0x7f.1:{private.port}/file"):
            server.redirect(location)
            assert "not allowed" in problem(source_of(server), UrlFile(server.url()))
            assert not source_of(server).info(UrlFile(server.url())).valid
        assert private.asked == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://h/", "http://a:b@h/", "http://[::1"])
def test_a_redirect_elsewhere_is_refused(server: Server, location: str) -> None:
    server.redirect(location)
    assert "malformed URL" in problem(source_of(server), UrlFile(server.url()))


def test_redirects_have_an_end(server: Server) -> None:
    server.redirect("/file")
    assert "more than 5 times" in problem(source_of(server), UrlFile(server.url()))
    assert len(server.asked) == 6


def test_keys_go_to_their_own_server_alone(server: Server) -> None:
    with serving() as other:
        other.serve(b"abcdef")
        server.redirect("/next")
        server.redirect(other.url(), "/next")
        file = UrlFile(server.url(), headers=(("Authorization", SECRET),))
        assert read(source_of(server, other).open(file, 2)) == b"cdef"
        assert [asked.headers.get("authorization") for asked in server.asked] == [SECRET, SECRET]
        assert "authorization" not in other.asked[0].headers
        assert other.asked[0].headers["range"] == "bytes=2-"


def test_a_redirected_post_becomes_a_get_where_http_says_so(server: Server) -> None:
    server.serve(b"x", "/next")
    for status in (302, 307):
        server.redirect("/next", status=status)
        assert read(source_of(server).open(UrlFile(server.url(), "POST"))) == b"x"
    assert [asked.method for asked in server.asked] == ["POST", "GET", "POST", "POST"]


# ------------------------------------------------------------------------------------------------ facts


def test_facts_from_servers_that_refuse_head(server: Server) -> None:
    server.serve(b"abcdef", "/good")
    good = server.handlers["/good"]

    def no_head(connection: socket.socket, asked: Asked) -> None:
        if asked.method == "HEAD":
            connection.sendall(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
        else:
            good(connection, asked)

    server.handlers["/rows.csv"] = no_head
    facts = source_of(server).info(UrlFile(server.url("/rows.csv")))
    assert (facts.valid, facts.content_length, facts.filename) == (True, 6, "rows.csv")
    assert source_of(server).info(UrlFile(server.url("/good"), "POST")).content_length == 6


def test_facts_are_cleaned(server: Server) -> None:
    server.serve(
        b"abc",
        headers='Content-Type: Text/CSV; charset=x\r\nContent-Disposition: attachment; filename="../../a b.csv"\r\n',
    )
    facts = source_of(server).info(UrlFile(server.url()))
    assert (facts.content_type, facts.filename) == ("text/csv", ".._.._a b.csv")
    server.serve(b"abc", headers="Content-Type: <script>\r\nContent-Disposition: x; filename*=UTF-8''%C3%A9.csv\r\n")
    facts = source_of(server).info(UrlFile(server.url()))
    assert (facts.content_type, facts.filename) == ("", "é.csv")


def test_a_file_over_the_limit_is_not_valid(server: Server) -> None:
    server.serve(b"x" * 101)
    assert not source_of(server, most=100).info(UrlFile(server.url())).valid


# ------------------------------------------------------------------------------------------------ encryption


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as running:
        yield running


def trusting(server: Server, certificate: Path, *more: str) -> UrlSource:
    return UrlSource(
        AddressGuard([f"127.0.0.1:{server.port}", f"localhost:{server.port}", *more]),
        max_bytes=1 << 24,
        stall_seconds=5,
        tls=ssl.create_default_context(cafile=str(certificate)),
    )


def test_bytes_come_encrypted(secure: Server, certificate: Path) -> None:
    content = os.urandom(1_000_000)
    secure.serve(content)
    assert read(trusting(secure, certificate).open(UrlFile(secure.url()))) == content


def test_certificates_are_checked(secure: Server, certificate: Path) -> None:
    secure.serve(b"x")
    assert "certificate" in problem(source_of(secure), UrlFile(secure.url()))
    elsewhere = UrlFile(f"https://localhost:{secure.port}/file")
    assert "certificate" in problem(trusting(secure, certificate), elsewhere)
    assert secure.asked == []


def test_an_encrypted_body_that_is_cut_off_is_noticed(secure: Server, certificate: Path) -> None:
    def cut(connection: socket.socket, _: Asked) -> None:
        connection.sendall(OK + b"\r\nabc")
        socket.socket.shutdown(connection, socket.SHUT_RDWR)

    secure.handlers["/file"] = cut
    assert "encrypted connection failed" in problem(trusting(secure, certificate), UrlFile(secure.url()))


def test_a_handshake_that_hangs_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        source = UrlSource(AddressGuard([f"127.0.0.1:{port}"]), max_bytes=1, stall_seconds=0.2)
        assert "in time" in problem(source, UrlFile(f"https://127.0.0.1:{port}/"))


def test_encryption_is_not_given_up_by_a_redirect(secure: Server, server: Server, certificate: Path) -> None:
    server.serve(b"clear")
    secure.redirect(server.url())
    source = trusting(secure, certificate, f"127.0.0.1:{server.port}")
    assert "from https to http" in problem(source, UrlFile(secure.url()))
    assert server.asked == []


def test_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as holder:
        port = closed_port(holder)
        source = UrlSource(AddressGuard([f"127.0.0.1:{port}"]), max_bytes=1, stall_seconds=2)
        assert "cannot be reached" in problem(source, UrlFile(f"http://127.0.0.1:{port}/{SECRET}"))
