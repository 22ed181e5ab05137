"""The small HTTP client for nodes, against servers that write their answers byte by byte as the test says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
from tests.support.certificates import self_signed

from cove.ledgers.http_line import HttpLine, LineError, Target, TooLargeError

OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"Content-Length: 2\r\n\r\nhi"


@dataclass
class Server:
    """Gives the answers in turn, each in the pieces that it is given in; None closes the connection."""

    answers: list[Sequence[bytes | None]]
    port: int = 0
    #: What came in, one entry per request.
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    lines: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.lines.append((task, writer))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                for piece in self.answers.pop(0) if self.answers else [PLAIN]:
                    if piece is None:
                        writer.close()
                        break
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                else:
                    continue
                break
        writer.close()

    async def hang_up(self) -> None:
        for _, writer in self.lines:
            writer.transport.abort()
        await asyncio.gather(*(task for task, _ in self.lines))


@contextlib.asynccontextmanager
async def server(*answers: Sequence[bytes | None], tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    made = Server(list(answers))
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = listening.sockets[0].getsockname()[1]
    async with listening:
        try:
            yield made
        finally:
            await made.hang_up()


def line_to(made: Server, path: str = "/", max_answer: int = 1000) -> HttpLine:
    return HttpLine(Target.of(f"http://127.0.0.1:{made.port}{path}"), max_answer)


@pytest.mark.parametrize(
    "pieces",
    [
        [PLAIN],
        [PLAIN[:9], PLAIN[9:30], PLAIN[30:]],
        [bytes([byte]) for byte in PLAIN],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n", b"1\r\ni\r\n0\r\n\r\n"],
        [OK + b"Connection: close\r\n\r\nh", b"i", None],
        [b"HTTP/1.0 200 OK\r\n\r\nhi", None],
    ],
)
async def test_an_answer_in_any_form_is_read_whole(pieces: Sequence[bytes | None]) -> None:
    async with server(pieces, [PLAIN]) as made:
        line = line_to(made)
        assert (await line.post(b"{}")).content == b"hi"
        assert (await line.post(b"{}")).content == b"hi"
        assert made.connections == (2 if None in pieces else 1)
        line.close()


def test_it_works_in_the_loop_of_the_server() -> None:
    async def asked() -> bytes:
        async with server() as made:
            line = line_to(made)
            answers = [await line.post(b"{}") for _ in range(3)]
            line.close()
            assert made.connections == 1
            return answers[-1].content

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(asked()) == b"hi"


async def test_what_goes_out() -> None:
    async with server() as made:
        line = HttpLine(Target.of(f"http://us%40er:pass@127.0.0.1:{made.port}/v3/key?a=b#c"), 1000)
        await line.post(b'{"a":1}')
        line.close()
        assert made.requests[0].decode().split("\r\n") == [
            "POST /v3/key?a=b HTTP/1.1",
            f"Host: 127.0.0.1:{made.port}",
            "Content-Type: application/json",
            "Accept: */*",
            "Authorization: Basic dXNAZXI6cGFzcw==",
            "Content-Length: 7",
            "",
            '{"a":1}',
        ]


async def test_status_and_wish_to_be_left_alone_are_given() -> None:
    async with server([b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"]) as made:
        answer = await line_to(made).post(b"{}")
    assert (answer.status, answer.retry_after, answer.content) == (429, "7", b"")


@pytest.mark.parametrize(
    "pieces",
    [[None], [b"HTTP/1.1 200", None], [OK + b"Content-Length: 5\r\n\r\nhi", None], [b"SSH-2.0\r\n"], [b"\0" * 100]],
)
async def test_what_is_cut_off_or_no_http_is_an_error(pieces: Sequence[bytes | None]) -> None:
    async with server(pieces) as made:
        line = line_to(made)
        with pytest.raises(LineError) as caught:
            await line.post(b"{}")
        assert caught.value.sent
        assert (await line.post(b"{}")).content == b"hi"
        line.close()


async def test_an_answer_has_a_largest_size() -> None:
    async with server([OK + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001]) as made:
        with pytest.raises(TooLargeError):
            await line_to(made).post(b"{}")


async def test_a_connection_with_more_than_was_asked_for_is_not_used_again() -> None:
    async with server([PLAIN + PLAIN]) as made:
        line = line_to(made)
        assert (await line.post(b"{}")).content == b"hi"
        assert (await line.post(b"{}")).content == b"hi"
        assert made.connections == 2
        line.close()


async def test_idle_connections_are_not_used_for_long() -> None:
    now = [0.0]
    async with server() as made:
        line = HttpLine(Target.of(f"http://127.0.0.1:{made.port}/"), 1000, monotonic=lambda: now[0])
        for seconds, connections in ((0.0, 1), (3.0, 1), (10.0, 2)):
            now[0] += seconds
            await line.post(b"{}")
            assert made.connections == connections
        line.close()


async def test_a_call_that_is_given_up_takes_its_connection_with_it() -> None:
    async with server([OK]) as made:
        line = line_to(made)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await line.post(b"{}")
        assert (await line.post(b"{}")).content == b"hi"
        assert made.connections == 2
        line.close()


async def test_connections_have_a_limit() -> None:
    async with server() as made:
        line = HttpLine(Target.of(f"http://127.0.0.1:{made.port}/"), 1000, 3)
        assert len(await asyncio.gather(*(line.post(b"{}") for _ in range(20)))) == 20
        assert made.connections == 3
        line.close()


async def test_nothing_was_sent_where_nobody_listens() -> None:
    with pytest.raises(LineError) as caught:
        await HttpLine(Target.of("http://127.0.0.1:1/"), 1000).post(b"{}")
    assert not caught.value.sent


async def test_a_node_without_tls_is_no_node_with_it() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 No\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(LineError) as caught:
            await HttpLine(Target.of(f"https://127.0.0.1:{port}/"), 1000).post(b"{}")
    assert not caught.value.sent


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_certificates_are_checked(tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def asked() -> None:
        async with server(tls=context) as made:
            target = Target.of(f"https://127.0.0.1:{made.port}/")
            trusting = HttpLine(target, 1000, tls=ssl.create_default_context(cafile=str(certificate)))
            for _ in range(2):
                assert (await trusting.post(b"{}")).content == b"hi"
            trusting.close()
            with pytest.raises(LineError) as caught:
                await HttpLine(target, 1000).post(b"{}")
            assert not caught.value.sent
            assert len(made.requests) == 2

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asked())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://x/",
        "http://",
        "http://[",
        "http://x:99999/",
        "http://x:y/",
        "http://x/a b",
        "http://x/\u00e9",
        "//x",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Target.of(url)


def test_a_target_does_not_show_its_path() -> None:
    assert "key" not in repr(Target.of("https://user:key@node.example/v3/key"))
    assert Target.of("https://node.example").port == 443
    assert Target.of("http://[::1]/").head.startswith(b"POST / HTTP/1.1\r\nHost: [::1]\r\n")
