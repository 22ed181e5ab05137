"""Ocean's Escrow on a chain of this process: locked once and claimed once, whatever is lost on the way."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.chain import Ocean
from tests.support.escrow import Escrowed, Funds, deploy_escrow
from tests.support.lines import Line

from cove.core.errors import Refused, Unavailable
from cove.core.job import JobId
from cove.core.payment import Payment, PaymentState
from cove.ledgers.escrow import EvmEscrow
from cove.ledgers.sending import Outbox, Patience
from cove.ports import Mined

AMOUNT = 10**18


@dataclass
class Desk:
    """Brings one payment along as the service does, and keeps what is written down."""

    line: Line
    place: Escrowed
    payment: Payment

    @property
    def escrow(self) -> EvmEscrow:
        """Give one that remembers nothing, as after a restart."""
        ocean = self.line.ocean
        outbox = Outbox(self.line, 8996, ocean.vault, lambda: 1000.0, Patience(poll=0.25))
        return EvmEscrow(self.line, 8996, self.place.address, ocean.vault.address, outbox)

    async def save(self, payment: Payment) -> Payment:
        self.payment = replace(payment, version=payment.version + 1)
        return self.payment

    async def advance(self) -> Mined | None:
        return await self.escrow.advance(self.payment, self.save)

    async def lock(self) -> None:
        assert await self.advance() is not None

    def claims(self, amount: int, proof: str = "") -> None:
        state = PaymentState.CLAIMING
        self.payment = replace(self.payment, state=state, claim=amount, proof=proof, sent=())

    async def funds(self) -> Funds:
        return await self.place.funds(self.line.ocean.consumer)


@pytest.fixture
async def desk(ocean: Ocean) -> Desk:
    place = await deploy_escrow(ocean.publisher, ocean.addresses)
    await place.deposit(ocean.consumer, 2 * AMOUNT)
    await place.authorize(ocean.consumer, ocean.vault.address, 2 * AMOUNT, 1000, 2)
    payment = Payment(
        job_id=JobId(secrets.token_hex(16)), chain_id=8996, escrow=place.address, token=place.token,
        payer=ocean.consumer.address, rate=1, amount=AMOUNT, lock_seconds=1000,
    )  # fmt: skip
    return Desk(Line(ocean), place, payment)


async def test_a_lock_is_claimed_in_part_and_the_rest_goes_back(desk: Desk) -> None:
    ocean = desk.line.ocean
    assert await desk.escrow.problem(desk.payment) == ""
    assert await desk.escrow.expiry(desk.payment) is None
    await desk.lock()
    assert await desk.funds() == Funds(AMOUNT, AMOUNT)
    block: Any = await ocean.chain.call("eth_getBlockByNumber", ["latest", False])
    assert await desk.escrow.expiry(desk.payment) == int(block["timestamp"], 16) + 1000
    before = await desk.place.tokens(ocean.consumer, ocean.vault.address)
    desk.claims(AMOUNT // 4, "ab" * 32)
    mined = await desk.advance()
    assert mined is not None
    assert await desk.funds() == Funds(AMOUNT + AMOUNT * 3 // 4, 0)
    gained = await desk.place.tokens(ocean.consumer, ocean.vault.address) - before
    assert AMOUNT // 5 < gained <= AMOUNT // 4  # less the community's part
    assert await desk.escrow.expiry(desk.payment) is None


async def test_a_claim_of_nothing_gives_all_back_at_once(desk: Desk) -> None:
    await desk.lock()
    desk.claims(0)
    assert await desk.advance() is not None
    assert await desk.funds() == Funds(2 * AMOUNT, 0)


async def test_what_is_done_again_is_done_once(desk: Desk) -> None:
    first = await desk.advance()
    again = await desk.advance()
    assert (first, again) == (Mined(desk.payment.sent[-1].tx_id, desk.payment),) * 2
    assert len(desk.line.sent) == 1
    desk.claims(AMOUNT)
    await desk.advance()
    await desk.advance()
    assert len(desk.line.sent) == 2
    assert (await desk.funds()).available == AMOUNT


async def test_what_is_lost_on_the_way_is_sent_again_as_it_is(desk: Desk) -> None:
    desk.line.lose = 1
    assert await desk.advance() is None
    assert await desk.advance() is not None
    first, second = desk.line.sent
    assert first == second


async def test_a_second_lock_for_the_same_job_is_refused(desk: Desk) -> None:
    await desk.lock()
    desk.payment = replace(desk.payment, sent=())
    with pytest.raises(Refused) as problem:
        await desk.advance()
    assert "JobId already exists" in problem.value.reason


async def test_a_claim_without_a_lock_is_refused(desk: Desk) -> None:
    desk.claims(1)
    with pytest.raises(Refused) as problem:
        await desk.advance()
    assert "Lock not found" in problem.value.reason


async def test_why_nothing_can_be_locked_is_said(desk: Desk) -> None:
    escrow, payment = desk.escrow, desk.payment
    stranger = desk.line.ocean.stranger.address
    for wrong, words in (
        (replace(payment, payer=stranger, amount=1), f"{stranger} has 0 of token"),
        (replace(payment, payer=stranger, amount=0), "lets this provider lock nothing"),
        (replace(payment, amount=2 * AMOUNT + 1), "and needs"),
        (replace(payment, lock_seconds=1001), "lock for 1000 s, and 1001 s are needed"),
    ):
        assert words in await escrow.problem(wrong)
    await desk.lock()
    other = replace(payment, job_id=JobId("0" * 32), sent=())
    desk.payment = other
    await desk.lock()
    assert await escrow.problem(replace(payment, amount=0)) == (
        f"{payment.payer} lets this provider have 2 locks, and it has them: authorize in escrow {payment.escrow}: "
        f"token {payment.token}, payee {desk.line.ocean.vault.address}."
    )


async def test_a_chain_that_is_down_is_unavailable(desk: Desk) -> None:
    desk.line.down = True
    for asked in (desk.escrow.problem(desk.payment), desk.escrow.expiry(desk.payment), desk.advance()):
        with pytest.raises(Unavailable):
            await asked


async def test_where_there_is_no_contract(desk: Desk) -> None:
    nowhere = EvmEscrow(desk.line, 8996, "0x" + "1" * 40, desk.payment.payer, Outbox(
        desk.line, 8996, desk.line.ocean.vault, lambda: 1000.0
    ))  # fmt: skip
    with pytest.raises(Unavailable, match="no escrow contract"):
        await nowhere.problem(desk.payment)
