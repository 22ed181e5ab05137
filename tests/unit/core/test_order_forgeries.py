"""Whatever else a transaction emits, the verdict on it is that of its own purchases: orders against a plain model.

A purchase here is written down as what happened, and the model says from that alone what it must be worth. The rule
sees only the logs: those of every purchase, one after the other, with forged ones in between, in any order of the list.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import example, given
from hypothesis import strategies as st

from cove.core.errors import Refused
from cove.core.fees import provider_data
from cove.core.order import (
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

DATATOKEN, PROVIDER, USER, TOKEN, COLLECTOR, STRANGER, OTHER, CHEAP = (f"0x{digit * 40}" for digit in "a1234567")
QUOTED, NOW = 1_000_000, 1_000_040
TX, FIRST_TX = "0x" + "0f" * 32, "0x" + "f0" * 32
TERMS = OrderTerms(DATATOKEN, "service", 1, 3600, USER, PROVIDER, "env")
GAP = 100
"""Between the numbers of two logs: room for forged ones."""

Event = OrderStarted | OrderReused | ProviderFeePaid | TokenTransfer


@dataclass(frozen=True)
class Purchase:
    """What one call of a datatoken did."""

    datatoken: str = DATATOKEN
    consumer: str = USER
    payer: str = USER
    service_index: int = 1
    amount: int = ONE_DATATOKEN
    #: It reuses the order of FIRST_TX, which is good, instead of starting one.
    reuse: bool = False
    #: None: the contract emitted no fee event.
    signer: str | None = PROVIDER
    environment: str = "env"
    service_id: str = "service"
    price: int = 100
    #: Of the price; what the token's own events show.
    moved: int = 100
    #: Token that moved.
    token: str = TOKEN
    seconds: int = 600

    @property
    def is_order(self) -> bool:
        if self.reuse:
            return self.datatoken == DATATOKEN
        return (
            (self.datatoken, self.service_index) == (DATATOKEN, 1)
            and self.amount >= ONE_DATATOKEN
            and USER in {self.consumer, self.payer}
        )

    @property
    def is_paid(self) -> bool:
        fitting = (self.signer, self.environment, self.service_id) == (PROVIDER, "env", "service")
        return fitting and self.seconds > 0 and (self.price == 0 or (self.moved >= self.price and self.token == TOKEN))

    def events(self, first: int) -> list[Event]:
        """Give its logs as the template emits them, numbered from ``first``."""
        place = itertools.count(first, GAP)
        own = self.datatoken
        events: list[Event] = [
            OrderReused(own, next(place), FIRST_TX, self.payer, NOW)
            if self.reuse
            else OrderStarted(own, next(place), self.consumer, self.payer, self.amount, self.service_index, NOW)
        ]
        if self.signer is not None:
            data = provider_data(self.environment, QUOTED, own, self.service_id)
            until = QUOTED + self.seconds if self.seconds > 0 else QUOTED - 10_000
            events.append(
                ProviderFeePaid(own, next(place), PROVIDER, TOKEN, self.price, data, 27, b"", b"", until, self.signer)
            )
        if self.moved:
            cut = self.moved // 20
            events += [
                TokenTransfer(self.token, next(place), self.payer, own, self.moved),
                TokenTransfer(self.token, next(place), own, COLLECTOR, cut),
                TokenTransfer(self.token, next(place), own, PROVIDER, self.moved - cut),
            ]
        events.append(TokenTransfer(own, next(place), self.payer, STRANGER, self.amount))
        return events


PURCHASES = st.lists(
    st.just(Purchase())
    | st.builds(
        Purchase,
        datatoken=st.sampled_from([DATATOKEN, DATATOKEN, DATATOKEN, OTHER]),
        consumer=st.sampled_from([USER, USER, STRANGER]),
        payer=st.sampled_from([USER, STRANGER]),
        service_index=st.sampled_from([1, 1, 1, 0]),
        amount=st.sampled_from([ONE_DATATOKEN, ONE_DATATOKEN, ONE_DATATOKEN - 1, 0]),
        reuse=st.sampled_from([False, False, True]),
        signer=st.sampled_from([PROVIDER, PROVIDER, PROVIDER, STRANGER, "", None]),
        environment=st.sampled_from(["env", "env", "env", "other"]),
        service_id=st.sampled_from(["service", "service", "service", "other"]),
        price=st.sampled_from([0, 100, 200]),
        moved=st.sampled_from([0, 99, 100, 200]),
        token=st.sampled_from([TOKEN, TOKEN, CHEAP]),
        seconds=st.sampled_from([600, 600, 0]),
    ),
    max_size=4,
)
FORGED_BY = st.sampled_from([OTHER, CHEAP, STRANGER, USER, PROVIDER])
NUMBERS = st.tuples(
    st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from([0, 0, 1, 2, 3, 4, 5]), st.integers(1, GAP - 1)
).map(lambda place: place[0] * 10 * GAP + place[1] * GAP + place[2])
"""Between two logs of a purchase, mostly of the first one."""
FORGERIES = st.lists(
    st.one_of(
        st.builds(
            OrderStarted, FORGED_BY, NUMBERS, st.sampled_from([USER, STRANGER]), st.just(USER),
            st.just(ONE_DATATOKEN), st.just(1), st.just(NOW),
        ),
        st.builds(OrderReused, FORGED_BY, NUMBERS, st.sampled_from([FIRST_TX, TX]), st.just(USER), st.just(NOW)),
        st.builds(
            lambda by, number, price: ProviderFeePaid(
                by, number, PROVIDER, TOKEN, price, provider_data("env", QUOTED, DATATOKEN, "service"), 27, b"", b"",
                QUOTED + 10**6, PROVIDER,
            ),
            FORGED_BY, NUMBERS, st.sampled_from([0, 100, 10**9]),
        ),
        # A token of the attacker's own moves as it likes; in the real one they can move only what is theirs.
        st.builds(
            TokenTransfer, st.sampled_from([OTHER, CHEAP]), NUMBERS, st.sampled_from([USER, DATATOKEN]),
            st.sampled_from([DATATOKEN, PROVIDER]), st.just(10**9),
        ),
        st.builds(
            TokenTransfer, st.just(TOKEN), NUMBERS, st.sampled_from([USER, STRANGER, OTHER]),
            st.sampled_from([PROVIDER, STRANGER, DATATOKEN]), st.just(10**9),
        ),
    ),
    max_size=8,
    unique_by=lambda event: event.log_index,
)  # fmt: skip


def receipt_of(events: Sequence[Event], tx_id: str = TX) -> Receipt:
    return Receipt(
        tx_id,
        succeeded=True,
        block_number=7,
        block_time=NOW,
        confirmations=1,
        sender=USER,
        orders=tuple(event for event in events if isinstance(event, OrderStarted)),
        reuses=tuple(event for event in events if isinstance(event, OrderReused)),
        fees=tuple(event for event in events if isinstance(event, ProviderFeePaid)),
        transfers=tuple(event for event in events if isinstance(event, TokenTransfer)),
    )


FIRST = receipt_of(Purchase().events(0), FIRST_TX)


def verdict(receipt: Receipt, terms: OrderTerms = TERMS) -> str | int:
    """Give the fee that a good order paid, or why there is none; what a reuse points to is asked as the jobs do."""
    first = FIRST if reused_order_tx(receipt, terms) == FIRST_TX else None
    try:
        found = check(receipt, terms, NOW, first)
    except Refused as problem:
        return f"{problem.field}: {problem.reason}"
    assert isinstance(found, Order)
    assert found.datatoken == DATATOKEN
    assert USER in {found.consumer, found.payer}
    return found.fee_amount


def expected(purchases: Sequence[Purchase]) -> str | int:
    # A transaction that starts an order of this very service is never read as a reuse of another one.
    starts = any(purchase.is_order and not purchase.reuse for purchase in purchases)
    orders = [purchase for purchase in purchases if purchase.is_order and not (starts and purchase.reuse)]
    paid = [purchase.price for purchase in orders if purchase.is_paid]
    if paid:
        return max(paid)
    return "order: fees_not_paid" if orders else "serviceId: order_invalid"


def logs_of(purchases: Sequence[Purchase]) -> list[Event]:
    events: list[Event] = []
    for position, purchase in enumerate(purchases):
        events += purchase.events(position * 10 * GAP)
    return events


@given(PURCHASES)
@example([Purchase(consumer=STRANGER, payer=STRANGER), Purchase(signer=None, moved=0)])
@example([Purchase(signer=None, moved=0), Purchase(consumer=STRANGER, payer=STRANGER)])
@example([Purchase(moved=0), Purchase(consumer=STRANGER, payer=STRANGER, price=0, moved=200)])
def test_a_transaction_is_worth_its_best_purchase(purchases: list[Purchase]) -> None:
    assert verdict(receipt_of(logs_of(purchases))) == expected(purchases)


@given(PURCHASES, FORGERIES, st.randoms(use_true_random=False))
def test_forged_logs_and_the_order_of_the_list_change_no_verdict(
    purchases: list[Purchase], forgeries: list[Event], chance: random.Random
) -> None:
    logs = logs_of(purchases)
    mixed = [*logs, *forgeries, *logs[:3]]
    chance.shuffle(mixed)
    assert verdict(receipt_of(mixed)) == verdict(receipt_of(logs)) == expected(purchases)


@given(FORGERIES)
def test_forged_logs_alone_open_nothing(forgeries: list[Event]) -> None:
    receipt = receipt_of(forgeries)
    assert verdict(receipt) == "serviceId: order_invalid"
    assert verdict(receipt, replace(TERMS, environment=None)) == "serviceId: order_invalid"
    assert reused_order_tx(receipt, TERMS) is None


@given(PURCHASES, st.randoms(use_true_random=False))
def test_other_numbers_of_the_same_logs_never_make_an_order(purchases: list[Purchase], chance: random.Random) -> None:
    """Were a node to number the logs as it likes: who ordered nothing has no order, and no fee is invented."""
    logs = logs_of(purchases)
    numbers = [event.log_index for event in logs]
    chance.shuffle(numbers)
    found = verdict(receipt_of([replace(event, log_index=number) for event, number in zip(logs, numbers, strict=True)]))
    orders = [purchase for purchase in purchases if purchase.is_order]
    if not orders:
        assert found == "serviceId: order_invalid"
    if not any(purchase.signer == PROVIDER for purchase in purchases):
        assert isinstance(found, str)
    if isinstance(found, int):
        assert found in {purchase.price for purchase in purchases}


@given(PURCHASES.filter(lambda found: len(found) == 1), st.data())
def test_less_logs_never_open_more(purchases: list[Purchase], data: st.DataObject) -> None:
    logs = logs_of(purchases)
    kept = [event for event in logs if data.draw(st.booleans())]
    whole, part = verdict(receipt_of(logs)), verdict(receipt_of(kept))
    if isinstance(part, int):
        assert part == whole
    if whole == "serviceId: order_invalid":
        assert part == whole


@given(st.sampled_from([FIRST_TX, TX, "0x" + "9" * 64]), PURCHASES, FORGERIES)
def test_what_a_reuse_points_to_must_be_an_order_itself(
    pointed: str, purchases: list[Purchase], forgeries: list[Event]
) -> None:
    """A reuse is worth nothing where the transaction that it names holds no order, whatever else that one emits."""
    reuse = [replace(event, order_tx_id=pointed) if isinstance(event, OrderReused) else event
             for event in Purchase(reuse=True).events(0)]  # fmt: skip
    first = receipt_of([*logs_of(purchases), *forgeries], FIRST_TX)
    started = any(purchase.is_order and not purchase.reuse for purchase in purchases)
    try:
        found: str | int = check(receipt_of(reuse), TERMS, NOW, first).fee_amount
    except Refused as problem:
        found = f"{problem.field}: {problem.reason}"
    assert found == (100 if started and pointed == FIRST_TX else "serviceId: order_invalid")
