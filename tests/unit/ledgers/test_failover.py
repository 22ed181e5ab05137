"""Several nodes as one: which is asked, what is an answer, and how long it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from cove.core.errors import Unavailable
from cove.ledgers.failover import Failover
from cove.ledgers.nodes import LAG_SECONDS, Limits
from cove.ledgers.rpc import NodeFailure, RpcError

pytestmark = pytest.mark.waitless
LIMITS = Limits(call=0.5, slow_call=0.5, patience=0.05, slow_patience=0.05, probe=0.1)
CHAIN = 5
PROBES = {"eth_chainId", "eth_getBlockByNumber", "eth_call"}
DOWN = NodeFailure("chain 5", "cannot be reached", sent=False)
BROKEN = NodeFailure("chain 5", "breaks off")
Answers = Callable[[str], object]


@dataclass
class Scripted:
    """A node that answers as it is told to; a probe sees its chain and its newest block."""

    answer: object = "fine"
    chain: int = CHAIN
    block: int = 100
    time: int = 1_000_000
    #: Calls hang until they are cancelled.
    silent: bool = False
    #: Raised by every call, also by probes.
    down: Exception | None = None
    asked: list[str] = field(default_factory=list)
    closed: bool = False

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        del params
        self.asked.append(method)
        if self.silent:
            await asyncio.Event().wait()
        if self.down is not None:
            raise self.down
        if method == "eth_chainId":
            return hex(self.chain)
        if method == "eth_getBlockByNumber":
            return {"number": hex(self.block), "timestamp": hex(self.time)}
        if method == "eth_call":
            return "0x"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        self.closed = True

    def calls(self) -> list[str]:
        """Give what it was asked since the last look, without probes."""
        asked, self.asked = self.asked, []
        return [method for method in asked if method not in PROBES]


@dataclass
class Chain:
    """Three nodes and a clock that the test moves."""

    nodes: list[Scripted]
    rpc: Failover
    skipped: list[float]

    async def call(self, method: str = "x") -> object:
        return await self.rpc.call(method)

    async def settled(self) -> None:
        """Let the probes that are under way come to their end."""
        while probes := [task for task in asyncio.all_tasks() if task.get_name().startswith("probe of")]:
            await asyncio.wait(probes)

    def skip(self, seconds: float) -> None:
        self.skipped.append(seconds)

    def asked(self) -> list[list[str]]:
        return [node.calls() for node in self.nodes]


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    nodes, skipped = [Scripted(f"answer {number}") for number in (1, 2, 3)], [0.0]
    loop = asyncio.get_running_loop()
    rpc = Failover(nodes, CHAIN, limits=LIMITS, monotonic=lambda: loop.time() + sum(skipped))
    made = Chain(nodes, rpc, skipped)
    assert await made.call() in {"answer 1", "answer 2", "answer 3"}
    await made.settled()
    made.asked()
    yield made
    await rpc.close()
    assert all(node.closed for node in nodes)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("probe of")]


async def test_the_preferred_node_is_asked_alone(chain: Chain) -> None:
    assert await chain.call() == "answer 1"
    assert chain.asked() == [["x"], [], []]


@pytest.mark.parametrize("failure", [DOWN, BROKEN, NodeFailure("chain 5", "limits our rate", retry_after=3.0)])
async def test_a_node_that_fails_is_passed_over_and_then_left_alone(chain: Chain, failure: Exception) -> None:
    chain.nodes[0].down = failure
    assert await chain.call() == "answer 2"
    await chain.settled()
    chain.asked()
    assert await chain.call() == "answer 2"
    assert chain.asked() == [[], ["x"], []]


async def test_pauses_grow_and_a_node_that_is_back_is_preferred_again(chain: Chain) -> None:
    first = chain.nodes[0]
    first.down = DOWN
    await chain.call()
    await chain.settled()
    probed = []
    for _ in range(120):  # half a minute, in quarters of a second, with a call in each
        chain.skip(0.25)
        before = len(first.asked)
        await chain.call()
        await chain.settled()
        probed.append(len(first.asked) > before)
    assert 3 <= sum(probed) <= 6  # after 0.5, 1, 2, 4, 8, 16 seconds
    first.down = None
    chain.skip(LIMITS.longest_pause)
    await chain.call()
    await chain.settled()
    assert await chain.call() == "answer 1"


async def test_a_silent_node_holds_a_call_for_its_patience_alone_and_further_calls_not_at_all(chain: Chain) -> None:
    loop = asyncio.get_running_loop()
    chain.nodes[0].silent = True
    began = loop.time()
    assert await chain.call() == "answer 2"
    assert loop.time() - began < LIMITS.call
    began = loop.time()
    assert await asyncio.gather(*(chain.call() for _ in range(50))) == ["answer 2"] * 50
    assert loop.time() - began < LIMITS.patience


async def test_a_node_that_answers_others_is_busy_and_not_set_aside() -> None:
    class Busy(Scripted):
        async def call(self, method: str, params: Sequence[object] = ()) -> object:
            if method == "slow":
                await asyncio.Event().wait()
            return await super().call(method, params)

    nodes = [Busy("one"), Busy("two")]
    rpc = Failover(nodes, CHAIN, limits=LIMITS, monotonic=asyncio.get_running_loop().time)
    await rpc.examine()
    asking = asyncio.create_task(rpc.call("slow"))
    while not asking.done():
        assert await rpc.call("x") == "one"
        await asyncio.wait([asking], timeout=LIMITS.patience / 5)
    with pytest.raises(Unavailable):
        await asking
    assert await rpc.call("x") == "one"
    assert nodes[1].calls().count("x") == 0
    await rpc.close()


async def test_calls_end_in_time_when_all_are_silent_and_then_at_once(chain: Chain) -> None:
    loop = asyncio.get_running_loop()
    for node in chain.nodes:
        node.silent = True
    began = loop.time()
    with pytest.raises(Unavailable) as caught:
        await chain.call()
    assert loop.time() - began < 4 * LIMITS.call
    assert caught.value.part == "chain 5"
    await chain.settled()
    began = loop.time()
    with pytest.raises(Unavailable, match="RPC 1 of 3 does not answer in time, RPC 2 of 3 does not"):
        await chain.call()
    assert loop.time() - began < LIMITS.call / 2


async def test_a_chain_that_comes_back_is_seen_soon(chain: Chain) -> None:
    for node in chain.nodes:
        node.down = DOWN
    for _ in range(10):
        chain.skip(LIMITS.longest_pause)
        with pytest.raises(Unavailable):
            await chain.call()
        await chain.settled()
    for node in chain.nodes:
        node.down = None
    chain.skip(LIMITS.pause_alone)
    assert str(await chain.call()).startswith("answer")


async def test_a_connection_that_broke_is_tried_again_once_the_probe_is_good() -> None:
    """A node closes idle connections, and the next call on one of them fails; it is no reason to refuse a request."""
    failures = [BROKEN]

    class Once(Scripted):
        async def call(self, method: str, params: Sequence[object] = ()) -> object:
            if method == "x" and failures:
                raise failures.pop()
            return await super().call(method, params)

    alone = Failover([Once("alone")], CHAIN, limits=LIMITS, monotonic=asyncio.get_running_loop().time)
    assert await alone.call("x") == "alone"
    assert not failures
    await alone.close()


@pytest.mark.parametrize(
    "refusal",
    [
        RpcError(3, "execution reverted", b"\1"),
        RpcError(3, "execution reverted: rate limit, too many requests"),
        RpcError(-32603, "VM Exception while processing transaction: revert"),
        RpcError(-32602, "invalid params"),
        RpcError(-32005, "query returned more than 10000 results"),
    ],
)
async def test_a_refusal_is_an_answer(chain: Chain, refusal: RpcError) -> None:
    chain.nodes[0].answer = refusal
    for _ in range(2):
        with pytest.raises(RpcError) as caught:
            await chain.call()
        assert caught.value is refusal
    assert chain.asked() == [["x", "x"], [], []]


@pytest.mark.parametrize("refusal", [RpcError(-32000, "header not found"), RpcError(-32603, "Internal error")])
async def test_a_node_that_fails_inside_is_passed_over_for_this_call(chain: Chain, refusal: RpcError) -> None:
    chain.nodes[0].answer = refusal
    assert await chain.call() == "answer 2"
    assert await chain.call() == "answer 2"
    assert chain.asked() == [["x", "x"], ["x", "x"], []]
    for node in chain.nodes:
        node.answer = refusal
    with pytest.raises(RpcError) as caught:  # what makes every node fail is the call: none is set aside for it
        await chain.call()
    assert caught.value is refusal
    assert chain.asked() == [["x"], ["x"], ["x"]]


@pytest.mark.parametrize("refusal", [RpcError(429, "slow down"), RpcError(-32005, "daily request count exceeded")])
async def test_a_limited_rate_sets_a_node_aside_and_is_not_probed_at_once(chain: Chain, refusal: RpcError) -> None:
    chain.nodes[0].answer = refusal
    assert await chain.call() == "answer 2"
    await chain.settled()
    assert chain.nodes[0].asked == ["x"]
    assert await chain.call() == "answer 2"
    assert chain.nodes[0].asked == ["x"]


@pytest.mark.parametrize("method", ["eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_getBlockByHash"])
async def test_nothing_is_believed_when_all_say_so(chain: Chain, method: str) -> None:
    for node in chain.nodes[:2]:
        node.answer = None
    assert await chain.call(method) == "answer 3"
    chain.nodes[2].answer = None
    assert await chain.call(method) is None
    chain.nodes[1].down = DOWN
    assert await chain.call(method) is None
    chain.nodes[2].answer = RpcError(-32603, "Internal error")
    assert await chain.call(method) is None


async def test_nothing_from_the_best_is_enough_for_other_calls(chain: Chain) -> None:
    chain.nodes[0].answer = None
    assert await chain.call("eth_syncing") is None
    assert chain.asked() == [["eth_syncing"], [], []]


async def test_a_write_goes_to_another_node_only_when_nothing_was_sent(chain: Chain) -> None:
    chain.nodes[0].down = DOWN
    assert await chain.call("eth_sendRawTransaction") == "answer 2"
    await chain.settled()
    chain.nodes[1].down = BROKEN
    chain.asked()
    with pytest.raises(Unavailable):
        await chain.call("eth_sendRawTransaction")
    assert chain.asked() == [[], ["eth_sendRawTransaction"], []]


async def test_a_silent_node_gets_a_write_alone(chain: Chain) -> None:
    chain.nodes[0].silent = True
    with pytest.raises(Unavailable):
        await chain.call("eth_sendRawTransaction")
    assert chain.asked() == [["eth_sendRawTransaction"], [], []]


async def test_a_node_of_another_chain_is_never_asked() -> None:
    nodes = [Scripted("wrong", chain=1), Scripted("right")]
    rpc = Failover(nodes, CHAIN, limits=LIMITS, monotonic=asyncio.get_running_loop().time)
    assert await rpc.call("x") == "right"
    assert nodes[0].calls() == []
    nodes[1].down = DOWN
    with pytest.raises(Unavailable) as caught:
        await rpc.call("x")
    assert caught.value.message == "chain 5 does not answer: RPC 1 of 2 serves chain 1, RPC 2 of 2 cannot be reached"
    await rpc.close()


@pytest.mark.parametrize("number", [0, 2])
async def test_a_node_far_behind_is_set_aside_and_comes_back(chain: Chain, number: int) -> None:
    others = [node for place, node in enumerate(chain.nodes) if place != number]
    for node in others:
        node.block, node.time = 200, 1_000_000 + LAG_SECONDS + 1
    chain.skip(LIMITS.compare)
    await chain.call()
    await chain.settled()
    chain.asked()
    (late,) = [node for node in await chain.rpc.examine() if not node.usable]
    assert (late.name, late.why) == (f"RPC {number + 1} of 3", "is 100 blocks behind the others")
    chain.nodes[number].block, chain.nodes[number].time = 200, others[0].time
    chain.skip(LIMITS.longest_pause)
    await chain.call()
    await chain.settled()
    assert await chain.call() == "answer 1"


async def test_a_little_behind_is_usual(chain: Chain) -> None:
    chain.nodes[1].block, chain.nodes[1].time = 110, 1_000_000 + LAG_SECONDS
    assert all(node.usable for node in await chain.rpc.examine())


async def test_a_node_that_falls_back_behind_itself_is_set_aside_until_it_is_steady(chain: Chain) -> None:
    for node in chain.nodes:  # all of them: the chain's own past was rolled back
        node.block, node.time = 10, 1_000_000 - LAG_SECONDS - 1
    chain.skip(LIMITS.compare)
    await chain.call()
    await chain.settled()
    with pytest.raises(Unavailable, match="went back from block 100 to 10"):
        await chain.call()
    chain.skip(LIMITS.first_pause)
    assert str(await chain.call()).startswith("answer")


async def test_a_call_that_a_node_chokes_on_costs_it_no_more_than_a_probe() -> None:
    class Choking(Scripted):
        async def call(self, method: str, params: Sequence[object] = ()) -> object:
            if method == "bad":
                await asyncio.Event().wait()
            return await super().call(method, params)

    nodes = [Choking("one"), Choking("two")]
    rpc = Failover(nodes, CHAIN, limits=LIMITS, monotonic=asyncio.get_running_loop().time)
    await rpc.call("x")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await rpc.call("bad")
        assert await rpc.call("x") in {"one", "two"}
    await rpc.close()


async def test_the_log_names_nodes_by_their_place(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    chain.nodes[0].down = DOWN
    with caplog.at_level(logging.INFO, "cove.ledgers"):
        await chain.call()
        await chain.settled()
        chain.nodes[0].down = None
        chain.skip(LIMITS.longest_pause)
        await chain.call()
        await chain.settled()
    assert [record.getMessage() for record in caplog.records] == [
        "chain 5: RPC 1 of 3 is set aside: it cannot be reached",
        "chain 5: RPC 1 of 3 is asked again",
    ]


@pytest.mark.parametrize("answer", [{"number": "0x5"}, None, {"number": 5, "timestamp": "0x5"}, "0x", []])
async def test_a_probe_that_answers_nonsense_is_bad(answer: object) -> None:
    class Odd(Scripted):
        async def call(self, method: str, params: Sequence[object] = ()) -> object:
            return answer if method == "eth_getBlockByNumber" else await super().call(method, params)

    rpc = Failover([Odd()], CHAIN, limits=LIMITS, monotonic=asyncio.get_running_loop().time)
    with pytest.raises(Unavailable, match="answers nonsense"):
        await rpc.call("x")
    await rpc.close()


async def test_a_call_that_is_given_up_leaves_nothing_running(chain: Chain) -> None:
    chain.nodes[0].silent = True
    asking = asyncio.create_task(chain.call())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await chain.settled()
