"""What every gate does with a yes, a no, and everything else that a server may answer."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from tests.support.http_server import Asked, Server, serving

from cove.core.consent import Action, DecryptSubject, Question, Wanted
from cove.core.errors import ConsumerError, Forbidden, Invalid, TooMany, Unavailable
from cove.hooks import policy, rbac
from cove.hooks.asking import MAX_ANSWER_BYTES, Asker
from cove.ports import Gate

ME, ACCOUNT = "0x" + "1" * 40, "0x" + "2" * 40
DATASET = Wanted("did:op:" + "a" * 64, "1", '{"id": "did:op:a"}', "0x" + "3" * 64, 0)
ALGORITHM = Wanted("did:op:" + "b" * 64, "2", '{"id": "did:op:b"}')
JOB = Question(Action.COMPUTE, ACCOUNT, (DATASET,), ALGORITHM)
QUESTIONS = (
    JOB,
    replace(JOB, action=Action.INITIALIZE_COMPUTE),
    Question(Action.ENCRYPT, ""),
    Question(Action.INITIALIZE, ACCOUNT, (DATASET,)),
    Question(Action.DOWNLOAD, ACCOUNT, (DATASET,)),
)
SECRET = "k3y-in-the-url"


@dataclass(frozen=True)
class Shape:
    """One kind of server: how to reach it, and how it says yes and no."""

    open: Callable[[Asker], Gate]
    yes: bytes
    no: bytes
    refusal: type[ConsumerError]


SHAPES = {
    "rbac": Shape(lambda asker: rbac.RbacGate(asker, ME, lambda text: text), b"true", b"false", Invalid),
    "policy": Shape(lambda asker: policy.PolicyGate(asker, ME), b'{"success":true}', b'{"success":false}', Forbidden),
}


@pytest.fixture(params=list(SHAPES))
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
async def gate(shape: Shape, server: Server) -> AsyncIterator[Gate]:
    made = shape.open(Asker(server.url(f"/file?{SECRET}"), "site's server", timeout=5))
    yield made
    await made.close()


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.action)
async def test_a_yes_lets_through_and_a_no_does_not(
    gate: Gate, shape: Shape, server: Server, question: Question
) -> None:
    server.say(answer(shape.yes))
    await gate.ask(question)
    for request in server.asked:
        assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
        assert isinstance(json.loads(request.body), dict)
    server.say(answer(shape.no))
    with pytest.raises(shape.refusal):
        await gate.ask(question)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"garbage",
        answer(b"true", "302 Found\r\nLocation: /elsewhere"),
        answer(b"true", "500 Internal Server Error"),
        answer(b'{"success":true}', "503 Service Unavailable"),
        answer(b"<html>Welcome</html>", kind="text/html; charset=utf-8"),
        answer(b'{"success":"yes"}'),
        answer(b"[" * 60_000, "500 Internal Server Error"),
        answer(b"true" + b" " * MAX_ANSWER_BYTES),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntrue",
    ],
)
async def test_nothing_else_is_a_yes(gate: Gate, server: Server, reply: bytes) -> None:
    server.say(reply)
    server.say(answer(b"true"), "/elsewhere")
    with pytest.raises(Unavailable) as caught:
        await gate.ask(JOB)
    assert caught.value.part == "site's server"
    assert SECRET not in caught.value.message
    assert [request.target for request in server.asked] == [f"/file?{SECRET}"]


async def test_a_server_that_is_down_is_no_yes(shape: Shape, server: Server) -> None:
    for url in (f"http://127.0.0.1:1/{SECRET}", f"http://{SECRET}.invalid/", f"http://[::{SECRET}/"):
        gate = shape.open(Asker(url, "site's server", timeout=5))
        with pytest.raises(Unavailable, match=r"^the site's server does not answer"):
            await gate.ask(JOB)
        await gate.close()


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntr"])
async def test_a_slow_server_has_its_time_and_no_more(shape: Shape, server: Server, first: bytes) -> None:
    gate = shape.open(Asker(server.url(), "site's server", timeout=0.2))
    server.hang(first)
    async with asyncio.timeout(120):
        with pytest.raises(Unavailable, match="in time|does not answer"):
            await gate.ask(JOB)
    await gate.close()


async def test_a_server_that_drips_has_its_time_and_no_more(shape: Shape, server: Server) -> None:
    gate = shape.open(Asker(server.url(), "site's server", timeout=0.3))
    server.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b" ")
    async with asyncio.timeout(120):
        with pytest.raises(Unavailable, match="in time"):
            await gate.ask(JOB)
    await gate.close()


async def test_what_costs_nothing_has_few_places_and_takes_none_of_the_others(
    gate: Gate, shape: Shape, server: Server
) -> None:
    arrived = threading.Semaphore(0)

    def keep(connection: socket.socket, _: Asked) -> None:
        arrived.release()
        connection.recv(1)

    server.handlers["/file"] = keep
    free = Question(Action.ENCRYPT, "")
    held = [asyncio.create_task(gate.ask(free)) for _ in range(4)]
    for _ in held:
        assert await asyncio.to_thread(arrived.acquire, timeout=120)
    with pytest.raises(TooMany):
        await gate.ask(free)
    assert len(server.asked) == 4
    server.say(answer(shape.yes))
    await gate.ask(JOB)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    await gate.ask(free)


async def test_who_paid_waits_for_a_place(gate: Gate, shape: Shape, server: Server) -> None:
    server.say(answer(shape.yes))
    await asyncio.gather(*(gate.ask(JOB) for _ in range(40)))


async def test_of_decrypt_only_the_policy_server_knows(gate: Gate, shape: Shape, server: Server) -> None:
    server.say(answer(shape.no))
    question = Question(Action.DECRYPT, ACCOUNT, decrypt=DecryptSubject(8996, ME, None))
    if shape.refusal is Invalid:
        await gate.ask(question)
        assert not server.asked
    else:
        with pytest.raises(Forbidden):
            await gate.ask(question)
