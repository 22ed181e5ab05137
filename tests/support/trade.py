"""Every way in which consumers order a service on Ocean's contracts, and what an order is used for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
from tests.support.house import NONCES, RAW, House, signer

from cove.client.market import (
    NO_ADDRESS,
    ONE_DATATOKEN,
    AssetDraft,
    Published,
    ServiceDraft,
    Wallet,
    approve,
    mint,
    order,
    publish,
)

FEE = "(address,address,uint256,uint8,bytes32,bytes32,uint256,bytes)"
MARKET = "(address,address,uint256)"
FREE_MARKET = (NO_ADDRESS, NO_ADDRESS, 0)
COMPUTE = {"allowRawAlgorithm": True, "publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": []}
TABLE = b"a\n1\n"


def packed(fee: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give a provider fee as the contracts take it."""
    r, s, data = (bytes.fromhex(fee[name][2:]) for name in ("r", "s", "providerData"))
    amount = int(fee["providerFeeAmount"])
    return (fee["providerFeeAddress"], fee["providerFeeToken"], amount, fee["v"], r, s, fee["validUntil"], data)


def market_of(trade: Trade) -> str:
    """Give the account that earns what markets earn; tests that share the chain count on the others' balances."""
    return trade.house.ocean.chain.accounts[6].address


@dataclass
class Trade:
    """A house that sells one table for one datatoken: its bytes (service 0) and computing on it (service 1)."""

    house: House
    asset: Published

    @property
    def consumer(self) -> Wallet:
        return self.house.ocean.consumer

    async def access(self, *, by: Wallet | None = None, **fields: str) -> httpx2.Response:
        """Ask initialize about the access service."""
        asked = {"documentId": self.asset.did, "serviceId": "access", "consumerAddress": (by or self.consumer).address}
        return await self.house.http.get("/api/services/initialize", params={**asked, **fields})

    async def compute(self, *, by: Wallet | None = None, seconds: int = 300, **fields: str) -> httpx2.Response:
        """Ask initializeCompute about the compute service."""
        body = {
            "datasets": [{"documentId": self.asset.did, "serviceId": "compute", **fields}],
            "algorithm": RAW,
            "compute": {"env": "default", "validUntil": int(time.time()) + seconds},
            "consumerAddress": (by or self.consumer).address,
        }
        return await self.house.http.post("/api/services/initializeCompute", json=body)

    async def fee(self, service_index: int) -> dict[str, Any]:
        """Give the provider's fee for a service."""
        answer = await (self.compute() if service_index else self.access())
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = (answer.json()["datasets"][0] if service_index else answer.json())["providerFee"]
        return found

    async def download(self, tx: str, *, by: Wallet | None = None) -> httpx2.Response:
        """Ask for the table's bytes."""
        wallet, nonce = by or self.consumer, str(next(NONCES))
        asked = {
            "documentId": self.asset.did, "serviceId": "access", "transferTxId": tx, "fileIndex": "0", "nonce": nonce,
            "consumerAddress": wallet.address, "signature": signer(wallet).sign(f"{self.asset.did}{nonce}"),
        }  # fmt: skip
        return await self.house.http.get("/api/services/download", params=asked)

    async def start(self, tx: str, *, by: Wallet | None = None, **fields: Any) -> httpx2.Response:
        """Start a job on the table."""
        wallet, nonce = by or self.consumer, str(next(NONCES))
        return await self.house.start(
            dataset={"documentId": self.asset.did, "serviceId": "compute", "transferTxId": tx},
            consumerAddress=wallet.address,
            nonce=nonce,
            signature=signer(wallet).sign(f"{wallet.address}{self.asset.did}{nonce}"),
            **fields,
        )

    async def pay(self, service_index: int) -> str:
        """Order a service in the plain way."""
        await mint(self.house.ocean.publisher, self.asset.datatoken, self.consumer.address)
        return await order(
            self.consumer, self.asset.datatoken, await self.fee(service_index), service_index=service_index
        )


async def open_trade(house: House, *, timeout: int = 3600, wallet: Wallet | None = None, **draft: Any) -> Trade:
    """Publish the table once more, with both services; ``draft`` changes the asset."""
    files = [{"type": "local", "root": "data", "path": "table.csv"}]
    services = (
        ServiceDraft("access", files, "http://cove", timeout, "access"),
        ServiceDraft("compute", files, "http://cove", timeout, "compute", COMPUTE),
    )
    ocean = house.ocean
    asset = await publish(
        wallet or ocean.publisher, ocean.addresses.factory, AssetDraft("A trade", services, **draft), ocean.encrypt
    )
    return Trade(house, asset)


Way = Callable[[Trade, int], Awaitable[str]]
"""Orders a service (by its index) and gives the transaction."""


async def plainly(trade: Trade, index: int) -> str:
    """``startOrder``, as the client library sends it."""
    return await trade.pay(index)


async def with_a_market(trade: Trade, index: int) -> str:
    """``startOrder`` with a fee for the market that the consumer came through, in the provider's fee token."""
    ocean, fee, cut = trade.house.ocean, await trade.fee(index), 3 * 10**15
    await mint(ocean.publisher, trade.asset.datatoken, trade.consumer.address)
    token = ocean.addresses.fee_token
    await approve(trade.consumer, token, trade.asset.datatoken, cut + int(fee["providerFeeAmount"]))
    market = (market_of(trade), token, cut)
    sent = await trade.consumer.transact(
        trade.asset.datatoken,
        f"startOrder(address,uint256,{FEE},{MARKET})",
        [trade.consumer.address, index, packed(fee), market],
    )
    return sent.tx_id


async def through_the_factory(trade: Trade, index: int) -> str:
    """``startMultipleTokenOrder``: another asset's order, this one, and this asset's other service."""
    ocean, datatoken = trade.house.ocean, trade.asset.datatoken
    other = await ocean.publish()
    fee = await trade.fee(index)
    orders = []
    for token, service, signed in (
        (other.datatoken, 1, ocean.fee(other.datatoken)),
        (datatoken, index, fee),
        (datatoken, 1 - index, ocean.fee(datatoken)),
    ):
        await mint(ocean.publisher, token, trade.consumer.address, 2 * ONE_DATATOKEN)
        await approve(trade.consumer, token, ocean.addresses.factory, 2 * ONE_DATATOKEN)
        orders.append((token, trade.consumer.address, service, packed(signed), FREE_MARKET))
    if int(fee["providerFeeAmount"]):
        await approve(trade.consumer, fee["providerFeeToken"], ocean.addresses.factory, int(fee["providerFeeAmount"]))
    sent = await trade.consumer.transact(
        ocean.addresses.factory, f"startMultipleTokenOrder((address,address,uint256,{FEE},{MARKET})[])", [orders]
    )
    return sent.tx_id


async def from_an_exchange(trade: Trade, index: int) -> str:
    """``buyFromFreAndOrder`` of the enterprise template: bought at a fixed rate and ordered in one transaction."""
    ocean, datatoken, price = trade.house.ocean, trade.asset.datatoken, 2 * 10**18
    base, exchange = ocean.addresses.fee_token, ocean.addresses.fixed_rate
    if not await _listed(trade, "getFixedRates()", "((address,bytes32)[])"):
        owner = ocean.publisher.address
        await ocean.publisher.transact(
            datatoken,
            "createFixedRate(address,address[],uint256[])",
            [exchange, [base, owner, owner, NO_ADDRESS], [18, 18, price, 10**15, 1]],
        )
    ((_, exchange_id),) = await _listed(trade, "getFixedRates()", "((address,bytes32)[])")
    fee = await trade.fee(index)
    await approve(trade.consumer, base, datatoken, 2 * price + int(fee["providerFeeAmount"]))
    sent = await trade.consumer.transact(
        datatoken,
        f"buyFromFreAndOrder((address,uint256,{FEE},{MARKET}),(address,bytes32,uint256,uint256,address))",
        [
            (trade.consumer.address, index, packed(fee), FREE_MARKET),
            (exchange, exchange_id, 2 * price, 10**15, market_of(trade)),
        ],
    )
    return sent.tx_id


async def from_a_dispenser(trade: Trade, index: int) -> str:
    """``buyFromDispenserAndOrder`` of the enterprise template: given for nothing and ordered in one transaction."""
    ocean, datatoken, dispenser = trade.house.ocean, trade.asset.datatoken, trade.house.ocean.addresses.dispenser
    if not await _listed(trade, "getDispensers()", "(address[])"):
        await ocean.publisher.transact(
            datatoken,
            "createDispenser(address,uint256,uint256,bool,address)",
            [dispenser, ONE_DATATOKEN, ONE_DATATOKEN, True, NO_ADDRESS],
        )
    fee = await trade.fee(index)
    if int(fee["providerFeeAmount"]):
        await approve(trade.consumer, fee["providerFeeToken"], datatoken, int(fee["providerFeeAmount"]))
    sent = await trade.consumer.transact(
        datatoken,
        f"buyFromDispenserAndOrder((address,uint256,{FEE},{MARKET}),address)",
        [(trade.consumer.address, index, packed(fee), FREE_MARKET), dispenser],
    )
    return sent.tx_id


async def _listed(trade: Trade, function: str, returns: str) -> Sequence[Any]:
    (found,) = await trade.consumer.call(trade.asset.datatoken, function, [], returns)
    listed: Sequence[Any] = found
    return listed
