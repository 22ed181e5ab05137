"""What a ledger remembers of receipts on a real chain, and what makes it ask again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from cove.client.market import Wallet
from cove.core.order import Receipt
from cove.crypto.keys import recover
from cove.ledgers.devchain import DevChain
from cove.ledgers.evm import EvmLedger
from cove.ledgers.receipts import FINAL_BLOCKS, HEAD_SECONDS

NOBODY = "0x" + "4" * 40


@dataclass
class Fork:
    """Two chains of the same id behind one node: to change over is what a reorganisation looks like."""

    chains: tuple[DevChain, DevChain]
    current: int = 0
    methods: list[str] = field(default_factory=list)
    #: What the ledger takes for the time.
    seconds: float = 0.0

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        self.methods.append(method)
        return await self.chains[self.current].call(method, params)

    async def close(self) -> None:
        """The chains are closed by the fixture."""

    async def mine(self, count: int = 1) -> None:
        for _ in range(count):
            await self.chains[self.current].call("evm_mine")
        self.seconds += HEAD_SECONDS + 0.1

    def asked(self) -> list[str]:
        """Give the methods that were called since the last look, without the chain's id."""
        methods, self.methods = self.methods, []
        return [method for method in methods if method != "eth_chainId"]


@pytest.fixture
async def fork() -> AsyncIterator[Fork]:
    chains = (DevChain(accounts=2), DevChain(accounts=2))
    yield Fork(chains)
    for chain in chains:
        await chain.close()


def ledger_of(fork: Fork, confirmations: int = 1) -> EvmLedger:
    return EvmLedger(fork, 8996, NOBODY, recover=recover, monotonic=lambda: fork.seconds, confirmations=confirmations)


class Copying:
    """A chain that keeps the last transaction that was sent to it, to be sent to the other branch too."""

    def __init__(self, chain: DevChain) -> None:
        self.chain = chain
        self.raw: object = None

    async def exchange(self, body: Mapping[str, Any]) -> object:
        if body["method"] == "eth_sendRawTransaction":
            (self.raw,) = body["params"]
        return await self.chain.exchange(body)


async def sent_raw(fork: Fork, chain: int = 0) -> tuple[str, object]:
    """Send something on one branch; give its id and its bytes."""
    accounts, copying = fork.chains[chain].accounts, Copying(fork.chains[chain])
    found = await Wallet(accounts[0].private_key, copying).send(accounts[1].address, b"", value=1)
    return found.tx_id, copying.raw


async def sent(fork: Fork) -> str:
    tx_id, _ = await sent_raw(fork)
    return tx_id


async def known(ledger: EvmLedger, tx_id: str) -> Receipt:
    found = await ledger.receipt(tx_id)
    assert found is not None
    return found


async def test_a_receipt_that_was_seen_is_not_asked_for_again(fork: Fork) -> None:
    ledger, tx_id = ledger_of(fork), await sent(fork)
    first = await known(ledger, tx_id)
    assert sorted(fork.asked()) == ["eth_getBlockByHash", "eth_getBlockByNumber", "eth_getTransactionReceipt"]
    assert await known(ledger, tx_id.upper().replace("0X", "0x")) == first
    assert fork.asked() == []
    fork.seconds += HEAD_SECONDS + 0.1
    assert await known(ledger, tx_id) == first
    assert fork.asked() == ["eth_getBlockByNumber"]  # the newest block, which is the same


async def test_a_new_block_has_the_block_of_a_receipt_looked_at_once(fork: Fork) -> None:
    ledger, tx_id = ledger_of(fork), await sent(fork)
    await known(ledger, tx_id)
    await fork.mine()
    fork.asked()
    assert (await known(ledger, tx_id)).confirmations == 2
    assert (await known(ledger, tx_id)).confirmations == 2
    assert fork.asked() == ["eth_getBlockByNumber"] * 2  # the newest, and its own


async def test_what_is_final_is_never_asked_for_again(fork: Fork) -> None:
    ledger, tx_id = ledger_of(fork), await sent(fork)
    await known(ledger, tx_id)
    await fork.mine(FINAL_BLOCKS)
    assert (await known(ledger, tx_id)).confirmations == FINAL_BLOCKS + 1
    fork.asked()
    await fork.mine()
    await known(ledger, tx_id)
    assert fork.asked() == []


async def test_confirmations_beyond_what_is_final_are_counted(fork: Fork) -> None:
    needed = FINAL_BLOCKS + 5
    ledger, tx_id = ledger_of(fork, needed), await sent(fork)
    await fork.mine(FINAL_BLOCKS)
    assert (await known(ledger, tx_id)).confirmations == needed - 4
    await fork.mine(4)
    assert (await known(ledger, tx_id)).confirmations == needed


async def test_a_block_of_this_second_counts(fork: Fork) -> None:
    """The newest block is remembered for a second, but an order in a newer one is not refused for that."""
    ledger = ledger_of(fork, 2)
    await ledger.head()
    tx_id = await sent(fork)
    assert (await known(ledger, tx_id)).confirmations == 1
    await fork.chains[0].call("evm_mine")
    assert (await known(ledger, tx_id)).confirmations == 2


async def test_a_reorganisation_takes_a_receipt_away_and_gives_it_back(fork: Fork) -> None:
    ledger, (tx_id, raw) = ledger_of(fork), await sent_raw(fork)
    await fork.mine()
    await known(ledger, tx_id)
    fork.current = 1
    await fork.mine(4)
    assert await ledger.receipt(tx_id) is None
    assert await fork.call("eth_sendRawTransaction", [raw]) == tx_id  # mined later on the other branch
    again = await known(ledger, tx_id)
    assert (again.block_number, again.confirmations) == (5, 1)


async def test_a_receipt_is_read_anew_where_its_block_was_replaced_at_the_same_height(fork: Fork) -> None:
    ledger, (tx_id, raw) = ledger_of(fork), await sent_raw(fork)
    first = await known(ledger, tx_id)
    fork.current = 1
    await fork.call("evm_increaseTime", [500])
    await fork.call("eth_sendRawTransaction", [raw])
    await fork.mine()
    fork.asked()
    again = await known(ledger, tx_id)
    assert again.block_number == first.block_number
    assert again.block_time >= first.block_time + 499
    assert "eth_getTransactionReceipt" in fork.asked()


async def test_memory_has_an_end(fork: Fork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cove.ledgers.receipts._REMEMBERED_LOGS", 25)  # each receipt counts for ten
    ledger = ledger_of(fork)
    oldest, *others = [await sent(fork) for _ in range(3)]
    for tx_id in (oldest, *others):
        await known(ledger, tx_id)
    fork.asked()
    for tx_id in others:
        await known(ledger, tx_id)
    assert "eth_getTransactionReceipt" not in fork.asked()
    await known(ledger, oldest)
    assert "eth_getTransactionReceipt" in fork.asked()


async def test_an_unknown_transaction_is_not_remembered(fork: Fork) -> None:
    ledger, (tx_id, raw) = ledger_of(fork), await sent_raw(fork, 1)
    assert await ledger.receipt(tx_id) is None
    await fork.call("eth_sendRawTransaction", [raw])
    assert (await known(ledger, tx_id)).succeeded
