"""Real orders and forged ones on the real contracts: what the ledger reads, and what the rules make of it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from eth_abi import encode
from tests.chain import ENVIRONMENT, Ocean

from cove.client.market import (
    NO_ADDRESS,
    ONE_DATATOKEN,
    MarketError,
    Published,
    Wallet,
    approve,
    create_datatoken,
    create_nft,
    deploy_artifact,
    order,
    reuse_order,
    token_balance,
    transfer,
)
from cove.core.errors import Refused
from cove.core.order import Order, OrderTerms, Receipt, check, reused_order_tx
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.ledgers import abi

INVALID = "serviceId: order_invalid"
UNPAID = "order: fees_not_paid"
PRICE = 60 * 10**18


@pytest.fixture
async def asset(ocean: Ocean) -> Published:
    published = await ocean.publish()
    await ocean.give_datatoken(published.datatoken, count=5)
    return published


def terms_of(ocean: Ocean, asset: Published, **changes: Any) -> OrderTerms:
    terms = OrderTerms(asset.datatoken, "compute-id", 1, 3600, ocean.consumer.address, ocean.vault.address, ENVIRONMENT)
    return replace(terms, **changes)


async def receipt_of(ocean: Ocean, tx_id: str) -> Receipt:
    receipt = await ocean.ledger().receipt(tx_id)
    assert receipt is not None
    return receipt


async def judge(ocean: Ocean, tx_id: str, terms: OrderTerms, now: float | None = None) -> Order | str:
    """Do what ``cove.jobs.orders`` does, and give the order or why it is none."""
    ledger = ocean.ledger()
    receipt = await ledger.receipt(tx_id)
    if receipt is None:
        return "unknown"
    reused = reused_order_tx(receipt, terms)
    first = None if reused is None else await ledger.receipt(reused)
    try:
        return check(receipt, terms, now or time.time(), first)
    except Refused as problem:
        return f"{problem.field}: {problem.reason}"


# ---------------------------------------------------------------------------------------------------- good ones


async def test_an_order_is_read_as_the_contract_emitted_it(ocean: Ocean, asset: Published) -> None:
    fee = ocean.fee(asset.datatoken, PRICE)
    tx_id = await order(ocean.consumer, asset.datatoken, fee, service_index=1, consumer=ocean.vault.address)
    receipt = await receipt_of(ocean, tx_id)
    assert (receipt.succeeded, receipt.sender, receipt.confirmations) == (True, ocean.consumer.address, 1)
    assert abs(receipt.block_time - time.time()) < 30
    (started,) = receipt.orders
    assert (started.address, started.consumer, started.payer) == (
        asset.datatoken,
        ocean.vault.address,
        ocean.consumer.address,
    )
    assert (started.amount, started.service_index, started.timestamp) == (ONE_DATATOKEN, 1, receipt.block_time)
    (paid,) = receipt.fees
    assert (paid.address, paid.fee_address, paid.signer) == (asset.datatoken, ocean.vault.address, ocean.vault.address)
    assert (paid.amount, paid.valid_until) == (PRICE, fee["validUntil"])
    found = await judge(ocean, tx_id, terms_of(ocean, asset))
    assert isinstance(found, Order)
    assert (found.fee_amount, found.fee_seconds, found.payer) == (PRICE, 3600, ocean.consumer.address)
    assert found.fee_valid_until >= fee["validUntil"] + 90


async def test_oceans_cut_of_the_fee_is_no_missing_payment(ocean: Ocean, asset: Published) -> None:
    function, router = "updateOPCFee(uint256,uint256,uint256,uint256)", ocean.addresses.router
    before = await ocean.publisher.call(router, "getOPCFees()", [], "(uint256,uint256)")
    consume = await ocean.publisher.call(router, "getOPCConsumeFee()", [], "(uint256)")
    await ocean.publisher.transact(router, function, [*before, *consume, 10**16])
    try:
        owned = await token_balance(ocean.consumer, ocean.addresses.fee_token, ocean.vault.address)
        tx_id = await order(ocean.consumer, asset.datatoken, ocean.fee(asset.datatoken, PRICE), service_index=1)
        got = await token_balance(ocean.consumer, ocean.addresses.fee_token, ocean.vault.address) - owned
    finally:
        await ocean.publisher.transact(router, function, [*before, *consume, 0])
    assert got == PRICE * 99 // 100
    found = await judge(ocean, tx_id, terms_of(ocean, asset))
    assert isinstance(found, Order)
    assert found.fee_amount == PRICE


async def test_a_free_order_is_good_where_no_fee_is_looked_for(ocean: Ocean, asset: Published) -> None:
    tx_id = await order(ocean.consumer, asset.datatoken, ocean.fee(asset.datatoken), service_index=1)
    found = await judge(ocean, tx_id, terms_of(ocean, asset, environment=None))
    assert isinstance(found, Order)
    free = await judge(ocean, tx_id, terms_of(ocean, asset))
    assert isinstance(free, Order)
    assert free.fee_amount == 0


async def test_a_reused_order_pays_anew_and_counts_from_then(ocean: Ocean, asset: Published) -> None:
    first = await order(ocean.consumer, asset.datatoken, ocean.fee(asset.datatoken), service_index=1)
    again = await reuse_order(ocean.consumer, asset.datatoken, first, ocean.fee(asset.datatoken, PRICE))
    terms = terms_of(ocean, asset)
    assert reused_order_tx(await receipt_of(ocean, again), terms) == first
    found = await judge(ocean, again, terms)
    assert isinstance(found, Order)
    assert (found.tx_id, found.fee_amount) == (again, PRICE)


async def test_many_orders_of_one_transaction(ocean: Ocean, asset: Published) -> None:
    """``startMultipleTokenOrder``: the factory is the payer, so that the consumer's own name must stand in it."""
    second = await ocean.publish()
    await ocean.give_datatoken(second.datatoken)
    orders = []
    for datatoken, amount in ((asset.datatoken, PRICE), (second.datatoken, 0)):
        fee = ocean.fee(datatoken, amount)
        packed = tuple(
            bytes.fromhex(fee[name][2:]) if name in {"r", "s", "providerData"} else fee[name]
            for name in (
                "providerFeeAddress",
                "providerFeeToken",
                "providerFeeAmount",
                "v",
                "r",
                "s",
                "validUntil",
                "providerData",
            )
        )
        packed = (*packed[:2], int(packed[2]), *packed[3:])
        orders.append((datatoken, ocean.consumer.address, 1, packed, (NO_ADDRESS, NO_ADDRESS, 0)))
        await approve(ocean.consumer, datatoken, ocean.addresses.factory, ONE_DATATOKEN)
    await approve(ocean.consumer, ocean.addresses.fee_token, ocean.addresses.factory, PRICE)
    sent = await ocean.consumer.transact(
        ocean.addresses.factory,
        "startMultipleTokenOrder((address,address,uint256,"
        "(address,address,uint256,uint8,bytes32,bytes32,uint256,bytes),(address,address,uint256))[])",
        [orders],
    )
    paying = await judge(ocean, sent.tx_id, terms_of(ocean, asset))
    assert isinstance(paying, Order)
    assert paying.fee_amount == PRICE
    free = await judge(ocean, sent.tx_id, terms_of(ocean, second))
    assert isinstance(free, Order)
    assert free.fee_amount == 0


# ---------------------------------------------------------------------------------------------------- forged ones


async def test_an_order_on_the_attackers_own_token_opens_nothing(ocean: Ocean, asset: Published) -> None:
    nft, own_token = await create_nft(ocean.stranger, ocean.addresses.factory, "Mine")
    fee = ocean.fee(asset.datatoken)  # signed for the asset, as anybody may ask for it
    tx_id = await order(ocean.stranger, own_token, fee, service_index=1)
    assert len((await receipt_of(ocean, tx_id)).orders) == 1
    terms = terms_of(ocean, asset, consumer=ocean.stranger.address)
    assert await judge(ocean, tx_id, terms) == INVALID
    assert await judge(ocean, tx_id, replace(terms, environment=None)) == INVALID
    assert not await ocean.ledger().has_datatoken(asset.nft, own_token)
    assert await ocean.ledger().has_datatoken(nft, own_token)


def push(value: bytes) -> bytes:
    return bytes((0x5F + len(value),)) + value


def emitting(logs: list[tuple[list[str], bytes]]) -> bytes:
    """Give init code by hand that emits events with any topics and data, and deploys nothing."""
    code = b""
    for topics, data in logs:
        padded = data + b"\0" * (-len(data) % 32)
        for offset in range(0, len(padded), 32):
            code += push(padded[offset : offset + 32]) + push(offset.to_bytes(2, "big")) + b"\x52"  # MSTORE
        for topic in reversed(topics):
            code += push(bytes.fromhex(topic[2:]))
        code += push(len(data).to_bytes(2, "big")) + push(b"\0") + bytes((0xA0 + len(topics),))  # LOGn
    return code + b"\x00"


def word(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def forged_events(ocean: Ocean, asset: Published, wallet: Wallet, amount: int) -> bytes:
    """Give code that emits exactly what a real, paid order would."""
    fee = ocean.fee(asset.datatoken, amount)
    me, provider, token = wallet.address, ocean.vault.address, ocean.addresses.fee_token
    started = encode(
        ["address", "uint256", "uint256", "uint256", "uint256"], [me, ONE_DATATOKEN, 1, int(time.time()), 1]
    )
    paid = encode(
        ["uint256", "bytes", "uint8", "bytes32", "bytes32", "uint256"],
        [
            amount,
            bytes.fromhex(fee["providerData"][2:]),
            fee["v"],
            bytes.fromhex(fee["r"][2:]),
            bytes.fromhex(fee["s"][2:]),
            fee["validUntil"],
        ],
    )
    value = encode(["uint256"], [amount])
    return emitting(
        [
            ([abi.ORDER_STARTED.topic, word(me), word(NO_ADDRESS)], started),
            ([abi.PROVIDER_FEE.topic, word(provider), word(token)], paid),
            ([abi.TRANSFER.topic, word(me), word(asset.datatoken)], value),
            ([abi.TRANSFER.topic, word(asset.datatoken), word(provider)], value),
        ]
    )


async def test_a_contract_that_merely_emits_the_events_opens_nothing(ocean: Ocean, asset: Published) -> None:
    sent = await ocean.stranger.send(None, forged_events(ocean, asset, ocean.stranger, PRICE))
    receipt = await receipt_of(ocean, sent.tx_id)
    assert len(receipt.orders) == len(receipt.fees) == 1
    assert receipt.fees[0].signer == ocean.vault.address
    terms = terms_of(ocean, asset, consumer=ocean.stranger.address)
    assert await judge(ocean, sent.tx_id, terms) == INVALID
    # the events themselves are perfect: only their address gives them away
    forged = receipt.orders[0].address
    believed = check(receipt, replace(terms, datatoken=forged, environment=None), time.time())
    assert believed.consumer == ocean.stranger.address


async def test_rubbish_under_the_right_topics_is_no_event(ocean: Ocean) -> None:
    topics = [abi.ORDER_STARTED.topic, abi.ORDER_REUSED.topic, abi.PROVIDER_FEE.topic, abi.TRANSFER.topic]
    sent = await ocean.stranger.send(None, emitting([([topic], b"\xff" * 64) for topic in topics]))
    receipt = await receipt_of(ocean, sent.tx_id)
    assert (receipt.orders, receipt.reuses, receipt.fees, receipt.transfers) == ((), (), (), ())


async def test_an_order_of_one_service_is_not_replayed_for_another(ocean: Ocean, asset: Published) -> None:
    tx_id = await order(
        ocean.consumer, asset.datatoken, ocean.fee(asset.datatoken, service_id="access-id"), service_index=0
    )
    access = terms_of(ocean, asset, service_id="access-id", service_index=0, environment=None)
    assert isinstance(await judge(ocean, tx_id, access), Order)
    assert await judge(ocean, tx_id, terms_of(ocean, asset, environment=None)) == INVALID
    assert await judge(ocean, tx_id, terms_of(ocean, asset)) == INVALID
    again = await reuse_order(ocean.consumer, asset.datatoken, tx_id, ocean.fee(asset.datatoken, PRICE))
    assert await judge(ocean, again, terms_of(ocean, asset)) == INVALID


async def test_a_fee_for_another_service_or_environment_does_not_pay(ocean: Ocean, asset: Published) -> None:
    for fee in (
        ocean.fee(asset.datatoken, PRICE, service_id="access-id"),
        ocean.fee(asset.datatoken, PRICE, environment="small"),
        ocean.fee(ocean.addresses.fee_token, PRICE),
    ):
        tx_id = await order(ocean.consumer, asset.datatoken, fee, service_index=1)
        assert await judge(ocean, tx_id, terms_of(ocean, asset)) == UNPAID


async def test_a_fee_that_another_key_signed_does_not_pay(ocean: Ocean, asset: Published) -> None:
    """The contract takes any fee that its own address signed, so the attacker can sign one to itself."""
    attacker = KeyVault(Account.from_hex(ocean.chain.accounts[5].private_key))
    fee = ocean.fee(asset.datatoken, 0, vault=attacker)
    tx_id = await order(ocean.consumer, asset.datatoken, fee, service_index=1)
    assert await judge(ocean, tx_id, terms_of(ocean, asset)) == UNPAID


async def test_a_fee_signed_for_more_cannot_be_ordered_with_zero(ocean: Ocean, asset: Published) -> None:
    fee = ocean.fee(asset.datatoken, PRICE) | {"providerFeeAmount": "0"}
    with pytest.raises(MarketError, match="Invalid provider fee"):
        await order(ocean.consumer, asset.datatoken, fee, service_index=1)


async def test_a_fee_in_no_token_moves_nothing(ocean: Ocean, asset: Published) -> None:
    """The contract skips the payment where the token is the zero address, and emits the event all the same."""
    fee = ocean.fee(asset.datatoken, PRICE, token=NO_ADDRESS)
    tx_id = await order(ocean.consumer, asset.datatoken, fee, service_index=1)
    receipt = await receipt_of(ocean, tx_id)
    assert receipt.fees[0].amount == PRICE
    assert await judge(ocean, tx_id, terms_of(ocean, asset)) == UNPAID


async def test_a_fee_paid_in_a_foreign_token_is_not_the_fee(ocean: Ocean, asset: Published) -> None:
    """The payment is looked for in the token that was signed, not in any token that moved."""
    foreign = await deploy_artifact(ocean.consumer, "MockERC20", [ocean.consumer.address, "Foreign", "F"])
    fee = ocean.fee(asset.datatoken, 1000, token=foreign)
    tx_id = await order(ocean.consumer, asset.datatoken, fee, service_index=1)
    receipt = await receipt_of(ocean, tx_id)
    spoofed = replace(receipt.fees[0], fee_token=ocean.addresses.fee_token)
    with pytest.raises(Refused, match="fees_not_paid"):
        check(replace(receipt, fees=(spoofed,)), terms_of(ocean, asset), time.time())


async def test_other_consumers_cannot_use_it(ocean: Ocean, asset: Published) -> None:
    tx_id = await order(ocean.consumer, asset.datatoken, ocean.fee(asset.datatoken), service_index=1)
    terms = terms_of(ocean, asset, consumer=ocean.stranger.address, environment=None)
    assert await judge(ocean, tx_id, terms) == INVALID
    again = await reuse_order(ocean.stranger, asset.datatoken, tx_id, ocean.fee(asset.datatoken))
    assert await judge(ocean, again, terms) == INVALID


async def test_a_mere_transfer_is_no_order(ocean: Ocean, asset: Published) -> None:
    sent = await transfer(ocean.consumer, asset.datatoken, ocean.publisher.address, ONE_DATATOKEN)
    assert await judge(ocean, sent.tx_id, terms_of(ocean, asset)) == INVALID


async def test_a_second_datatoken_of_the_same_nft_is_another_service(ocean: Ocean, asset: Published) -> None:
    second = await create_datatoken(ocean.publisher, asset.nft)
    await ocean.give_datatoken(second)
    tx_id = await order(ocean.consumer, second, ocean.fee(asset.datatoken), service_index=1)
    assert await ocean.ledger().has_datatoken(asset.nft, second)
    assert await judge(ocean, tx_id, terms_of(ocean, asset)) == INVALID


async def test_a_failed_transaction_is_no_order(ocean: Ocean, asset: Published) -> None:
    """It is mined with status 0, because its gas was fixed and nobody asked before."""
    fee = "(address,address,uint256,uint8,bytes32,bytes32,uint256,bytes)"
    function = f"startOrder(address,uint256,{fee},(address,address,uint256))"
    me = ocean.stranger.address
    arguments = [me, 1, (me, me, 0, 27, b"\0" * 32, b"\0" * 32, 0, b""), (NO_ADDRESS, NO_ADDRESS, 0)]
    before = int(str(await ocean.chain.call("eth_blockNumber")), 16)
    with pytest.raises(MarketError, match="Not enough datatokens"):
        await ocean.stranger.transact(asset.datatoken, function, arguments, gas=500_000)
    block: Any = await ocean.chain.call("eth_getBlockByNumber", [hex(before + 1), False])
    receipt = await receipt_of(ocean, block["transactions"][0])
    assert not receipt.succeeded
    terms = terms_of(ocean, asset, consumer=me, environment=None)
    assert await judge(ocean, receipt.tx_id, terms) == INVALID


async def test_too_few_confirmations(ocean: Ocean, asset: Published) -> None:
    tx_id = await order(ocean.consumer, asset.datatoken, ocean.fee(asset.datatoken), service_index=1)
    terms = terms_of(ocean, asset, environment=None, confirmations=3)
    assert await judge(ocean, tx_id, terms) == INVALID
    await ocean.chain.call("evm_mine")
    await ocean.chain.call("evm_mine")
    assert isinstance(await judge(ocean, tx_id, terms), Order)


async def test_times_end_orders_and_fees(ocean: Ocean, asset: Published) -> None:
    tx_id = await order(
        ocean.consumer, asset.datatoken, ocean.fee(asset.datatoken, PRICE, seconds=600), service_index=1
    )
    now = time.time()
    assert isinstance(await judge(ocean, tx_id, terms_of(ocean, asset), now + 600), Order)
    assert await judge(ocean, tx_id, terms_of(ocean, asset), now + 800) == UNPAID
    assert await judge(ocean, tx_id, terms_of(ocean, asset), now + 4000) == INVALID
    assert isinstance(
        await judge(ocean, tx_id, terms_of(ocean, asset, timeout=0, environment=None), now + 10**8), Order
    )


async def test_a_quote_whose_time_is_over_does_not_pay(ocean: Ocean, asset: Published) -> None:
    """The contract takes it all the same."""
    fee = ocean.fee(asset.datatoken, PRICE, seconds=-100)
    tx_id = await order(ocean.consumer, asset.datatoken, fee, service_index=1)
    assert await judge(ocean, tx_id, terms_of(ocean, asset)) == UNPAID
