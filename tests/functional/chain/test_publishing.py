"""Publishing and ordering that is killed between every two steps: nothing is done, or paid, twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest
from tests.chain import COMPUTE, FILES, PROVIDER_URL, Ocean

from cove.client.buying import Item, order_once, plan
from cove.client.journal import Call, Journal, alone, once
from cove.client.market import AssetDraft, MarketError, ServiceDraft, Wallet, create_nft, token_balance
from cove.client.publishing import Price, cost, creation, handover_call, publish_once
from cove.core.order import OrderTerms, check

Answer = TypeVar("Answer")
FREE, NOTHING = Price("free"), Price()


class Killed(BaseException):
    """The process is gone."""


class Deadly:
    """A node; the process dies before, or after, its call of this number."""

    def __init__(self, ocean: Ocean, number: int, *, answered: bool) -> None:
        self._chain = ocean.chain
        self._left = number
        self._answered = answered

    async def exchange(self, body: Mapping[str, object]) -> object:
        self._left -= 1
        if self._left == 0 and not self._answered:
            raise Killed
        answer = await self._chain.exchange(body)
        if self._left == 0:
            raise Killed
        return answer


def draft(name: str = "A dataset") -> AssetDraft:
    return AssetDraft(name, [ServiceDraft("compute", FILES, PROVIDER_URL, 3600, "compute-id", COMPUTE)])


def fixed(ocean: Ocean) -> Price:
    return Price("fixed", Decimal("2.5"), ocean.addresses.fee_token)


async def nonce(wallet: Wallet) -> int:
    return int(str(await wallet._ask("eth_getTransactionCount", wallet.address, "latest")), 16)


async def survive(
    ocean: Ocean, key: int, folder: Path, work: Callable[[Wallet, Journal], Awaitable[Answer]]
) -> tuple[list[Answer], int]:
    """Do work once for every moment in which it can be killed, each time to its end; give the ends and the kills."""
    ends, kills = [], 0
    secret = ocean.chain.accounts[key].private_key
    for number, answered in ((number, answered) for number in range(1, 200) for answered in (False, True)):
        path = folder / f"{number}-{answered}.json"
        try:
            ends.append(await work(Wallet(secret, Deadly(ocean, number, answered=answered)), Journal(path, {})))
        except Killed:
            kills += 1
            ends.append(await work(Wallet(secret, ocean.chain), Journal(path, {})))
        else:
            return ends, kills
    raise AssertionError("it never comes to its end")


@pytest.mark.parametrize("kind", ["none", "free", "fixed"])
async def test_an_asset_is_published_once_however_often_it_is_killed(ocean: Ocean, tmp_path: Path, kind: str) -> None:
    price = {"none": NOTHING, "free": FREE, "fixed": fixed(ocean)}[kind]
    factory = ocean.addresses.factory
    before = await nonce(ocean.publisher)
    ends, kills = await survive(
        ocean,
        0,
        tmp_path,
        lambda wallet, journal: publish_once(wallet, journal, factory, draft(), price, ocean.encrypt),
    )
    assert kills > 20
    assert len({published.did for published in ends}) == len(ends)
    assert await nonce(ocean.publisher) == before + 2 * len(ends)  # never a third transaction
    store = ocean.metadata()
    for published in ends:
        asset = await store.asset(published.did)
        assert (asset.publisher, asset.state, asset.nft) == (ocean.publisher.address, 0, published.nft)


async def test_what_is_published_is_published(ocean: Ocean, tmp_path: Path) -> None:
    path, factory = tmp_path / "journal.json", ocean.addresses.factory
    first = await publish_once(ocean.publisher, Journal(path, {}), factory, draft(), NOTHING, ocean.encrypt)
    before = await nonce(ocean.publisher)
    again = await publish_once(ocean.publisher, Journal(path, {}), factory, draft(), NOTHING, ocean.encrypt)
    assert (again, await nonce(ocean.publisher)) == (first, before)
    renamed = await publish_once(ocean.publisher, Journal(path, {}), factory, draft("Renamed"), NOTHING, ocean.encrypt)
    assert (renamed.did, await nonce(ocean.publisher)) == (first.did, before + 1)
    assert (await ocean.metadata().asset(first.did)).name == "Renamed"
    with pytest.raises(MarketError, match="price cannot be changed"):
        await publish_once(ocean.publisher, Journal(path, {}), factory, draft(), FREE, ocean.encrypt)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "data.csv" not in path.read_text()


async def test_a_nonce_that_somebody_else_used_is_seen(ocean: Ocean, tmp_path: Path) -> None:
    wallet, journal = ocean.publisher, Journal(tmp_path / "j", {})
    call = await creation(wallet, ocean.addresses.factory, "Mine", NOTHING)
    journal.begin("asset", await wallet.prepare(wallet.address, b""))  # signed, and never sent
    await create_nft(wallet, ocean.addresses.factory, "Other")  # takes its nonce
    before = await nonce(wallet)
    sent = await once(wallet, Journal(tmp_path / "j", {}), "asset", call)
    assert await nonce(wallet) == before + 1
    assert await once(wallet, Journal(tmp_path / "j", {}), "asset", call) == sent
    assert await nonce(wallet) == before + 1


class Slow:
    """A node that finds the receipt of a transaction some questions later than the transaction."""

    def __init__(self, ocean: Ocean, questions: int) -> None:
        self._chain, self._left = ocean.chain, questions

    async def exchange(self, body: Mapping[str, object]) -> object:
        if body["method"] == "eth_getTransactionReceipt" and self._left:
            self._left -= 1
            return {"jsonrpc": "2.0", "id": body["id"], "result": None}
        return await self._chain.exchange(body)


async def test_what_was_mined_is_not_sent_again_when_its_receipt_is_late(ocean: Ocean, tmp_path: Path) -> None:
    wallet, journal = ocean.publisher, Journal(tmp_path / "j", {})
    call = await creation(wallet, ocean.addresses.factory, "Mine", NOTHING)
    sent = await once(wallet, journal, "asset", call)
    before = await nonce(wallet)
    late = Wallet(ocean.chain.accounts[0].private_key, Slow(ocean, 2))
    assert (await once(late, Journal(tmp_path / "j", {}), "asset", call)).tx_id == sent.tx_id
    assert await nonce(wallet) == before


async def test_a_journal_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path, {"account": "a"}).note("x", 1)
    assert Journal(path, {"account": "a"}).fact("x") == 1
    with pytest.raises(MarketError, match="another account"):
        Journal(path, {"account": "b"})
    for text in ("", "[]", "{}", '{"version": 9}', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(MarketError, match="damaged"):
            Journal(path, {"account": "a"})


def test_two_commands_are_not_in_each_others_way(tmp_path: Path) -> None:
    with (
        alone(tmp_path / "journals"),
        pytest.raises(MarketError, match="Another command"),
        alone(tmp_path / "journals"),
    ):
        pytest.fail("both hold it")
    with alone(tmp_path / "journals"):
        pass


@pytest.mark.parametrize("kind", ["free", "fixed"])
async def test_an_order_is_paid_once_however_often_it_is_killed(ocean: Ocean, tmp_path: Path, kind: str) -> None:
    price = {"free": FREE, "fixed": fixed(ocean)}[kind]
    made = Journal(tmp_path / "asset.json", {})
    published = await publish_once(ocean.publisher, made, ocean.addresses.factory, draft(), price, ocean.encrypt)
    fee = ocean.fee(published.datatoken, 3 * 10**18)
    before = await token_balance(ocean.consumer, ocean.addresses.fee_token)
    item = Item("dataset", published.datatoken, 0, fee)
    ends, kills = await survive(ocean, 2, tmp_path, lambda wallet, journal: order_once(wallet, journal, item))
    assert kills > 30
    assert len(set(ends)) == len(ends)
    one = 3 * 10**18 + (0 if kind == "free" else 2_500_000_000_000_000_000)
    paid = before - await token_balance(ocean.consumer, ocean.addresses.fee_token)
    assert 0 <= paid - one * len(ends) < one * len(ends) // 50  # Ocean's own fee of the exchange comes on top
    assert await token_balance(ocean.consumer, published.datatoken) == 0
    terms = OrderTerms(published.datatoken, "compute-id", 0, 0, ocean.consumer.address, ocean.vault.address, "env")
    for tx_id in ends:
        receipt = await ocean.ledger().receipt(tx_id)
        assert receipt is not None
        assert check(receipt, terms, receipt.block_time).tx_id == tx_id


async def test_what_an_order_takes_is_said_before(ocean: Ocean, tmp_path: Path) -> None:
    factory = ocean.addresses.factory
    selling = await creation(ocean.publisher, factory, "Sold", fixed(ocean))
    ((_, gas, exact),) = await cost(ocean.publisher, [selling])
    assert exact
    assert abs(gas - selling.usual_gas) < selling.usual_gas // 3
    made = Journal(tmp_path / "j", {})
    published = await publish_once(ocean.publisher, made, factory, draft(), fixed(ocean), ocean.encrypt)
    item = Item("dataset", published.datatoken, 0, ocean.fee(published.datatoken, 7))
    planned = await plan(ocean.consumer, item)
    assert [step.split()[1] for step, _ in planned.calls] == ["approve", "token", "approve", "order"]
    ((token, amount),) = planned.paid
    assert token.lower() == ocean.addresses.fee_token.lower()
    assert 2.5 * 10**18 < amount < 2.6 * 10**18
    assert all(isinstance(call, Call) and call.usual_gas for _, call in planned.calls)
    with pytest.raises(MarketError, match="base units"):
        await plan(ocean.stranger, item)


async def test_what_nobody_sells_cannot_be_ordered(ocean: Ocean, tmp_path: Path) -> None:
    made = Journal(tmp_path / "j", {})
    published = await publish_once(ocean.publisher, made, ocean.addresses.factory, draft(), NOTHING, ocean.encrypt)
    item = Item("dataset", published.datatoken, 0, ocean.fee(published.datatoken))
    with pytest.raises(MarketError, match="nothing on this chain sells it"):
        await order_once(ocean.stranger, Journal(tmp_path / "k", {}), item)
    assert await order_once(ocean.publisher, Journal(tmp_path / "l", {}), item)  # its minter makes one


async def test_the_new_owner_of_an_asset_can_order_it(ocean: Ocean, tmp_path: Path) -> None:
    made, factory = Journal(tmp_path / "j", {}), ocean.addresses.factory
    published = await publish_once(ocean.publisher, made, factory, draft(), NOTHING, ocean.encrypt)
    call = handover_call(published.nft, ocean.publisher.address, ocean.stranger.address)
    await once(ocean.publisher, made, "handover", call)
    item = Item("dataset", published.datatoken, 0, ocean.fee(published.datatoken))
    with pytest.raises(MarketError, match="nothing on this chain sells it"):
        await order_once(ocean.publisher, Journal(tmp_path / "k", {}), item)
    planned = await plan(ocean.stranger, item)
    assert [step.split()[1] for step, _ in planned.calls] == ["minter", "token", "order"]
    assert await order_once(ocean.stranger, Journal(tmp_path / "l", {}), item)
