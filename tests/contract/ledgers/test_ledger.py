"""The Ledger protocol on the real contracts."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence

import pytest
from tests.chain import Ocean

from cove.client.market import Wallet, create_nft, deploy_artifact, set_metadata, set_metadata_state
from cove.core.errors import Unavailable
from cove.crypto.keys import recover
from cove.ledgers.evm import EvmLedger

UNKNOWN = "0x" + "ab" * 32


class Counting:
    """The chain, with every call written down."""

    def __init__(self, ocean: Ocean) -> None:
        self.chain = ocean.chain
        self.methods: list[str] = []

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        self.methods.append(method)
        return await self.chain.call(method, params)

    async def close(self) -> None:
        """The chain is shared."""


def counted(ocean: Ocean) -> tuple[Counting, EvmLedger]:
    rpc = Counting(ocean)
    return rpc, EvmLedger(rpc, 8996, ocean.addresses.factory, recover=recover)


async def test_an_unknown_transaction_is_answered_at_once(ocean: Ocean) -> None:
    rpc, ledger = counted(ocean)
    assert await ledger.receipt(UNKNOWN) is None
    assert await ledger.metadata_of_transaction(UNKNOWN, ocean.addresses.factory) is None
    assert rpc.methods[:3] == ["eth_chainId", "eth_getTransactionReceipt", "eth_getTransactionByHash"]
    assert len(rpc.methods) == 5


async def test_a_transaction_that_is_known_is_waited_for(ocean: Ocean) -> None:
    wallet = Wallet(ocean.chain.accounts[6].private_key, ocean.chain)
    await ocean.chain.call("evm_setAutomine", [False])
    try:
        sending = asyncio.create_task(wallet.send(wallet.address, b"", value=1))
        tx_id = await waiting_transaction(ocean, wallet)
        asked = asyncio.create_task(ocean.ledger().receipt(tx_id))
        await asyncio.wait([asked], timeout=0.3)
        assert not asked.done()
        await ocean.chain.call("evm_mine")
        receipt = await asked
    finally:
        await ocean.chain.call("evm_setAutomine", [True])
    assert receipt is not None
    assert receipt.sender == wallet.address
    await sending


async def waiting_transaction(ocean: Ocean, wallet: Wallet) -> str:
    """Give the transaction that a wallet has sent and nobody mined."""
    for _ in range(12_000):  # two minutes
        waiting = await ocean.chain.call("txpool_content")
        assert isinstance(waiting, dict)
        if wallet.address in waiting["pending"]:
            (entry,) = waiting["pending"][wallet.address].values()
            return str(entry["hash"])
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was sent")


async def test_waiting_for_a_known_transaction_has_an_end(ocean: Ocean) -> None:
    wallet = Wallet(ocean.chain.accounts[7].private_key, ocean.chain)
    clock = iter(range(0, 100, 2))
    ledger = EvmLedger(
        ocean.chain, 8996, ocean.addresses.factory, recover=recover, monotonic=lambda: float(next(clock))
    )
    await ocean.chain.call("evm_setAutomine", [False])
    try:
        sending = asyncio.create_task(wallet.send(wallet.address, b"", value=1))
        tx_id = await waiting_transaction(ocean, wallet)
        assert await ledger.receipt(tx_id) is None
        await ocean.chain.call("evm_mine")
    finally:
        await ocean.chain.call("evm_setAutomine", [True])
    await sending


async def test_owner_and_state_of_an_nft(ocean: Ocean) -> None:
    published = await ocean.publish()
    ledger = ocean.ledger()
    facts = await ledger.nft(published.nft)
    assert facts is not None
    assert (facts.owner, facts.state) == (ocean.publisher.address, 0)
    await set_metadata_state(ocean.publisher, published.nft, 3)
    changed = await ledger.nft(published.nft.lower())
    assert changed is not None
    assert changed.state == 3


async def test_a_sold_nft_has_its_new_owner(ocean: Ocean) -> None:
    nft, _ = await create_nft(ocean.publisher, ocean.addresses.factory, "For sale")
    await ocean.publisher.transact(
        nft, "transferFrom(address,address,uint256)", [ocean.publisher.address, ocean.stranger.address, 1]
    )
    facts = await ocean.ledger().nft(nft)
    assert facts is not None
    assert facts.owner == ocean.stranger.address


async def test_what_the_factory_did_not_make_is_no_nft(ocean: Ocean) -> None:
    ledger = ocean.ledger()
    template = await deploy_artifact(ocean.stranger, "ERC721Template", [])
    for address in (template, ocean.addresses.factory, ocean.stranger.address, "0x" + "0" * 40):
        assert await ledger.nft(address) is None
        assert not await ledger.has_datatoken(address, address)


async def test_datatokens_belong_to_their_nft(ocean: Ocean) -> None:
    one, two = await ocean.publish(), await ocean.publish()
    ledger = ocean.ledger()
    assert await ledger.has_datatoken(one.nft, one.datatoken)
    assert await ledger.has_datatoken(one.nft.lower(), one.datatoken.lower())
    assert not await ledger.has_datatoken(one.nft, two.datatoken)
    assert not await ledger.has_datatoken(one.nft, "0x" + "0" * 40)


async def test_decimals_are_asked_for_once(ocean: Ocean) -> None:
    rpc, ledger = counted(ocean)
    assert await ledger.token_decimals(ocean.addresses.fee_token) == 18
    before = len(rpc.methods)
    assert await ledger.token_decimals(ocean.addresses.fee_token.lower()) == 18
    assert len(rpc.methods) == before
    six = await deploy_artifact(ocean.stranger, "MockERC20Decimals", ["Six", "SIX", 6])
    assert await ledger.token_decimals(six) == 6
    with pytest.raises(Unavailable, match="no ERC-20"):
        await ledger.token_decimals(ocean.stranger.address)


async def test_the_head_moves(ocean: Ocean) -> None:
    ledger = ocean.ledger()
    number, seconds = await ledger.head()
    await ocean.chain.call("evm_mine")
    later, later_seconds = await ledger.head()
    assert later == number + 1
    assert seconds <= later_seconds <= time.time() + 10_000


async def test_metadata_events_are_given_in_order(ocean: Ocean) -> None:
    ledger = ocean.ledger()
    first, _ = await ledger.head()
    published = await ocean.publish()
    await set_metadata(ocean.publisher, published.nft, b'{"second":true}', ocean.encrypt, url="http://p", flags=0)
    last, _ = await ledger.head()
    one, two = await ledger.metadata_events(first + 1, last)
    assert (one.nft, one.tx_id, one.flags, one.state) == (published.nft, published.tx_id, 3, 0)
    assert one.metadata_hash == hashlib.sha256(published.document).digest()
    assert (two.flags, two.data, two.decryptor_url) == (0, b'{"second":true}', "http://p")
    assert await ledger.metadata_events(last + 1, last) == []
    found = await ledger.metadata_of_transaction(published.tx_id, published.nft.lower())
    assert found == one
    assert await ledger.metadata_of_transaction(published.tx_id, ocean.addresses.factory) is None


async def test_contract_wallets_are_asked(ocean: Ocean) -> None:
    """A wallet made by hand: its code answers the magic value to whatever it is asked, another one zero."""
    ledger = ocean.ledger()
    for magic, good in ((b"\x16\x26\xba\x7e", True), (b"\0\0\0\1", False)):
        runtime = b"\x63" + magic + b"\x60\xe0\x1b\x60\x00\x52\x60\x20\x60\x00\xf3"
        init = b"\x6f" + runtime.ljust(16, b"\0") + b"\x60\x00\x52\x60\x10\x60\x10\xf3"
        wallet = await ocean.stranger.deploy(init, "()", [])
        assert await ledger.valid_wallet_signature(wallet, b"\1" * 32, b"signature") is good
    assert not await ledger.valid_wallet_signature(ocean.stranger.address, b"\1" * 32, b"")
    assert not await ledger.valid_wallet_signature(ocean.addresses.factory, b"\1" * 32, b"")


async def test_a_contract_is_called(ocean: Ocean) -> None:
    ledger = ocean.ledger()
    decimals = bytes.fromhex("313ce567")
    assert await ledger.call(ocean.addresses.fee_token, decimals) == (18).to_bytes(32)
    assert await ledger.call(ocean.addresses.fee_token, b"\xff" * 4) is None
    assert await ledger.call(ocean.stranger.address, decimals) == b""


async def test_another_chain_is_never_read(ocean: Ocean) -> None:
    ledger = EvmLedger(ocean.chain, 1, ocean.addresses.factory, recover=recover)
    with pytest.raises(Unavailable, match="serves chain 8996"):
        await ledger.head()


async def test_a_chain_without_the_factory_says_so(ocean: Ocean) -> None:
    ledger = EvmLedger(ocean.chain, 8996, ocean.stranger.address, recover=recover)
    with pytest.raises(Unavailable, match="no ERC721Factory"):
        await ledger.nft(ocean.addresses.factory)
