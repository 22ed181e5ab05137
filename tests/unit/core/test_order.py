"""Which transactions pay for a service. The events are made as the ERC20 template emits them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import Refused
from cove.core.fees import provider_data
from cove.core.order import (
    GRACE_SECONDS,
    ONE_DATATOKEN,
    Order,
    OrderReused,
    OrderStarted,
    OrderTerms,
    ProviderFeePaid,
    Receipt,
    TokenTransfer,
    check,
    reused_order_tx,
)


def address(digit: str) -> str:
    return "0x" + digit * 40


DATATOKEN, PROVIDER, USER, TOKEN, COLLECTOR = (address(digit) for digit in "a1234")
PUBLISHER, STRANGER, OTHER_TOKEN, OTHER_DATATOKEN = (address(digit) for digit in "5678")
QUOTED = 1_000_000
BLOCK = QUOTED + 40
TX = "0x" + "0f" * 32
REUSE_TX = "0x" + "e1" * 32
TERMS = OrderTerms(DATATOKEN, "service", 1, 3600, USER, PROVIDER, "env", fee_token=TOKEN)
STARTED = OrderStarted(DATATOKEN, 0, USER, USER, ONE_DATATOKEN, 1, BLOCK)
FEE = ProviderFeePaid(
    DATATOKEN,
    1,
    PROVIDER,
    TOKEN,
    100,
    provider_data("env", QUOTED + 0.75, DATATOKEN, "service"),
    27,
    b"",
    b"",
    QUOTED + 600,
    PROVIDER,
)
TRANSFERS = (
    TokenTransfer(TOKEN, 2, USER, DATATOKEN, 100),
    TokenTransfer(TOKEN, 3, DATATOKEN, PROVIDER, 97),
    TokenTransfer(TOKEN, 4, DATATOKEN, COLLECTOR, 3),
    TokenTransfer(DATATOKEN, 5, USER, PUBLISHER, ONE_DATATOKEN),
)
RECEIPT = Receipt(
    tx_id=TX,
    succeeded=True,
    block_number=7,
    block_time=BLOCK,
    confirmations=1,
    sender=USER,
    orders=(STARTED,),
    fees=(FEE,),
    transfers=TRANSFERS,
)
REUSED = OrderReused(DATATOKEN, 0, TX, USER, BLOCK + 3000)
REUSE = replace(
    RECEIPT,
    tx_id=REUSE_TX,
    block_time=BLOCK + 3000,
    orders=(),
    reuses=(REUSED,),
    fees=(replace(FEE, valid_until=QUOTED + 4000),),
)


def refusal(receipt: Receipt, terms: OrderTerms = TERMS, now: float = BLOCK, first: Receipt | None = None) -> str:
    with pytest.raises(Refused) as caught:
        check(receipt, terms, now, first)
    assert caught.value.hint
    return f"{caught.value.field}: {caught.value.reason}"


INVALID = "serviceId: order_invalid"
UNPAID = "order: fees_not_paid"


def test_a_good_order_says_what_it_bought() -> None:
    order = check(RECEIPT, TERMS, BLOCK)
    assert order == Order(TX, DATATOKEN, 1, USER, USER, BLOCK, BLOCK + 3600, QUOTED + 600 + 40 + 90, 600, 100)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: replace(r, succeeded=False),
        lambda r: replace(r, confirmations=0),
        lambda r: replace(r, orders=()),
        lambda r: replace(r, orders=(replace(STARTED, address=OTHER_DATATOKEN),)),
        lambda r: replace(r, orders=(replace(STARTED, amount=ONE_DATATOKEN - 1),)),
        lambda r: replace(r, orders=(replace(STARTED, service_index=0),)),
        lambda r: replace(r, orders=(replace(STARTED, consumer=STRANGER, payer=STRANGER),)),
    ],
)
def test_what_is_no_order_is_refused(spoil: Callable[[Receipt], Receipt]) -> None:
    assert refusal(spoil(RECEIPT)) == INVALID
    assert refusal(spoil(RECEIPT), replace(TERMS, environment=None)) == INVALID


@pytest.mark.parametrize(
    "fee",
    [
        replace(FEE, address=OTHER_DATATOKEN),
        replace(FEE, fee_address=STRANGER),
        replace(FEE, signer=STRANGER),
        replace(FEE, signer=""),
        replace(FEE, log_index=9, address=OTHER_DATATOKEN),
        replace(FEE, provider_data=provider_data("other", QUOTED, DATATOKEN, "service")),
        replace(FEE, provider_data=provider_data("env", QUOTED, OTHER_DATATOKEN, "service")),
        replace(FEE, provider_data=provider_data("env", QUOTED, DATATOKEN, "other")),
        replace(FEE, provider_data=b"\xff{"),
        replace(FEE, provider_data=b"[]"),
        replace(FEE, provider_data=b"[" * 100_000),
        replace(FEE, provider_data=FEE.provider_data.replace(b"1000000.75", b"NaN")),
        replace(FEE, provider_data=FEE.provider_data.replace(b"1000000.75", b"true")),
        replace(FEE, amount=101),
        replace(FEE, fee_token=OTHER_TOKEN),
        replace(FEE, fee_token=address("0")),
        replace(FEE, valid_until=QUOTED - 1000),
        replace(FEE, valid_until=0),
    ],
)
def test_what_does_not_pay_the_fee_is_refused(fee: ProviderFeePaid) -> None:
    spoiled = replace(RECEIPT, fees=(fee,))
    assert refusal(spoiled) == UNPAID
    assert check(spoiled, replace(TERMS, environment=None), BLOCK).fee_amount == 0


def test_a_fee_in_the_token_of_another_chain_does_not_pay_here() -> None:
    paid = tuple(replace(event, address=OTHER_TOKEN) if event.address == TOKEN else event for event in TRANSFERS)
    elsewhere = replace(RECEIPT, fees=(replace(FEE, fee_token=OTHER_TOKEN),), transfers=paid)
    assert refusal(elsewhere) == UNPAID
    assert check(elsewhere, replace(TERMS, fee_token=OTHER_TOKEN.upper().replace("0X", "0x")), BLOCK).fee_amount == 100
    nothing = replace(RECEIPT, fees=(replace(FEE, fee_token=OTHER_TOKEN, amount=0),))
    assert check(nothing, TERMS, BLOCK).fee_amount == 0


@pytest.mark.parametrize(
    "transfers",
    [
        (),
        TRANSFERS[3:],
        TRANSFERS[:1],
        TRANSFERS[1:],
        TRANSFERS[:2],
        (TRANSFERS[0], replace(TRANSFERS[1], amount=1), *TRANSFERS[2:]),
        (TRANSFERS[0], replace(TRANSFERS[1], recipient=STRANGER), TRANSFERS[2]),
        (replace(TRANSFERS[0], amount=99), *TRANSFERS[1:]),
        tuple(replace(transfer, address=OTHER_TOKEN) for transfer in TRANSFERS),
        tuple(replace(transfer, log_index=0) for transfer in TRANSFERS),
    ],
)
def test_a_fee_that_was_not_handed_over_is_not_paid(transfers: tuple[TokenTransfer, ...]) -> None:
    assert refusal(replace(RECEIPT, transfers=transfers)) == UNPAID


def test_a_zero_fee_needs_no_transfer() -> None:
    free = replace(RECEIPT, fees=(replace(FEE, amount=0),), transfers=())
    assert check(free, TERMS, BLOCK).fee_amount == 0


def test_payer_and_consumer_may_both_use_it_in_any_case() -> None:
    for_other = replace(RECEIPT, orders=(replace(STARTED, consumer=PROVIDER),))
    assert check(for_other, TERMS, BLOCK).consumer == PROVIDER
    assert check(RECEIPT, replace(TERMS, consumer=USER.upper().replace("X", "x"), datatoken="0x" + "A" * 40), BLOCK)
    given = replace(RECEIPT, orders=(replace(STARTED, payer=STRANGER),))
    assert check(given, TERMS, BLOCK).payer == STRANGER


def test_times_run_out() -> None:
    assert check(RECEIPT, replace(TERMS, environment=None), BLOCK + 3600)
    assert refusal(RECEIPT, replace(TERMS, environment=None), BLOCK + 3601) == INVALID
    assert check(RECEIPT, replace(TERMS, environment=None, timeout=0), BLOCK + 10**9).valid_until == 0
    end = QUOTED + 600 + (BLOCK - QUOTED) + GRACE_SECONDS
    assert check(RECEIPT, TERMS, end)
    assert refusal(RECEIPT, TERMS, end + 1) == UNPAID
    assert refusal(RECEIPT, replace(TERMS, compute=False), QUOTED + 601) == UNPAID


def test_a_block_clock_behind_ours_takes_nothing_away() -> None:
    early = replace(RECEIPT, block_time=QUOTED - 500)
    assert check(early, TERMS, QUOTED).fee_valid_until == QUOTED + 600 + GRACE_SECONDS


def test_a_reuse_counts_from_its_own_time() -> None:
    assert reused_order_tx(REUSE, TERMS) == TX
    order = check(REUSE, TERMS, BLOCK + 3700, RECEIPT)
    assert (order.tx_id, order.started_at, order.valid_until) == (REUSE_TX, BLOCK + 3000, BLOCK + 6600)
    assert (order.consumer, order.fee_amount) == (USER, 100)


@pytest.mark.parametrize(
    "first",
    [
        None,
        replace(RECEIPT, tx_id=REUSE_TX),
        replace(RECEIPT, succeeded=False),
        replace(RECEIPT, confirmations=0),
        replace(RECEIPT, orders=()),
        replace(RECEIPT, orders=(replace(STARTED, service_index=0),)),
        replace(RECEIPT, orders=(replace(STARTED, payer=STRANGER, consumer=STRANGER),)),
        replace(RECEIPT, orders=(replace(STARTED, address=OTHER_DATATOKEN),)),
    ],
)
def test_a_reuse_of_what_is_no_order_is_refused(first: Receipt | None) -> None:
    assert refusal(REUSE, TERMS, BLOCK + 3000, first) == INVALID


def test_a_foreign_reuse_points_nowhere() -> None:
    foreign = replace(REUSE, reuses=(replace(REUSED, address=OTHER_DATATOKEN),))
    assert reused_order_tx(foreign, TERMS) is None
    assert refusal(foreign, TERMS, BLOCK, RECEIPT) == INVALID
    assert reused_order_tx(RECEIPT, TERMS) is None


def moved(event: object, by: int) -> object:
    return replace(event, log_index=event.log_index + by)


def test_one_fee_pays_for_one_consumer_of_a_shared_transaction() -> None:
    """A second order without a fee must not live on the fee of the first."""
    unpaid = replace(STARTED, log_index=10, consumer=STRANGER, payer=STRANGER)
    free = replace(FEE, log_index=11, amount=0)
    shared = replace(RECEIPT, orders=(STARTED, unpaid), fees=(FEE, free))
    assert check(shared, TERMS, BLOCK).fee_amount == 100
    assert check(shared, replace(TERMS, consumer=STRANGER), BLOCK).fee_amount == 0
    bare = replace(shared, fees=(FEE,))
    assert refusal(bare, replace(TERMS, consumer=STRANGER)) == UNPAID


def test_one_payment_does_not_pay_two_fees() -> None:
    second = replace(STARTED, log_index=10), replace(FEE, log_index=11, amount=200)
    twice = replace(RECEIPT, orders=(STARTED, second[0]), fees=(FEE, second[1]))
    assert check(twice, TERMS, BLOCK).fee_amount == 100


def test_of_several_good_orders_the_best_paid_counts() -> None:
    more = tuple(moved(replace(transfer, amount=transfer.amount * 2), 10) for transfer in TRANSFERS)
    twice = replace(
        RECEIPT,
        orders=(STARTED, replace(STARTED, log_index=10)),
        fees=(FEE, replace(FEE, log_index=11, amount=200)),
        transfers=(*TRANSFERS, *more),
    )
    assert check(twice, TERMS, BLOCK).fee_amount == 200


EVENTS = st.lists(
    st.one_of(
        st.builds(
            OrderStarted,
            st.sampled_from([DATATOKEN, OTHER_DATATOKEN]),
            st.integers(0, 30),
            st.sampled_from([USER, STRANGER]),
            st.sampled_from([USER, STRANGER]),
            st.sampled_from([0, ONE_DATATOKEN]),
            st.integers(0, 1),
            st.just(BLOCK),
        ),
        st.builds(
            lambda emitter, index, signer, amount: replace(
                FEE, address=emitter, log_index=index, signer=signer, amount=amount
            ),
            st.sampled_from([DATATOKEN, OTHER_DATATOKEN]),
            st.integers(0, 30),
            st.sampled_from([PROVIDER, STRANGER, ""]),
            st.sampled_from([0, 100]),
        ),
        st.builds(
            TokenTransfer,
            st.sampled_from([TOKEN, OTHER_TOKEN]),
            st.integers(0, 30),
            st.sampled_from([USER, DATATOKEN]),
            st.sampled_from([PROVIDER, DATATOKEN, STRANGER]),
            st.sampled_from([50, 100]),
        ),
        st.builds(
            OrderReused,
            st.sampled_from([DATATOKEN, OTHER_DATATOKEN]),
            st.integers(0, 30),
            st.just(TX),
            st.just(USER),
            st.just(BLOCK),
        ),
    ),
    max_size=14,
    unique_by=lambda event: event.log_index,
)


def receipt_of(events: list[object], base: Receipt) -> Receipt:
    return replace(
        base,
        orders=tuple(event for event in events if isinstance(event, OrderStarted)),
        reuses=tuple(event for event in events if isinstance(event, OrderReused)),
        fees=tuple(event for event in events if isinstance(event, ProviderFeePaid)),
        transfers=tuple(event for event in events if isinstance(event, TokenTransfer)),
    )


def outcome(receipt: Receipt) -> Order | str:
    try:
        return check(receipt, TERMS, BLOCK, RECEIPT)
    except Refused as problem:
        return f"{problem.field}: {problem.reason}"


@given(EVENTS)
def test_an_order_is_never_good_without_its_own_events(events: list[object]) -> None:
    receipt = receipt_of(events, replace(RECEIPT, tx_id=REUSE_TX))
    found = outcome(receipt)
    if isinstance(found, str):
        assert found in {INVALID, UNPAID}
        return
    own = [event for event in events if getattr(event, "address", "") == DATATOKEN]
    assert any(isinstance(event, OrderReused | OrderStarted) for event in own)
    assert any(isinstance(event, ProviderFeePaid) and event.signer == PROVIDER for event in own)
    if found.fee_amount:
        got = [e for e in receipt.transfers if (e.address, e.sender, e.recipient) == (TOKEN, DATATOKEN, PROVIDER)]
        assert got


@given(EVENTS, st.randoms(use_true_random=False))
def test_the_order_of_a_list_and_duplicates_change_nothing(events: list[object], chance: random.Random) -> None:
    base = replace(RECEIPT, tx_id=REUSE_TX)
    shuffled = [*events, *events]
    chance.shuffle(shuffled)
    assert outcome(receipt_of(events, base)) == outcome(receipt_of(shuffled, base))


@given(EVENTS)
def test_events_of_other_contracts_change_nothing(events: list[object]) -> None:
    foreign = [replace(event, address=OTHER_DATATOKEN, log_index=event.log_index + 100) for event in events]
    with_noise = receipt_of([STARTED, FEE, *TRANSFERS, *foreign], RECEIPT)
    assert check(with_noise, TERMS, BLOCK) == check(RECEIPT, TERMS, BLOCK)
    assert outcome(receipt_of(foreign, RECEIPT)) == INVALID


PEOPLE = st.sampled_from([USER, PROVIDER, STRANGER])


@given(consumer=PEOPLE, payer=PEOPLE)
def test_an_order_with_a_holder_is_the_callers_and_the_holders(consumer: str, payer: str) -> None:
    """So it stands with services at other providers, whose fee is not ours to look at."""
    terms = replace(TERMS, environment=None, holder=PROVIDER)
    receipt = replace(RECEIPT, orders=(replace(STARTED, consumer=consumer, payer=payer),), fees=(), transfers=())
    if (consumer, payer) == (PROVIDER, USER):
        found = check(receipt, terms, BLOCK)
        assert (found.consumer, found.payer, found.fee_amount) == (PROVIDER, USER, 0)
    else:
        with pytest.raises(Refused, match="order_invalid"):
            check(receipt, terms, BLOCK)


def test_a_reuse_of_an_order_with_a_holder() -> None:
    terms = replace(TERMS, environment=None, holder=PROVIDER)
    first = replace(RECEIPT, orders=(replace(STARTED, consumer=PROVIDER),))
    assert reused_order_tx(REUSE, terms) == TX
    assert check(REUSE, terms, BLOCK + 3100, first).consumer == PROVIDER
    with pytest.raises(Refused, match="order_invalid"):
        check(REUSE, terms, BLOCK + 3100, RECEIPT)
