"""What a front end does on chain: the wallet, publishing and ordering, and what it says when something is wrong."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Mapping

import pytest
from eth_utils import to_checksum_address
from tests.chain import FILES, Ocean
from tests.support.answering import Answer, Request, answering

from cove.client.market import (
    ONE_DATATOKEN,
    AssetDraft,
    MarketError,
    ServiceDraft,
    Wallet,
    create_nft,
    deploy_artifact,
    did_of,
    mint,
    order,
    provider_encrypt,
    publish,
    set_metadata_state,
    token_balance,
    transfer,
)
from cove.core.ddo import did_of as core_did_of
from cove.crypto.keys import verify_text


async def test_a_published_asset_is_complete(ocean: Ocean) -> None:
    published = await ocean.publish()
    assert published.did == did_of(published.nft, 8996) == core_did_of(published.nft, 8996)
    assert published.did == "did:op:" + hashlib.sha256(f"{published.nft}8996".encode()).hexdigest()
    assert published.nft == to_checksum_address(published.nft)
    ddo = json.loads(published.document)
    assert ddo == published.ddo
    assert (ddo["version"], ddo["chainId"], ddo["@context"]) == ("4.1.0", 8996, ["https://w3id.org/did/v1"])
    assert b"data.csv" not in published.document
    event = await ocean.ledger().metadata_of_transaction(published.tx_id, published.nft)
    assert event is not None
    assert lzma.decompress(ocean.vault.decrypt(event.data)) == published.document


async def test_the_provider_is_asked_to_encrypt(ocean: Ocean) -> None:
    asked: list[Request] = []

    def provider(request: Request) -> Answer:
        asked.append(request)
        return Answer(b"0x" + ocean.vault.encrypt(request.body).hex().encode(), 201)

    with answering(provider) as url:
        draft = AssetDraft("An algorithm", [ServiceDraft("access", FILES, url)], type="algorithm", algorithm={})
        published = await publish(ocean.publisher, ocean.addresses.factory, draft, provider_encrypt(url, 8996), flags=3)
    assert {request.path for request in asked} == {"/api/services/encrypt?chainId=8996"}
    files = json.loads(asked[0].body)
    assert (files["nftAddress"], files["datatokenAddress"]) == (published.nft, published.datatoken)
    assert asked[0].body in ocean.vault.decrypt(bytes.fromhex(published.ddo["services"][0]["files"][2:]))


@pytest.mark.parametrize("answer", [Answer(b"no", 400), Answer(b"<html>", 200)])
async def test_a_provider_that_does_not_encrypt(answer: Answer) -> None:
    with answering(lambda _: answer) as url:
        encrypt = provider_encrypt(url, 8996)
        with pytest.raises(MarketError, match="did not encrypt"):
            await encrypt(b"x")
    with pytest.raises(MarketError, match="does not answer"):
        await encrypt(b"x")


async def test_an_asset_without_services_is_refused(ocean: Ocean) -> None:
    with pytest.raises(MarketError, match="at least one service"):
        await publish(ocean.publisher, ocean.addresses.factory, AssetDraft("x", []), ocean.encrypt)


async def test_what_is_no_factory_is_refused(ocean: Ocean) -> None:
    for address in (ocean.addresses.fee_token, ocean.stranger.address):
        with pytest.raises(MarketError):
            await create_nft(ocean.publisher, address, "x")


async def test_money_moves(ocean: Ocean) -> None:
    published = await ocean.publish()
    assert await token_balance(ocean.stranger, published.datatoken) == 0
    await mint(ocean.publisher, published.datatoken, ocean.stranger.address, 2 * ONE_DATATOKEN)
    await transfer(ocean.stranger, published.datatoken, ocean.consumer.address, ONE_DATATOKEN)
    assert await token_balance(ocean.stranger, published.datatoken) == ONE_DATATOKEN
    assert await token_balance(ocean.stranger, published.datatoken, ocean.consumer.address) == ONE_DATATOKEN
    price = 7 * 10**18
    before = await token_balance(ocean.consumer, ocean.addresses.fee_token)
    await order(ocean.consumer, published.datatoken, ocean.fee(published.datatoken, price), service_index=1)
    assert await token_balance(ocean.consumer, ocean.addresses.fee_token) == before - price
    assert await token_balance(ocean.consumer, published.datatoken) == 0


async def test_a_minter_orders_without_buying(ocean: Ocean) -> None:
    published = await ocean.publish()
    assert await order(ocean.publisher, published.datatoken, ocean.fee(published.datatoken), service_index=1)


async def test_what_is_missing_is_said_in_one_sentence(ocean: Ocean) -> None:
    published = await ocean.publish()
    fee = ocean.fee(published.datatoken, 5)
    with pytest.raises(MarketError, match="less than one datatoken"):
        await order(ocean.stranger, published.datatoken, fee)
    await ocean.give_datatoken(published.datatoken, ocean.stranger.address)
    with pytest.raises(MarketError, match="owns 0 of the fee token"):
        await order(ocean.stranger, published.datatoken, fee)
    with pytest.raises(MarketError, match="NOT MINTER"):
        await mint(ocean.stranger, published.datatoken, ocean.stranger.address)
    with pytest.raises(MarketError, match="refused"):
        await set_metadata_state(ocean.stranger, published.nft, 3)
    with pytest.raises(MarketError, match="ERC20: transfer amount exceeds balance"):
        await transfer(ocean.stranger, ocean.addresses.fee_token, ocean.consumer.address, 1)
    with pytest.raises(MarketError, match="no contract"):
        await token_balance(ocean.stranger, ocean.publisher.address)
    poor = Wallet("0x" + "77" * 32, ocean.chain)
    with pytest.raises(MarketError, match="not enough"):
        await poor.send(ocean.consumer.address, b"", value=1)


@pytest.mark.parametrize(
    "fee",
    [{}, {"providerFeeAmount": "x", "providerFeeToken": ""}, {"providerFeeAmount": "0", "providerFeeToken": "0x"}],
)
async def test_what_is_no_fee_is_refused(ocean: Ocean, fee: Mapping[str, object]) -> None:
    published = await ocean.publish()
    with pytest.raises(MarketError, match="no provider fee"):
        await order(ocean.publisher, published.datatoken, fee)


async def test_contracts_that_are_not_there_are_named(ocean: Ocean) -> None:
    with pytest.raises(MarketError, match="NoSuchContract"):
        await deploy_artifact(ocean.publisher, "NoSuchContract", [])


def test_a_wallet_signs_like_a_client_and_never_shows_its_key(ocean: Ocean) -> None:
    wallet = ocean.consumer
    assert verify_text("hello1", wallet.sign_text("hello1"), wallet.address)
    key = ocean.chain.accounts[2].private_key
    assert key[2:] not in repr(wallet)
    for text in ("", "0x12", "x" * 64, "0x" + "0" * 64):
        with pytest.raises(MarketError):
            Wallet(text, ocean.chain)


async def test_balances_and_addresses_that_are_none(ocean: Ocean) -> None:
    assert await ocean.consumer.balance() > 10**20
    with pytest.raises(MarketError, match="do not fit"):
        await transfer(ocean.consumer, ocean.addresses.fee_token, "nobody", 1)
    with pytest.raises(MarketError, match="do not fit"):
        await transfer(ocean.consumer, ocean.addresses.fee_token, ocean.stranger.address, -1)
