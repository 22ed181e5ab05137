"""Whether a transaction paid for a service (section 5 of the API specification).

What the ERC20 template emits for one order, in this order: ``OrderStarted`` (or ``OrderReused``), ``ProviderFee``, the
fee token's transfers from the payer to the datatoken, from there to the provider, and Ocean's cut to its collector.
One transaction may hold several orders, of several consumers; each is judged with its own events alone.

A grant (``core.grant``) is judged here too: it is an order of one service by one consumer, without a fee.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cove.core.errors import Refused

ONE_DATATOKEN: Final = 10**18
GRACE_SECONDS: Final = 90
"""Between the quote and the block that pays it (wire.md, section 5)."""


@dataclass(frozen=True, slots=True)
class OrderStarted:
    """The event of that name (ERC20 template)."""

    #: Contract that emitted it, checksummed.
    address: str
    log_index: int
    consumer: str
    payer: str
    #: Datatoken units, 18 decimals.
    amount: int
    service_index: int
    #: Unix time that the contract recorded.
    timestamp: int


@dataclass(frozen=True, slots=True)
class OrderReused:
    """The event of that name."""

    address: str
    log_index: int
    #: Id of the transaction that holds the first order, ``0x``.
    order_tx_id: str
    caller: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class ProviderFeePaid:
    """The event ``ProviderFee``."""

    address: str
    log_index: int
    fee_address: str
    fee_token: str
    amount: int
    #: The bytes that the provider signed, as they stand in the event.
    provider_data: bytes
    v: int
    r: bytes
    s: bytes
    valid_until: int
    #: Who signed it, as recovered from the signature; empty when it is no signature at all.
    signer: str = ""


@dataclass(frozen=True, slots=True)
class TokenTransfer:
    """An ERC-20 ``Transfer``."""

    address: str
    log_index: int
    sender: str
    recipient: str
    amount: int


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """What is known of a grant that stands in place of a transaction."""

    #: Who signed it, as recovered from the signature; empty when it is no signature at all.
    signer: str
    #: Who owns the asset now.
    owner: str
    #: Unix time at which it was written down.
    created_at: int
    #: Unix time.
    valid_until: int
    runs: int
    #: Runs that it has paid for.
    used: int
    revoked: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """The facts of one mined transaction; addresses are checksummed, nothing is judged."""

    tx_id: str
    succeeded: bool
    block_number: int
    block_time: int
    #: 1 when it is in the newest block.
    confirmations: int
    sender: str
    orders: tuple[OrderStarted, ...] = ()
    reuses: tuple[OrderReused, ...] = ()
    fees: tuple[ProviderFeePaid, ...] = ()
    transfers: tuple[TokenTransfer, ...] = ()
    #: None for a transaction of a chain.
    grant: GrantFacts | None = None


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What an order must be for."""

    datatoken: str
    service_id: str
    service_index: int
    #: Seconds; 0 for ever.
    timeout: int
    #: The caller, who must be payer or consumer.
    consumer: str
    #: Our own fee address and signing address (the provider's account).
    provider: str
    #: Environment that the fee must pay for; None where the fee is not looked at (algorithm, further datasets).
    environment: str | None
    #: Confirmations needed, at least 1.
    confirmations: int = 1
    #: Who must be the order's consumer as well, whoever of the two the caller is; empty: it does not matter.
    holder: str = ""
    #: Token that the environment's fee must be paid in; empty takes any. A fee's signature names no chain, so without
    #: this a fee that was quoted for one chain could be paid on another, in whatever stands at that address there.
    fee_token: str = ""
    #: True for compute: the paid period starts with the block (plus 90 s), not with the quote.
    compute: bool = True


@dataclass(frozen=True, slots=True)
class Order:
    """A good order."""

    #: The transaction that the consumer named: of the order, or of its newest reuse.
    tx_id: str
    datatoken: str
    service_index: int
    consumer: str
    payer: str
    #: Unix time of the order or of its reuse.
    started_at: int
    #: Unix time at which the service's timeout ends it; 0 for never.
    valid_until: int
    #: Unix time at which the provider fee stops paying; 0 where no fee was looked for.
    fee_valid_until: int
    #: Seconds that the provider fee bought; 0 where no fee was looked for.
    fee_seconds: int
    #: Base units of the fee token; 0 where no fee was looked for.
    fee_amount: int = 0
    #: True for a grant, which pays for any environment, and whose runs are counted.
    granted: bool = False


@dataclass(frozen=True, slots=True)
class _Fee:
    amount: int
    #: Unix time.
    valid_until: int
    seconds: int


@dataclass(frozen=True, slots=True)
class _Purchase:
    """An order or a reuse, with the fee event and the transfers that the datatoken made for it."""

    event: OrderStarted | OrderReused
    fee: ProviderFeePaid | None
    transfers: tuple[TokenTransfer, ...]


def reused_order_tx(receipt: Receipt, terms: OrderTerms) -> str | None:
    """Give the transaction that a reuse points to; None when the receipt needs no other.

    A receipt that starts an order of this service for this consumer itself needs no other. Of several reuses the
    newest counts.
    """
    if any(_is_wanted(event, terms) for event in receipt.orders):
        return None
    reuses = [event for event in receipt.reuses if _same(event.address, terms.datatoken)]
    newest = max(reuses, key=lambda event: event.log_index, default=None)
    return None if newest is None else newest.order_tx_id


def check(receipt: Receipt, terms: OrderTerms, now: float, first: Receipt | None = None) -> Order:
    """Give the good order that a transaction holds.

    Only events that this very datatoken emitted count, for every kind of event. Where a transaction holds several good
    orders of this service, the one whose fee pays most counts.

    Args:
        receipt: The transaction that the consumer named.
        terms: What the order must be for.
        now: Unix time.
        first: The transaction that :func:`reused_order_tx` named; None without one.

    Raises:
        Refused: ``serviceId: order_invalid``, or ``order: fees_not_paid`` where the environment's fee is missing.
    """
    if receipt.grant is not None:
        return _granted(receipt, receipt.grant, terms, now)
    _require_mined(receipt, terms)
    good: list[Order] = []
    refusal = _invalid("The transaction holds no order of this service.")
    for purchase in _purchases(receipt, terms.datatoken):
        try:
            good.append(_judge(purchase, receipt, terms, now, first))
        except Refused as problem:  # that a good order lacks its fee says more than that another is none
            refusal = problem if refusal.field != "order" else refusal
    if not good:
        raise refusal
    return max(good, key=lambda order: (order.fee_amount, order.fee_valid_until, order.started_at))


def _judge(purchase: _Purchase, receipt: Receipt, terms: OrderTerms, now: float, first: Receipt | None) -> Order:
    started = _started_by(purchase.event, terms, first)
    since = purchase.event.timestamp
    ends = since + terms.timeout if terms.timeout else 0
    if ends and now > ends:
        raise _invalid("The order has expired.")
    fee = _Fee(0, 0, 0) if terms.environment is None else _environment_fee(purchase, receipt, terms, now)
    return Order(
        tx_id=receipt.tx_id,
        datatoken=terms.datatoken,
        service_index=terms.service_index,
        consumer=started.consumer,
        payer=started.payer,
        started_at=since,
        valid_until=ends,
        fee_valid_until=fee.valid_until,
        fee_seconds=fee.seconds,
        fee_amount=fee.amount,
    )


def _granted(receipt: Receipt, grant: GrantFacts, terms: OrderTerms, now: float) -> Order:
    """Judge a grant. It says itself until when it holds, so the service's timeout does not count."""
    if not _same(grant.signer, grant.owner):
        raise _invalid("The grant is not signed by the asset's owner.")
    if grant.revoked:
        raise _invalid("The grant was taken back.")
    if now > grant.valid_until:
        raise _invalid("The grant has expired.")
    if grant.used >= grant.runs:
        raise _invalid(f"The grant's runs are used up ({grant.runs}).")
    wanted = next((event for event in receipt.orders if _is_wanted(event, terms)), None)
    if wanted is None:
        raise _invalid("The grant is for another service or consumer.")
    return Order(
        tx_id=receipt.tx_id,
        datatoken=terms.datatoken,
        service_index=terms.service_index,
        consumer=wanted.consumer,
        payer=wanted.payer,
        started_at=grant.created_at,
        valid_until=grant.valid_until,
        fee_valid_until=grant.valid_until,
        fee_seconds=max(1, grant.valid_until - grant.created_at),
        granted=True,
    )


def _require_mined(receipt: Receipt, terms: OrderTerms) -> None:
    if not receipt.succeeded:
        raise _invalid("The transaction failed.")
    if receipt.confirmations < terms.confirmations:
        raise _invalid(f"The order needs {terms.confirmations} confirmations and has {receipt.confirmations}.")


def _started_by(event: OrderStarted | OrderReused, terms: OrderTerms, first: Receipt | None) -> OrderStarted:
    """Give the event that started an order: this one, or the one in the transaction that a reuse points to."""
    if isinstance(event, OrderStarted):
        if not _is_wanted(event, terms):
            named = f" Its consumer must be {terms.holder}, and its payer the caller." if terms.holder else ""
            raise _invalid(f"The order is of another service or consumer, or for less than one datatoken.{named}")
        return event
    if first is None or not _same(first.tx_id, event.order_tx_id):
        raise _invalid("The chain does not know the order that was reused.")
    _require_mined(first, terms)
    wanted = [started for started in first.orders if _is_wanted(started, terms)]
    if not wanted:
        raise _invalid("The reused transaction holds no order of this service and consumer.")
    return max(wanted, key=lambda started: started.log_index)


def _is_wanted(event: OrderStarted, terms: OrderTerms) -> bool:
    return (
        _same(event.address, terms.datatoken)
        and event.service_index == terms.service_index
        and event.amount >= ONE_DATATOKEN
        and (_same(event.consumer, terms.consumer) or _same(event.payer, terms.consumer))
        and (not terms.holder or _same(event.consumer, terms.holder))
    )


def _purchases(receipt: Receipt, datatoken: str) -> Iterator[_Purchase]:
    """Give each order and reuse of a datatoken with what belongs to it: everything up to the next one."""
    events: tuple[OrderStarted | OrderReused, ...] = (*receipt.orders, *receipt.reuses)
    starts = {event.log_index: event for event in events if _same(event.address, datatoken)}
    fees = {event.log_index: event for event in receipt.fees if _same(event.address, datatoken)}
    transfers = {event.log_index: event for event in receipt.transfers}
    for start in sorted(starts):
        end = min((index for index in starts if index > start), default=None)
        place = min((index for index in fees if start < index and (end is None or index < end)), default=None)
        moved = tuple(
            event
            for index, event in sorted(transfers.items())
            if place is not None and place < index and (end is None or index < end)
        )
        yield _Purchase(starts[start], None if place is None else fees[place], moved)


def _environment_fee(purchase: _Purchase, receipt: Receipt, terms: OrderTerms, now: float) -> _Fee:
    """Give the fee of a purchase if it is ours, for this environment and service, really paid, and still holds."""
    event = purchase.fee
    if event is None or not (_same(event.fee_address, terms.provider) and _same(event.signer, terms.provider)):
        raise _unpaid("The order carries no fee that this provider signed.")
    if event.amount and terms.fee_token and not _same(event.fee_token, terms.fee_token):
        raise _unpaid("The fee was paid in another token than this environment's on this chain.")
    timestamp = _quoted_at(event.provider_data, terms)
    if timestamp is None:
        raise _unpaid("The fee was signed for another environment, datatoken or service.")
    grace = max(0, receipt.block_time - timestamp) + GRACE_SECONDS if terms.compute else 0
    valid_until = event.valid_until + grace
    if now > valid_until:
        raise _unpaid("The paid period is over.")
    if not _was_paid(event, purchase.transfers):
        raise _unpaid("The fee token shows no payment of the fee.")
    return _Fee(event.amount, valid_until, max(0, event.valid_until - timestamp))


def _quoted_at(provider_data: bytes, terms: OrderTerms) -> int | None:
    """Give the whole second of the quote; None when the fee was signed for something else."""
    try:
        record = json.loads(provider_data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    timestamp = record.get("timestamp")
    fits = (
        record.get("environment") == terms.environment
        and _same(str(record.get("dt")), terms.datatoken)
        and record.get("id") == terms.service_id
    )
    if not fits or isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        return None
    if isinstance(timestamp, float) and not math.isfinite(timestamp):
        return None
    return int(timestamp)


def _was_paid(fee: ProviderFeePaid, transfers: tuple[TokenTransfer, ...]) -> bool:
    """See in the fee token's own events that the datatoken took the whole fee in, and handed it on to the provider.

    What it hands on is less Ocean's cut, which goes from the datatoken to Ocean's collector.
    """
    if fee.amount == 0:
        return True
    moved = [event for event in transfers if _same(event.address, fee.fee_token)]
    taken = sum(event.amount for event in moved if _same(event.recipient, fee.address))
    handed_on = sum(event.amount for event in moved if _same(event.sender, fee.address))
    received = sum(
        event.amount for event in moved if _same(event.sender, fee.address) and _same(event.recipient, fee.fee_address)
    )
    return taken >= fee.amount and handed_on >= fee.amount and received > 0


def _same(one: str, other: str) -> bool:
    return bool(one) and one.lower() == other.lower()


def _invalid(hint: str) -> Refused:
    return Refused("serviceId", "order_invalid", hint=hint)


def _unpaid(hint: str) -> Refused:
    return Refused("order", "fees_not_paid", hint=f"{hint} Ask initializeCompute, then order with the fee it gives.")
