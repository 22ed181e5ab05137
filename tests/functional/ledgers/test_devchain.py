"""The dev chain as wallets see it: over its JSON-RPC alone."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from tests.support.answering import Answer, Request, answering

from cove.client.market import Wallet
from cove.ledgers.rpc import HttpRpc, RpcError

if TYPE_CHECKING:
    from cove.ledgers.devchain import DevChain

devchain = pytest.importorskip("cove.ledgers.devchain", reason="needs: pip install 'cove[demo]'")


@pytest.fixture
async def chain() -> AsyncIterator[DevChain]:
    made = devchain.DevChain(accounts=3)
    yield made
    await made.close()


async def test_accounts_are_the_same_each_time_and_own_ether(chain: DevChain) -> None:
    for account in chain.accounts:
        assert Account.from_key(account.private_key).address == account.address
        assert account.private_key not in repr(account)
        assert int(await chain.call("eth_getBalance", [account.address, "latest"]), 16) == 10**24
    assert chain.accounts == tuple(devchain.dev_account(number) for number in range(3))
    assert await chain.call("eth_accounts") == [account.address for account in chain.accounts]


async def test_it_says_what_it_is(chain: DevChain) -> None:
    assert await chain.call("eth_chainId") == "0x2324"
    assert await chain.call("net_version") == "8996"
    assert await chain.call("eth_syncing") is False
    assert await chain.call("eth_blockNumber") == "0x0"


async def test_a_typed_transaction_as_ethers_sends_it(chain: DevChain) -> None:
    one, two = chain.accounts[:2]
    history = await chain.call("eth_feeHistory", ["0x1", "latest", [50]])
    tip = int(await chain.call("eth_maxPriorityFeePerGas"), 16)
    draft = {"from": one.address, "to": two.address, "value": "0x5"}
    fields = {
        "type": 2,
        "chainId": 8996,
        "nonce": int(await chain.call("eth_getTransactionCount", [one.address, "pending"]), 16),
        "to": two.address,
        "value": 5,
        "gas": int(await chain.call("eth_estimateGas", [draft]), 16),
        "maxFeePerGas": 2 * int(history["baseFeePerGas"][-1], 16) + tip,
        "maxPriorityFeePerGas": tip,
    }
    signed = Account.sign_transaction(fields, one.private_key)
    name = await chain.call("eth_sendRawTransaction", ["0x" + signed.raw_transaction.hex().removeprefix("0x")])
    receipt = await chain.call("eth_getTransactionReceipt", [name])
    assert (receipt["status"], receipt["type"], receipt["blockNumber"], receipt["gasUsed"]) == (
        "0x1",
        "0x2",
        "0x1",
        "0x5208",
    )
    shown = await chain.call("eth_getTransactionByHash", [name])
    assert (shown["from"], shown["to"], shown["value"]) == (one.address, two.address, "0x5")
    block = await chain.call("eth_getBlockByNumber", ["latest", True])
    assert block["transactions"] == [shown]
    assert await chain.call("eth_getBlockByHash", [block["hash"], False]) == block | {"transactions": [name]}
    json.dumps([receipt, shown, block])


def signed(chain: DevChain, number: int = 0, **changes: object) -> str:
    fields: dict[str, Any] = {"chainId": 8996, "nonce": 0, "to": chain.accounts[1].address, "value": 1, "gas": 21_000}
    raw = Account.sign_transaction(fields | {"gasPrice": 10**10} | changes, chain.accounts[number].private_key)
    return "0x" + raw.raw_transaction.hex().removeprefix("0x")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"chainId": 1}, "chain id"),
        ({"nonce": 3}, "nonce too high"),
        ({"value": 10**25}, "(?i)insufficient|does not have enough|afford|balance"),
    ],
)
async def test_transactions_that_cannot_be_are_refused(chain: DevChain, changes: dict[str, int], text: str) -> None:
    with pytest.raises(RpcError, match=text):
        await chain.call("eth_sendRawTransaction", [signed(chain, **changes)])
    assert await chain.call("eth_blockNumber") == "0x0"
    await chain.call("eth_sendRawTransaction", [signed(chain)])


async def test_a_transaction_is_taken_once(chain: DevChain) -> None:
    raw = signed(chain)
    await chain.call("eth_sendRawTransaction", [raw])
    with pytest.raises(RpcError, match="already known"):
        await chain.call("eth_sendRawTransaction", [raw])
    with pytest.raises(RpcError, match="nonce too low"):
        await chain.call("eth_sendRawTransaction", [signed(chain, value=2)])


async def test_one_that_waits_is_replaced_by_one_that_pays_a_tenth_more(chain: DevChain) -> None:
    await chain.call("evm_setAutomine", [False])
    first, next_ = signed(chain), signed(chain, nonce=1)
    for raw in (first, next_):
        await chain.call("eth_sendRawTransaction", [raw])
    with pytest.raises(RpcError, match="replacement transaction underpriced"):
        await chain.call("eth_sendRawTransaction", [signed(chain, value=2, gasPrice=10**10 * 11 // 10 - 1)])
    paid = await chain.call("eth_sendRawTransaction", [signed(chain, value=2, gasPrice=10**10 * 11 // 10)])
    with pytest.raises(RpcError, match="replacement transaction underpriced"):
        await chain.call("eth_sendRawTransaction", [first])
    await chain.call("evm_mine")
    block = await chain.call("eth_getBlockByNumber", ["0x1", False])
    assert isinstance(block, dict)
    assert (block["transactions"][0], len(block["transactions"])) == (paid, 2)


@pytest.mark.parametrize("raw", ["", "0x", "0x00", "0xff", "0x02c0", "zz", 5, None, "0x" + "f8" * 200])
async def test_rubbish_is_no_transaction(chain: DevChain, raw: object) -> None:
    with pytest.raises(RpcError):
        await chain.call("eth_sendRawTransaction", [raw])


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_nothing", []),
        ("eth_getBalance", []),
        ("eth_getBalance", ["0x1"]),
        ("eth_getBalance", [5]),
        ("eth_getBalance", ["0x" + "1" * 40, "0x99"]),
        ("eth_call", [None]),
        ("eth_call", [{"to": "0x1"}]),
        ("eth_call", [{"data": "0xz"}]),
        ("eth_call", [{"value": "x"}]),
        ("eth_getBlockByNumber", ["soon"]),
        ("eth_getLogs", ["x"]),
        ("eth_getLogs", [{"blockHash": "0x1"}]),
        ("eth_chainId", [1, 2]),
    ],
)
async def test_calls_that_make_no_sense_are_refused(chain: DevChain, method: str, params: list[object]) -> None:
    with pytest.raises(RpcError):
        await chain.call(method, params)
    assert await chain.call("eth_chainId") == "0x2324"


async def test_bodies_and_batches(chain: DevChain) -> None:
    one = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    assert await chain.exchange(one) == {"jsonrpc": "2.0", "id": 1, "result": "0x2324"}
    good, bad, none = await chain.exchange([one, {"id": 2, "method": "x"}, 7])
    assert (good["result"], bad["error"]["code"], none["error"]["code"]) == ("0x2324", -32601, -32600)
    for body in (None, 5, "x", [], [one] * 1001, {"method": 5}, {"method": "eth_chainId", "params": {}}):
        assert (await chain.exchange(body))["error"]["code"] == -32600


async def test_logs_are_filtered_by_address_and_topics(chain: DevChain) -> None:
    wallet = Wallet(chain.accounts[0].private_key, chain)
    topic_a, topic_b = "0x" + "a" * 64, "0x" + "b" * 64
    emit = b"".join(
        b"\x7f" + bytes.fromhex(second[2:]) + b"\x7f" + bytes.fromhex(first[2:]) + b"\x5f\x5f\xa2"
        for first, second in ((topic_a, topic_b), (topic_b, topic_a))
    )
    sent = await wallet.send(None, emit + b"\x00")

    async def found(**wanted: object) -> int:
        return len(await chain.call("eth_getLogs", [{"fromBlock": "earliest", "toBlock": "latest"} | wanted]))

    assert await found() == 2
    assert await found(topics=[topic_a]) == 1
    assert await found(topics=[topic_a.upper().replace("0X", "0x"), topic_b]) == 1
    assert await found(topics=[topic_a, topic_a]) == 0
    assert await found(topics=[[topic_a, topic_b]]) == 2
    assert await found(topics=[None, topic_a]) == 1
    assert await found(topics=[topic_a, topic_b, None]) == 0
    assert await found(address=sent.contract) == 2
    assert await found(address=[chain.accounts[0].address]) == 0
    assert await found(fromBlock="0x2") == 0


async def test_time_can_be_moved(chain: DevChain) -> None:
    before = int((await chain.call("eth_getBlockByNumber", ["latest", False]))["timestamp"], 16)
    await chain.call("evm_increaseTime", [86_400])
    await chain.call("evm_mine")
    after = int((await chain.call("eth_getBlockByNumber", ["latest", False]))["timestamp"], 16)
    assert 86_400 <= after - before < 86_500


async def test_it_can_be_asked_from_many_threads_at_once(chain: DevChain) -> None:
    found: list[object] = []

    def ask() -> None:
        found.append(asyncio.run(chain.call("eth_getBalance", [chain.accounts[0].address])))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(lambda: [thread.join() for thread in threads])
    assert found == [hex(10**24)] * 8


async def test_it_works_behind_http(chain: DevChain) -> None:
    loop = asyncio.get_running_loop()

    def answer(request: Request) -> Answer:
        body = json.loads(request.body)
        return Answer(json.dumps(asyncio.run_coroutine_threadsafe(chain.exchange(body), loop).result()).encode())

    with answering(answer) as url:
        async with HttpRpc(url, 8996) as rpc:
            wallet = Wallet(chain.accounts[0].private_key, rpc)
            sent = await wallet.send(chain.accounts[1].address, b"", value=7)
            assert await rpc.call("eth_blockNumber") == hex(sent.block_number)


def test_nested_json_still_is_an_error_and_not_the_end_of_the_process() -> None:
    """py-evm raises the recursion limit of the whole process; the dev chain takes that back."""
    assert sys.getrecursionlimit() < 5000
    with pytest.raises(RecursionError):
        json.loads("[" * 100_000)
