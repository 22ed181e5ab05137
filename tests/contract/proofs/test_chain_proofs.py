"""``orderExecuted`` of the real datatoken: sent once, whatever is lost, replaced or refused on the way."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_defunct
from tests.chain import Ocean
from tests.support.lines import Line

from cove.client import Signer
from cove.client.market import Wallet, transfer
from cove.core.errors import Refused, Unavailable
from cove.core.proof import Access, Proof, provider_data
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account, recover
from cove.ledgers import abi
from cove.ledgers.executed import ChainProofs
from cove.ledgers.rpc import RpcError
from cove.ledgers.sending import Patience

NUMBERS = itertools.count(1)


@dataclass
class Desk:
    """Delivers one proof as the service does, and keeps what is written down."""

    line: Line
    vault: KeyVault
    access: Access
    patience: Patience = field(default_factory=lambda: Patience(poll=0.25))
    saved: list[Proof] = field(default_factory=list)
    clock: float = 1000.0

    @property
    def sink(self) -> ChainProofs:
        """Give a sink that remembers nothing, as after a restart."""
        return ChainProofs(
            self.line, 8996, self.vault, recover=recover, now=lambda: self.clock, patience=self.patience
        )  # fmt: skip

    @property
    def proof(self) -> Proof:
        return self.saved[-1] if self.saved else Proof(1, "chain:8996", self.access)

    async def save(self, proof: Proof) -> Proof:
        self.saved.append(replace(proof, version=proof.version + 1))
        return self.saved[-1]

    async def deliver(self) -> float | None:
        return await self.sink.deliver(self.proof, self.save)

    async def events(self) -> list[dict[str, Any]]:
        topic = (
            "0x" + abi.keccak(b"OrderExecuted(address,address,bytes32,bytes,bytes,bytes,bytes,uint256,uint256)").hex()
        )
        wanted = {"fromBlock": "0x0", "address": self.access.datatoken, "topics": [topic]}
        logs = await self.line.ocean.chain.call("eth_getLogs", [wanted])
        assert isinstance(logs, list)
        kinds = ["bytes32", "bytes", "bytes", "bytes", "bytes", "uint256", "uint256"]
        found = []
        for log in logs:
            tx, ours, ours_signed, theirs, theirs_signed, *_ = abi.decode(kinds, bytes.fromhex(log["data"][2:]))
            found.append({
                "provider": abi.checksum("0x" + log["topics"][1][-40:]),
                "consumer": abi.checksum("0x" + log["topics"][2][-40:]),
                "tx": "0x" + tx.hex(),
                "data": (ours.decode(), theirs.decode()),
                "signed": (len(ours_signed), "0x" + theirs_signed.hex()),
                "at": log["transactionHash"],
            })  # fmt: skip
        return found


@pytest.fixture
async def desk(ocean: Ocean) -> AsyncIterator[Desk]:
    asset = await ocean.publish()
    text = f"{asset.did}17"
    signature = Signer(ocean.chain.accounts[2].private_key).sign(text)
    about = provider_data(asset.did, "access-id", 0)
    order = "0x" + f"{next(NUMBERS):064x}"
    access = Access(8996, order, asset.datatoken, ocean.consumer.address, about, text, signature)
    yield Desk(Line(ocean), ocean.vault, access)
    await ocean.chain.call("evm_setAutomine", [True])
    await ocean.chain.call("evm_mine", [])


async def test_the_contract_says_what_both_signed(desk: Desk) -> None:
    assert desk.sink.takes(desk.access)
    assert await desk.deliver() is None
    (event,) = await desk.events()
    access = desk.access
    assert event == {
        "provider": desk.vault.address,
        "consumer": access.consumer,
        "tx": access.order_tx,
        "data": (access.provider_data, access.consumer_data),
        "signed": (65, access.consumer_signature),
        "at": desk.proof.sent[0].tx_id,
    }
    assert await desk.deliver() is None  # again, as after a restart before it was written down as done
    assert (len(desk.line.sent), len(await desk.events())) == (1, 1)


async def test_what_is_not_mined_yet_is_waited_for_and_not_sent_as_another(desk: Desk) -> None:
    await desk.line.ocean.chain.call("evm_setAutomine", [False])
    for _ in range(3):
        assert await desk.deliver() == 0.25
    assert len({*desk.line.sent}) == len(desk.saved) == 1
    await desk.line.ocean.chain.call("evm_mine", [])
    assert await desk.deliver() is None
    assert len(await desk.events()) == 1


async def test_what_was_lost_is_sent_again_as_it_was(desk: Desk) -> None:
    desk.line.lose = 1
    assert await desk.deliver() == 0.25
    assert await desk.events() == []
    assert await desk.deliver() is None
    assert desk.line.sent[0] == desk.line.sent[1]
    assert len(await desk.events()) == 1


async def test_what_waits_too_long_is_replaced_by_what_pays_more(desk: Desk) -> None:
    await desk.line.ocean.chain.call("evm_setAutomine", [False])
    for _ in range(9):
        assert await desk.deliver() == 0.25
        desk.clock += 91
    sent = desk.proof.sent
    assert (len(sent), {entry.nonce for entry in sent}) == (6, {sent[0].nonce})  # prices do not rise for ever
    for before, after in itertools.pairwise(sent):
        assert after.gas_price >= before.gas_price * 1.125
    await desk.line.ocean.chain.call("evm_mine", [])
    assert await desk.deliver() is None  # any of them may be the one that was mined
    (event,) = await desk.events()
    assert event["at"] in {entry.tx_id for entry in sent}


async def test_what_the_node_never_shows_is_sent_again_and_counts_at_last(desk: Desk) -> None:
    desk.line.lose = 100
    while desk.clock < 1900:
        assert await desk.deliver() == 0.25
        desk.clock += 100
    desk.clock += 1
    with pytest.raises(Unavailable, match="has not mined"):
        await desk.deliver()
    assert len({entry.nonce for entry in desk.proof.sent}) == 1
    desk.line.lose = 0
    assert await desk.deliver() is None
    assert len(await desk.events()) == 1


async def test_a_nonce_that_somebody_else_took_is_replaced(desk: Desk, ocean: Ocean) -> None:
    desk.line.lose = 1
    await desk.deliver()
    other = Wallet(ocean.chain.accounts[1].private_key, ocean.chain)
    await transfer(other, ocean.addresses.fee_token, ocean.stranger.address, 0)
    assert await desk.deliver() is None
    assert len(desk.proof.sent) == 1
    assert len(await desk.events()) == 1


async def test_a_node_that_is_down_is_told(desk: Desk) -> None:
    desk.line.down = True
    with pytest.raises(Unavailable, match="chain 8996"):
        await desk.deliver()
    assert desk.saved == []


async def test_an_account_without_coin_is_told(desk: Desk) -> None:
    desk.vault = KeyVault(Account.from_hex("77" * 32))
    with pytest.raises(Unavailable, match="refused: .*(insufficient|afford|enough)"):
        await desk.deliver()
    assert await desk.events() == []


async def test_what_the_contract_refuses_is_refused_for_good(desk: Desk) -> None:
    desk.access = replace(desk.access, consumer_data="something else")
    assert not desk.sink.takes(desk.access)
    with pytest.raises(Refused, match="Consumer signature check failed") as caught:
        await desk.deliver()
    assert caught.value.reason.startswith("the datatoken refuses it")
    assert desk.line.sent == []


async def test_a_contract_that_says_nothing_is_no_proof(desk: Desk, ocean: Ocean) -> None:
    desk.access = replace(desk.access, datatoken=ocean.stranger.address)
    with pytest.raises(Refused, match="holds no OrderExecuted"):
        await desk.deliver()


def test_what_the_contract_cannot_check_is_not_taken(desk: Desk, ocean: Ocean) -> None:
    access, key = desk.access, ocean.chain.accounts[2].private_key
    plain = EthAccount.sign_message(encode_defunct(text=access.consumer_data), key).signature.hex()
    for signature in ("", "0x", "0xzz", access.consumer_signature + "00", "0x" + plain.removeprefix("0x")):
        assert not desk.sink.takes(replace(access, consumer_signature=signature))
    assert not desk.sink.takes(replace(access, chain_id=1))
    assert not desk.sink.takes(replace(access, consumer=desk.vault.address))
    assert desk.sink.takes(replace(access, consumer=access.consumer.lower()))


async def test_a_node_that_knows_the_transaction_is_no_trouble(desk: Desk) -> None:
    class Known(Line):
        async def call(self, method: str, params: Sequence[object] = ()) -> object:
            answer = await super().call(method, params)
            if method == "eth_sendRawTransaction":
                raise RpcError(-32000, "already known")
            return answer

    desk.line = Known(desk.line.ocean)
    assert await desk.deliver() is None
