"""One service over two chains: each has its own orders, fees and troubles."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from tests.chain import Ocean
from tests.support.two_chains import MOST_SECONDS, ONE, PATH, TWO, Line, Pair, World, named, serving

from cove.client.market import Published, Wallet, approve, mint, token_balance, transfer
from cove.core.job import Job
from cove.ports import JobQuery

INVALID = {"dataset.serviceId": "order_invalid"}
UNPAID = {"order": "fees_not_paid"}


async def test_jobs_run_for_orders_of_both_chains(world: World) -> None:
    for chain in (ONE, TWO):
        asset = await world.publish(chain)
        answer = await world.start(asset, await world.pay(chain, asset))
        assert answer.status_code == 200, answer.text
        job_id = answer.json()[0]["jobId"]
        async with asyncio.timeout(120):
            while not (status := (await world.http.get(PATH, params={"jobId": job_id})).json()[0])["dateFinished"]:
                await world.cove.jobs.wait_change(job_id, 1.0)
        assert (status["outcome"], status["did"]) == ("succeeded", asset.did)


async def test_environments_are_listed_for_each_chain_with_its_token(world: World) -> None:
    listed = (await world.http.get("/api/services/computeEnvironments")).json()
    assert {chain: entries[0]["feeToken"] for chain, entries in listed.items()} == {
        str(chain): token for chain, token in world.pair.tokens.items()
    }
    assert [listed[str(chain)][0]["allowedChainId"] for chain in (ONE, TWO)] == [[ONE], [TWO]]
    assert (await world.http.get("/")).json()["chainIds"] == [ONE, TWO]


async def test_an_order_counts_on_its_own_chain_alone(world: World) -> None:
    """The assets of both chains have the same NFT and datatoken addresses, and different DIDs."""
    one, two = await _twins(world)
    tx_id = await world.pay(ONE, one)
    refused = await world.start(two, tx_id)
    assert (refused.status_code, refused.json()["error"]) == (400, INVALID)
    assert "Chain 8997 knows no such order" in refused.json()["hint"]
    assert (await world.start(one, tx_id)).status_code == 200


async def test_a_replayed_order_does_not_pay_on_the_other_chain(world: World) -> None:
    """A transaction that names no chain is sent to both. It has one id, and pays in what is worthless on the second."""
    one, two = await _twins(world)
    tx_id = await _replayed(world, one)
    paid = world.ocean(ONE).addresses.fee_token
    assert await token_balance(world.ocean(TWO).consumer, paid, world.cove.vault.address) > 0
    refused = await world.start(two, tx_id)
    assert (refused.status_code, refused.json()["error"]) == (400, UNPAID)
    assert (await world.start(one, tx_id)).status_code == 200


async def test_one_transaction_on_two_chains_that_both_were_paid_is_two_orders(pair: Pair, tmp_path: Path) -> None:
    """Where the very token is good on both chains, the transaction paid twice, and neither order is used by the other."""
    same = Pair(pair.chains, {chain: pair.chains[chain].addresses.fee_token for chain in pair.chains})
    async with serving(same, tmp_path) as world:
        one, two = await _twins(world)
        tx_id = await _replayed(world, one)
        for asset in (one, two):
            answer = await world.start(asset, tx_id)
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("down", "up"), [(ONE, TWO), (TWO, ONE)])
async def test_a_chain_that_is_down_is_down_for_its_own_requests_alone(world: World, down: int, up: int) -> None:
    lost, good = await world.publish(down), await world.publish(up)
    order_of_lost, order_of_good = await world.pay(down, lost), await world.pay(up, good)
    fresh = await world.publish(down)  # not seen by the service: what was seen this second is answered all the same
    world.lines[down].cut = True
    for _ in range(2):
        for answer in (await world.start(lost, order_of_lost), await world.quote(fresh)):
            assert answer.status_code == 503
            assert answer.json()["context"] == f"chain {down}"
            assert f"chain {down}" in answer.json()["error"]
    assert (await world.start(good, order_of_good)).status_code == 200
    assert (await world.quote(good)).status_code == 200
    ddo = "/api/aquarius/assets/ddo/"
    assert (await world.http.get(ddo + good.did)).status_code == 200
    assert (await world.http.get(ddo + fresh.did)).status_code == 503
    listed = (await world.http.get("/api/services/computeEnvironments")).json()
    assert set(listed) == {str(ONE), str(TWO)}
    world.lines[down].cut = False
    assert (await world.start(lost, order_of_lost)).status_code == 200


async def test_a_service_starts_while_a_chain_is_down(pair: Pair, tmp_path: Path) -> None:
    async with serving(pair, tmp_path) as world:
        world.lines[ONE].cut = True
        good = await world.publish(TWO)
        assert (await world.start(good, await world.pay(TWO, good))).status_code == 200
        unknown = await world.quote(await world.publish(ONE))
        assert (unknown.status_code, unknown.json()["context"]) == (503, f"chain {ONE}")
        world.lines[ONE].cut = False


async def test_a_silent_chain_does_not_hold_the_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good = await world.publish(TWO)
    tx_id = await world.pay(TWO, good)
    waiting = asyncio.Event()

    async def silent(*_: object) -> object:
        await waiting.wait()

    async with asyncio.timeout(120):
        monkeypatch.setattr(Line, "call", _only_for(ONE, silent))
        assert (await world.start(good, tx_id)).status_code == 200
        fresh = await world.publish(TWO)  # not seen yet, so both chains are asked
        assert (await world.quote(fresh)).status_code == 200


async def test_an_unknown_asset_is_the_callers_mistake_only_when_all_chains_say_so(world: World) -> None:
    asset = await world.publish(ONE)
    made_up = replace(asset, did="did:op:" + "5" * 64)
    assert (await world.quote(made_up)).json()["error"] == {"dataset.documentId": "did_not_found"}
    world.lines[TWO].cut = True
    assert (await world.quote(made_up)).json()["context"] == f"chain {TWO}"


async def test_an_order_must_be_deep_enough(pair: Pair, tmp_path: Path) -> None:
    async with serving(pair, tmp_path, confirmations=3) as world:
        asset = await world.publish(ONE)
        tx_id = await world.pay(ONE, asset)
        for found in (1, 2):
            refused = await world.start(asset, tx_id)
            assert (refused.status_code, refused.json()["error"]) == (400, INVALID)
            assert refused.json()["hint"] == f"The order needs 3 confirmations and has {found}."
            await world.ocean(ONE).chain.call("evm_mine")
        answer = await world.start(asset, tx_id)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("seconds", [60, 86_400 + 3600, MOST_SECONDS])
async def test_a_fee_is_for_the_whole_period_in_the_decimals_of_its_token(world: World, seconds: int) -> None:
    for chain, decimals in ((ONE, 18), (TWO, 6)):
        asset = await world.publish(chain)
        fee = (await world.quote(asset, seconds=seconds)).json()["datasets"][0]["providerFee"]
        assert fee["providerFeeToken"] == world.pair.tokens[chain]
        minute = 10**decimals // 2
        late = 5  # seconds that the request may have taken
        assert (seconds - late) * minute <= int(fee["providerFeeAmount"]) * 60 <= seconds * minute
        answer = await world.start(asset, await world.pay(chain, asset, fee))
        assert answer.status_code == 200, answer.text
        (job,) = [job for job in await _jobs(world) if job.dataset_dids == (asset.did,)]
        assert seconds - late <= job.resources.time_seconds <= seconds


async def _jobs(world: World) -> Sequence[Job]:
    return await world.cove.parts.store.find(JobQuery(owner=world.ocean(ONE).consumer.address))


async def test_seen_orders_cost_no_receipts_and_little_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, algorithm = await world.publish(ONE), await world.publish(ONE, algorithm=True)
    quoted = (await world.quote(dataset, algorithm=algorithm)).json()
    tx_id = await world.pay(ONE, dataset, quoted["datasets"][0]["providerFee"])
    second = await world.pay(ONE, algorithm, quoted["algorithm"]["providerFee"])
    monkeypatch.setattr("cove.ledgers.receipts.HEAD_SECONDS", 600.0)  # however slow this machine is
    for store in world.cove.parts.metadata.values():
        monkeypatch.setattr(store, "_believed", 600.0)
    for chain in (ONE, TWO):
        world.asked(chain)

    async def started() -> list[str]:
        """Start a job; while the last one runs the order is in use, which is found after everything else was checked."""
        answer = await world.start(dataset, tx_id, named(algorithm, second))
        assert answer.status_code == 200 or answer.json()["error"] == {"agreementId": "in_use"}, answer.text
        assert world.asked(TWO) == []
        return world.asked(ONE)

    first = await started()
    assert first.count("eth_getTransactionReceipt") == 2
    assert len(first) <= 15
    again = await started()
    assert again == []
    await world.ocean(ONE).chain.call("evm_mine")
    monkeypatch.setattr("cove.ledgers.receipts.HEAD_SECONDS", 0.0)  # as if a while had passed
    later = await started()
    assert set(later) <= {"eth_getBlockByNumber", "eth_getLogs"}
    assert len(later) <= 12


async def _twins(world: World) -> tuple[Published, Published]:
    """Publish a table on both chains, at the same addresses."""
    nonces = [await _nonce(world.ocean(chain).publisher) for chain in (ONE, TWO)]
    for chain, missing in ((ONE, nonces[1] - nonces[0]), (TWO, nonces[0] - nonces[1])):
        publisher = world.ocean(chain).publisher
        for _ in range(missing):
            await publisher.send(publisher.address, b"")
    counts = [await _made(world.ocean(chain)) for chain in (ONE, TWO)]
    for chain, missing in ((ONE, counts[1] - counts[0]), (TWO, counts[0] - counts[1])):
        for _ in range(missing):
            await world.publish(chain)
    one, two = await world.publish(ONE), await world.publish(TWO)
    assert (one.nft, one.datatoken) == (two.nft, two.datatoken)
    assert one.did != two.did
    return one, two


async def _made(ocean: Ocean) -> int:
    return int((await ocean.publisher.call(ocean.addresses.factory, "getCurrentNFTCount()", [], "(uint256)"))[0])


async def _nonce(wallet: Wallet) -> int:
    return int(str(await wallet._ask("eth_getTransactionCount", wallet.address, "latest")), 16)


async def _replayed(world: World, asset: Published) -> str:
    """Order on the first chain by a transaction that names no chain, and send the same bytes to the second."""
    one, two = world.ocean(ONE), world.ocean(TWO)
    fee = (await world.quote(asset)).json()["datasets"][0]["providerFee"]
    model = await world.pay(ONE, asset, fee)
    written = await one.chain.call("eth_getTransactionByHash", [model])
    assert isinstance(written, dict)
    token, amount = one.addresses.fee_token, int(fee["providerFeeAmount"])
    for ocean in (one, two):
        if await token_balance(ocean.consumer, token) < amount:
            await transfer(ocean.publisher, token, ocean.consumer.address, amount)
        await mint(ocean.publisher, asset.datatoken, ocean.consumer.address)
        await approve(ocean.consumer, token, asset.datatoken, amount)
    nonce = max(await _nonce(one.consumer), await _nonce(two.consumer))
    for ocean in (one, two):
        while await _nonce(ocean.consumer) < nonce:
            await ocean.consumer.send(ocean.consumer.address, b"")
    signed = Account.sign_transaction(
        {
            "nonce": nonce, "to": asset.datatoken, "data": written["input"],
            "gas": 2_000_000, "gasPrice": 10**10, "value": 0,
        },
        one.chain.accounts[2].private_key,
    )  # fmt: skip
    raw = "0x" + signed.raw_transaction.hex()
    names = [await ocean.chain.call("eth_sendRawTransaction", [raw]) for ocean in (one, two)]
    for ocean in (one, two):
        receipt = await ocean.chain.call("eth_getTransactionReceipt", [names[0]])
        assert isinstance(receipt, dict)
        assert receipt["status"] == "0x1"
    assert names[0] == names[1]
    return str(names[0])


def _only_for(chain: int, instead: Any) -> Any:
    usual = Line.call

    async def call(self: Line, method: str, params: Any = ()) -> object:
        return await (instead if self.chain.chain_id == chain else usual)(self, method, params)

    return call
