"""Transactions that wait while gas becomes dearer: the next run pays more, and whichever is mined, it happened once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import rlp  # type: ignore[import-untyped]  # it has no annotations
from tests.chain import Ocean

from cove.client.journal import Call, Journal, done, once
from cove.client.market import MarketError, Wallet
from cove.client.wallet import Allow, Signed

STEP = "hand over"
TO = "0x" + "7a" * 20


class Node:
    """The chain's node, at a price of gas of its own; what is sent may be lost, or the caller killed just before."""

    def __init__(self, ocean: Ocean, price: int = 1) -> None:
        self._ocean = ocean
        self.price = price
        self.loses = False
        self.kills = False
        self.sent: list[str] = []

    async def exchange(self, body: Mapping[str, object]) -> object:
        chain = self._ocean.chain
        if body["method"] == "eth_gasPrice":
            usual = int(str(await chain.call("eth_gasPrice")), 16)
            return {"jsonrpc": "2.0", "id": body["id"], "result": hex(usual * self.price)}
        if body["method"] == "eth_sendRawTransaction":
            if self.kills:
                raise KeyboardInterrupt
            self.sent.append(str(body["params"][0]))  # type: ignore[index]  # as the wallet sends it
            if self.loses:
                return {"jsonrpc": "2.0", "id": body["id"], "result": "0x" + "00" * 32}
        return await chain.exchange(body)


class Run:
    """Runs of one command over one journal."""

    def __init__(self, ocean: Ocean, path: Path) -> None:
        self.ocean, self.path, self.node = ocean, path, Node(ocean)
        self.key = ocean.chain.accounts[6].private_key
        self.call = Call("let nobody take anything", ocean.addresses.fee_token, "approve(address,uint256)", [TO, 0], 0)

    def wallet(self, allow: Allow | None = None, patience: float = 0.0) -> Wallet:
        return Wallet(self.key, self.node, patience=patience, allow=allow)

    async def again(self, allow: Allow | None = None) -> str:
        return (await once(self.wallet(allow), Journal(self.path, {}), STEP, self.call)).tx_id

    async def waits(self, allow: Allow | None = None) -> tuple[Signed, ...]:
        with pytest.raises(MarketError, match="was not mined within 0 s: run this again"):
            await self.again(allow)
        return self.signed()

    def signed(self) -> tuple[Signed, ...]:
        return Journal(self.path, {}).transactions(STEP)

    async def nonce(self) -> int:
        wallet = self.wallet()
        return int(str(await wallet._ask("eth_getTransactionCount", wallet.address, "latest")), 16)


@pytest.fixture
async def run(ocean: Ocean, tmp_path: Path) -> AsyncIterator[Run]:
    await ocean.chain.call("evm_setAutomine", [False])
    try:
        yield Run(ocean, tmp_path / "journal.json")
    finally:
        await ocean.chain.call("evm_mine")
        await ocean.chain.call("evm_setAutomine", [True])


def price_of(signed: Signed) -> int:
    return int.from_bytes(rlp.decode(bytes.fromhex(signed.raw[2:]))[1])


async def test_it_is_sent_again_as_it_is_while_gas_costs_the_same(run: Run) -> None:
    (first,) = await run.waits()
    assert await run.waits() == (first,)
    await run.ocean.chain.call("evm_mine")
    assert await run.again() == first.tx_id


async def test_the_next_run_pays_what_gas_costs_then(run: Run) -> None:
    before = await run.nonce()
    (first,) = await run.waits()
    run.node.price = 3
    assert (found := await run.waits())[0] == first
    assert price_of(found[1]) == 3 * price_of(first)
    assert found[1].nonce == first.nonce
    assert await run.waits() == found  # gas costs no more than that
    assert [one for one in run.node.sent if one == found[1].raw]
    await run.ocean.chain.call("evm_mine")
    assert await run.again() == found[1].tx_id
    assert await run.nonce() == before + 1


async def test_a_price_that_rose_a_little_is_raised_as_far_as_nodes_want_it(run: Run) -> None:
    (first,) = await run.waits()
    given = int(str(await run.ocean.chain.call("eth_gasPrice")), 16)

    class Little(Node):
        async def exchange(self, body: Mapping[str, object]) -> object:
            if body["method"] == "eth_gasPrice":
                return {"jsonrpc": "2.0", "id": body["id"], "result": hex(given + 1)}
            return await super().exchange(body)

    run.node = Little(run.ocean)
    _, raised = await run.waits()
    assert price_of(first) == given
    assert price_of(raised) == given * 9 // 8 + 1


async def test_the_one_that_paid_less_may_be_mined_after_all(run: Run) -> None:
    before = await run.nonce()
    (first,) = await run.waits()
    run.node.price, run.node.loses = 3, True
    assert len(await run.waits()) == 2
    await run.ocean.chain.call("evm_mine")
    assert await run.again() == first.tx_id
    assert await run.nonce() == before + 1


async def test_a_kill_before_the_dearer_one_is_sent_loses_nothing(run: Run) -> None:
    before = await run.nonce()
    await run.waits()
    run.node.price, run.node.kills = 3, True
    with pytest.raises(KeyboardInterrupt):
        await run.again()
    run.node.kills = False
    assert len(found := await run.waits()) == 2
    await run.ocean.chain.call("evm_mine")
    assert await run.again() == found[1].tx_id
    assert await run.nonce() == before + 1


async def test_another_program_that_pays_more_for_the_nonce_is_waited_for(run: Run) -> None:
    (first,) = await run.waits()
    dear = Run(run.ocean, run.path.with_name("other.json"))
    dear.node.price, dear.call = (
        5,
        Call("the same for another", run.call.to, run.call.function, ["0x" + "7b" * 20, 0], 0),
    )

    class SameNonce(Wallet):
        async def _ask(self, method: str, *params: object) -> object:
            return hex(first.nonce) if params[-1:] == ("pending",) else await super()._ask(method, *params)

    with pytest.raises(MarketError, match="was not mined"):
        await once(SameNonce(dear.key, dear.node, patience=0), Journal(dear.path, {}), STEP, dear.call)
    assert await run.waits() == (first,)
    await run.ocean.chain.call("evm_mine")
    assert (await run.waits())[0].nonce == first.nonce + 1  # the nonce went to the other: it is signed anew


async def test_it_costs_no_more_than_is_allowed(run: Run) -> None:
    await run.waits()
    run.node.price = 3
    asked: list[tuple[int, int]] = []

    def allow(nonce: int, cost: int) -> None:
        asked.append((nonce, cost))
        raise MarketError("That is too dear.")

    with pytest.raises(MarketError, match="too dear"):
        await run.again(allow)
    (first,) = run.signed()
    ((nonce, cost),) = asked
    assert nonce == first.nonce
    assert cost % (3 * price_of(first)) == 0


async def test_a_look_sends_nothing(run: Run) -> None:
    (first,) = await run.waits()
    run.node.price, run.node.sent = 3, []
    assert await done(run.wallet(), Journal(run.path, {}), STEP, send=False) is None
    await run.ocean.chain.call("evm_mine")
    found = await done(run.wallet(), Journal(run.path, {}), STEP, send=False)
    assert found is not None
    assert found.tx_id == first.tx_id
    assert await done(run.wallet(), Journal(run.path, {}), "another", send=False) is None
    assert run.node.sent == []


async def test_a_journal_of_an_earlier_version_is_gone_on_with(run: Run) -> None:
    (first,) = await run.waits()
    assert "replaced" not in run.path.read_text()
    run.node.price = 2
    assert (await run.waits())[0] == first
    assert "replaced" in run.path.read_text()
