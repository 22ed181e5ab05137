"""A node that lies, babbles or refuses: nothing but Unavailable comes of it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import Unavailable
from cove.ledgers import abi
from cove.ledgers.evm import EvmLedger
from cove.ledgers.rpc import RpcError

TX = "0x" + "0f" * 32
ADDRESS = "0x" + "a" * 40


class Node:
    """Answers what a function says."""

    def __init__(self, answer: Callable[[str], object]) -> None:
        self.answer = answer

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        del params
        if method == "eth_chainId":
            return "0x5"
        found = self.answer(method)
        if isinstance(found, Exception):
            raise found
        return found

    async def close(self) -> None:
        """Nothing is open."""


def ledger(answer: Callable[[str], object]) -> EvmLedger:
    """Give a ledger for which a long time passes between any two looks at the clock, so that it never waits."""
    clock = itertools.count(0, 100)
    return EvmLedger(Node(answer), 5, ADDRESS, recover=lambda *_: None, monotonic=lambda: float(next(clock)))


Question = Callable[[EvmLedger], Awaitable[object]]
CALLS: Sequence[Question] = (
    lambda chain: chain.receipt(TX),
    lambda chain: chain.nft(ADDRESS),
    lambda chain: chain.has_datatoken(ADDRESS, ADDRESS),
    lambda chain: chain.token_decimals(ADDRESS),
    lambda chain: chain.head(),
    lambda chain: chain.metadata_events(0, 5),
    lambda chain: chain.metadata_of_transaction(TX, ADDRESS),
    lambda chain: chain.valid_wallet_signature(ADDRESS, b"\1" * 32, b""),
)
FIELDS = (
    "transactionHash",
    "blockNumber",
    "blockHash",
    "status",
    "from",
    "logs",
    "topics",
    "data",
    "address",
    "logIndex",
    "number",
    "hash",
    "timestamp",
)
HEX = st.one_of(
    st.binary(max_size=40).map(lambda raw: "0x" + raw.hex()),
    st.sampled_from(
        [TX, ADDRESS, "0x1", "0x", "0x0", abi.ORDER_STARTED.topic, abi.METADATA_CREATED.topic, "0x" + "f" * 64]
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), HEX),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=12,
        ),
    ),
    max_leaves=20,
)


@given(st.lists(JSON, min_size=1, max_size=6), st.sampled_from(CALLS))
async def test_any_json_is_an_answer_or_unavailable(answers: list[object], call: Question) -> None:
    left = [*answers, *([None] * 50)]
    with contextlib.suppress(Unavailable):
        await call(ledger(lambda _: left.pop(0)))


@pytest.mark.parametrize("call", CALLS)
async def test_a_refusal_is_unavailable(call: Question) -> None:
    with pytest.raises(Unavailable) as caught:
        await call(ledger(lambda _: RpcError(-32005, "limit of https://user:secret@node exceeded")))
    assert "secret" not in str(caught.value)


def good_receipt() -> dict[str, object]:
    return {
        "transactionHash": TX,
        "blockNumber": "0x5",
        "blockHash": TX,
        "status": "0x1",
        "from": ADDRESS,
        "logs": [{"address": ADDRESS, "topics": [], "data": "0x", "logIndex": "0x0"}],
    }


def answering(receipt: object, head: object = "0x7", block: object = None) -> Callable[[str], object]:
    block = {"timestamp": "0x10", "number": "0x5"} if block is None else block
    newest = {"timestamp": "0x20", "number": head, "hash": "0x" + "77" * 32}
    return {"eth_getTransactionReceipt": receipt, "eth_getBlockByNumber": newest, "eth_getBlockByHash": block}.get


async def test_a_good_receipt_is_read() -> None:
    found = await ledger(answering(good_receipt())).receipt(TX.upper().replace("0X", "0x"))
    assert found is not None
    assert (found.succeeded, found.block_number, found.block_time, found.confirmations) == (True, 5, 16, 3)


async def test_a_time_that_stands_beside_the_logs_saves_the_call_for_the_block() -> None:
    receipt = good_receipt()
    receipt["logs"] = [{**log, "blockTimestamp": "0x11"} for log in receipt["logs"]]  # type: ignore[attr-defined]
    asked: list[str] = []

    def answer(method: str) -> object:
        asked.append(method)
        return answering(receipt)(method)

    found = await ledger(answer).receipt(TX)
    assert found is not None
    assert found.block_time == 17
    assert "eth_getBlockByHash" not in asked


@pytest.mark.parametrize("time", ["17", -1, "0x" + "f" * 20, {}, "0x"])
async def test_a_wrong_time_beside_the_logs_is_no_answer(time: object) -> None:
    receipt = good_receipt()
    receipt["logs"] = [{**log, "blockTimestamp": time} for log in receipt["logs"]]  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        await ledger(answering(receipt)).receipt(TX)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("transactionHash", "0x" + "1" * 64),
        ("blockNumber", None),
        ("blockNumber", 5),
        ("blockHash", "0x12"),
        ("from", "0x12"),
        ("logs", None),
        ("logs", [None]),
        ("logs", [{"address": ADDRESS, "topics": ["0x12"], "data": "0x", "logIndex": "0x0"}]),
        ("logs", [{"address": "0x12", "topics": [], "data": "0x", "logIndex": "0x0"}]),
        ("logs", [{"address": ADDRESS, "topics": [], "data": "0xz", "logIndex": "0x0"}]),
        ("logs", [{"address": ADDRESS, "topics": [], "data": "0x", "logIndex": None}]),
        ("logs", [{"address": ADDRESS, "topics": [], "data": "0x", "logIndex": "0x0"}] * 10_001),
    ],
)
async def test_a_receipt_that_is_wrong_is_unavailable(field: str, value: object) -> None:
    with pytest.raises(Unavailable):
        await ledger(answering(good_receipt() | {field: value})).receipt(TX)


@pytest.mark.parametrize("status", [None, "0x0", "0x", 1, True, "1", "0x2"])
async def test_only_status_one_is_success(status: object) -> None:
    found = await ledger(answering(good_receipt() | {"status": status})).receipt(TX)
    assert found is not None
    assert not found.succeeded


async def test_a_node_that_lags_gives_no_confirmations() -> None:
    found = await ledger(answering(good_receipt(), head="0x1")).receipt(TX)
    assert found is not None
    assert found.confirmations == 0


async def test_ranges_are_asked_for_in_smaller_parts_when_the_node_says_too_large() -> None:
    asked: list[tuple[int, int]] = []

    class Small(Node):
        async def call(self, method: str, params: Sequence[object] = ()) -> object:
            if method == "eth_getLogs":
                wanted = params[0]
                assert isinstance(wanted, dict)
                first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
                if last - first >= 1000:
                    raise RpcError(-32005, "query returned more than 10000 results")
                asked.append((first, last))
                return []
            return await super().call(method, params)

    chain = EvmLedger(Small(lambda _: None), 5, ADDRESS, recover=lambda *_: None)
    assert await chain.metadata_events(7, 4006) == []
    assert asked == [(7, 1006), (1007, 2006), (2007, 3006), (3007, 4006)]
