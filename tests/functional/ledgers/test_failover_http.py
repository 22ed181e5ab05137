"""Nodes behind HTTP that fail in every way that nodes have, beside one that is well."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterator

import pytest
from tests.chain import Ocean
from tests.support.answering import Answer, Request, answering
from tests.support.programs import RPC_TOKEN, chain_over_http

from cove.core.errors import Unavailable
from cove.crypto.keys import recover
from cove.ledgers.evm import EvmLedger
from cove.ledgers.failover import Failover
from cove.ledgers.nodes import Limits
from cove.ledgers.rpc import HttpRpc

LIMITS = Limits(call=60.0, patience=0.2, probe=3.0, first_pause=60.0, longest_pause=60.0)
BLOCK = {"number": "0xffffff", "timestamp": "0x1"}


@pytest.fixture
def rpc(ocean: Ocean) -> Iterator[str]:
    with chain_over_http(ocean.chain) as url:
        yield url


@pytest.fixture
def silent() -> Iterator[str]:
    """Give the URL of a node that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v3/{RPC_TOKEN}"


def failover(*urls: str, limits: Limits = LIMITS) -> Failover:
    return Failover([HttpRpc(url, 8996) for url in urls], 8996, limits=limits)


def well_but_for(answer: Callable[[], Answer]) -> Callable[[Request], Answer]:
    """Give a node whose probes are good, and that answers every other call as it is told to."""
    good = {"eth_chainId": hex(8996), "eth_getBlockByNumber": BLOCK, "eth_call": "0x"}

    def answers(request: Request) -> Answer:
        body = json.loads(request.body)
        if body["method"] in good:
            return Answer(json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": good[body["method"]]}).encode())
        return answer()

    return answers


@pytest.mark.parametrize(
    "bad",
    [
        Answer(b"<html>", 502),
        Answer(b'{"error": {"code": -32000, "message": "overloaded"}}', 503),
        Answer(b"", 429, {"Retry-After": "5"}),
        Answer(b'{"jsonrpc": "2.0", "error": {"code": 429, "message": "slow down"}}', 429),
        Answer(b"{}"),
    ],
)
async def test_what_is_no_answer_of_the_chain_has_the_next_node_asked(rpc: str, bad: Answer) -> None:
    with answering(well_but_for(lambda: bad)) as url:
        chain = failover(url, rpc)
        assert all(node.usable for node in await chain.examine())
        assert int(str(await chain.call("eth_blockNumber")), 16) > 10
        await chain.close()


async def test_a_node_that_dies_on_the_way_is_not_missed(ocean: Ocean, rpc: str) -> None:
    published = await ocean.publish()
    with chain_over_http(ocean.chain) as first:
        chain = failover(first, rpc)
        ledger = EvmLedger(chain, 8996, ocean.addresses.factory, recover=recover)
        assert await ledger.has_datatoken(published.nft, published.datatoken)
    number, _ = await ledger.head()
    assert number > 10
    assert await ledger.receipt(published.tx_id) is not None
    await ledger.close()


async def test_a_silent_node_delays_one_call_and_no_more(silent: str, rpc: str) -> None:
    loop = asyncio.get_running_loop()
    chain = failover(silent, rpc)
    began = loop.time()
    await chain.call("eth_blockNumber")
    await asyncio.gather(*(chain.call("eth_blockNumber") for _ in range(20)))
    assert loop.time() - began < LIMITS.call
    await chain.close()


async def test_no_text_holds_a_url(silent: str, rpc: str, caplog: pytest.LogCaptureFixture) -> None:
    dead = f"http://127.0.0.1:1/v3/{RPC_TOKEN}"
    chain = Failover([HttpRpc(url, 5) for url in (dead, silent, rpc)], 5, limits=LIMITS)
    with caplog.at_level(logging.DEBUG, "cove"), pytest.raises(Unavailable) as caught:
        await chain.call("eth_blockNumber")
    await chain.examine()
    await chain.close()
    assert caught.value.message == (
        "chain 5 does not answer: RPC 1 of 3 cannot be reached, RPC 2 of 3 does not answer in time, "
        "RPC 3 of 3 serves chain 8996"
    )
    said = f"{caught.value!r} {chain!r} {[record.getMessage() for record in caplog.records if record.name.startswith('cove')]}"
    assert RPC_TOKEN not in said
    assert "127.0.0.1" not in said
