"""An order opens what it paid for, however the contracts let it be made: real orders, downloads and jobs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chain import Ocean
from tests.support.house import House, opened
from tests.support.trade import (
    TABLE,
    Way,
    from_a_dispenser,
    from_an_exchange,
    open_trade,
    plainly,
    through_the_factory,
    with_a_market,
)

from cove.client.market import deploy_artifact, reuse_order, token_balance, transfer

INVALID = {"serviceId": "order_invalid"}
WAYS: list[tuple[int, Way]] = [
    (1, plainly),
    (1, with_a_market),
    (1, through_the_factory),
    (2, plainly),
    (2, with_a_market),
    (2, through_the_factory),
    (2, from_an_exchange),
    (2, from_a_dispenser),
]


@pytest.mark.parametrize(("template", "way"), WAYS, ids=lambda value: getattr(value, "__name__", str(value)))
async def test_an_order_made_in_any_way_downloads_and_computes(house: House, template: int, way: Way) -> None:
    trade = await open_trade(house, template=template)
    ocean = house.ocean
    tx = await way(trade, 0)
    assert (await trade.download(tx)).content == TABLE
    assert (await trade.access(transferTxId=tx)).json()["validOrder"] == tx
    owned = await token_balance(ocean.consumer, ocean.addresses.fee_token, ocean.vault.address)
    paid = await way(trade, 1)
    got = await token_balance(ocean.consumer, ocean.addresses.fee_token, ocean.vault.address) - owned
    quote = (await trade.compute(transferTxId=paid)).json()["datasets"][0]
    assert (got > 0, quote) == (True, {"datatoken": trade.asset.datatoken, "validOrder": paid})
    started = await trade.start(paid)
    assert started.status_code == 200, started.text
    ended = await house.done(started.json()[0]["jobId"])
    assert (ended["status"], ended["statusText"], ended["agreementId"]) == (70, "Job completed", paid)


@pytest.mark.parametrize(("template", "way"), WAYS[2:], ids=lambda value: getattr(value, "__name__", str(value)))
async def test_none_of_them_opens_for_a_stranger_or_for_another_asset(house: House, template: int, way: Way) -> None:
    trade, other = await open_trade(house, template=template), await open_trade(house, template=template)
    tx = await way(trade, 0)
    refused = await trade.download(tx, by=house.ocean.stranger)
    assert (refused.status_code, refused.json()["error"]) == (400, INVALID)
    refused = await other.download(tx)
    assert (refused.status_code, refused.json()["error"]) == (400, INVALID)
    refused = await other.start(tx)
    assert (refused.status_code, refused.json()["error"]) == (400, {"dataset.serviceId": "order_invalid"})
    assert "validOrder" not in (await other.access(transferTxId=tx)).json()


async def test_a_reuse_pays_for_another_job_and_downloads_again(house: House) -> None:
    trade = await open_trade(house)
    first = await trade.pay(0)
    again = await reuse_order(trade.consumer, trade.asset.datatoken, first, await trade.fee(0))
    assert (await trade.download(again)).content == TABLE
    assert (await trade.access(transferTxId=again)).json()["validOrder"] == again
    # An order of the access service is not one of the compute service, by a reuse with its fee neither.
    mixed = await reuse_order(trade.consumer, trade.asset.datatoken, first, await trade.fee(1))
    refused = await trade.start(mixed)
    assert (refused.status_code, refused.json()["error"]) == (400, {"dataset.serviceId": "order_invalid"})
    ordered = await trade.pay(1)
    quote = (await trade.compute(seconds=3000, transferTxId=ordered)).json()["datasets"][0]
    assert quote["validOrder"] == ordered
    reused = await reuse_order(trade.consumer, trade.asset.datatoken, ordered, await trade.fee(1))
    assert (await trade.compute(transferTxId=reused)).json()["datasets"][0]["validOrder"] == reused
    for tx in (ordered, reused):
        assert (await trade.start(tx)).status_code == 200


async def test_fees_are_paid_in_a_token_with_other_decimals(ocean: Ocean, tmp_path: Path) -> None:
    token = await deploy_artifact(ocean.publisher, "MockERC20Decimals", ["Dollar", "USD", 6])
    await transfer(ocean.publisher, token, ocean.consumer.address, 10**9)
    async with opened(ocean, tmp_path, fee_token=token) as house:
        trade = await open_trade(house)
        fee = await trade.fee(1)
        assert fee["providerFeeToken"] == token
        # half a token a minute for 300 seconds, of which one may have passed
        assert 2_400_000 < int(fee["providerFeeAmount"]) <= 2_500_000
        tx = await trade.pay(1)
        # by a quote of its own, some moments later
        assert 2_400_000 < await token_balance(ocean.consumer, token, ocean.vault.address) <= 2_500_000
        started = await trade.start(tx)
        assert started.status_code == 200, started.text
        assert (await trade.download(await trade.pay(0))).content == TABLE
        cheap = ocean.fee(trade.asset.datatoken, 5, service_id="compute", environment="default", token=token)
        unpaid = await reuse_order(ocean.consumer, trade.asset.datatoken, tx, cheap)
        refused = await trade.start(unpaid)
        assert (refused.status_code, refused.json()["error"]) == (400, {"order": "fees_not_paid"})
