"""The JSON-RPC client against a real HTTP server on loopback."""

from __future__ import annotations

import json

import pytest
from tests.support.answering import Answer, Request, answering

from cove.core.errors import Unavailable
from cove.ledgers.rpc import TOO_LARGE, HttpRpc, RpcError


def echo(request: Request) -> Answer:
    body = json.loads(request.body)
    return Answer(json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": body}).encode())


async def test_a_call_goes_out_as_json_rpc() -> None:
    with answering(echo) as url:
        async with HttpRpc(url, 5) as rpc:
            sent = await rpc.call("eth_call", [{"to": "0x1"}, "latest"])
            assert sent == {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": "0x1"}, "latest"]}
            assert isinstance(await rpc.exchange({"id": 7, "method": "x"}), dict)


async def test_an_error_of_the_node_keeps_its_revert() -> None:
    error = {"code": 3, "message": "execution reverted", "data": "0x08c379a0"}
    for given in (error, error | {"data": {"data": "0x08c379a0"}}):
        with answering(lambda _, given=given: Answer(json.dumps({"error": given}).encode())) as url:
            async with HttpRpc(url, 5) as rpc:
                with pytest.raises(RpcError) as caught:
                    await rpc.call("eth_call")
        assert (caught.value.code, caught.value.revert) == (3, bytes.fromhex("08c379a0"))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b""),
        Answer(b"<html>", 502),
        Answer(b"[]"),
        Answer(b"{}"),
        Answer(b"5"),
        Answer(b'{"error": "text"}'),
        Answer(b"[" * 100_000),
        Answer(b"\xff\xfe"),
        Answer(b"", 302, {"Location": "http://127.0.0.1:1/"}),
    ],
)
async def test_what_is_no_json_rpc_is_unavailable(answer: Answer) -> None:
    with answering(lambda _: answer) as url:
        async with HttpRpc(f"{url}/key-of-an-account", 5) as rpc:
            with pytest.raises(Unavailable) as caught:
                await rpc.call("eth_blockNumber")
    assert caught.value.part == "chain 5"
    assert "key-of-an-account" not in f"{caught.value} {rpc!r}"


async def test_errors_of_any_form_are_read() -> None:
    for error in ({}, {"code": "x", "message": None}, {"data": "zz"}, {"data": []}):
        with answering(lambda _, error=error: Answer(json.dumps({"error": error}).encode())) as url:
            async with HttpRpc(url, 5) as rpc:
                with pytest.raises(RpcError):
                    await rpc.call("x")


async def test_an_answer_has_a_largest_size() -> None:
    with answering(lambda _: Answer(b'{"result": "' + b"x" * 5000 + b'"}')) as url:
        async with HttpRpc(url, 5, max_answer=1000) as rpc:
            with pytest.raises(RpcError) as caught:
                await rpc.call("eth_getLogs")
    assert caught.value.code == TOO_LARGE


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "ftp://127.0.0.1/", "http://[", ""])
async def test_a_node_that_is_not_there_is_unavailable(url: str) -> None:
    async with HttpRpc(url, 5, timeout=2) as rpc:
        with pytest.raises(Unavailable):
            await rpc.call("eth_blockNumber")
