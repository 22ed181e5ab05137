"""Asks the chain for the facts of orders; ``core.order`` judges them."""

from __future__ import annotations

from dataclasses import dataclass

from cove.core.asset import Asset, Service
from cove.core.environment import Environment
from cove.core.errors import NotFound, Refused
from cove.core.fees import fee_amount
from cove.core.order import Order, OrderTerms, Receipt, check, reused_order_tx
from cove.jobs.parts import Parts
from cove.ports import Ledger


@dataclass(frozen=True, slots=True)
class Priced:
    """A service of an asset, as it stands in a request."""

    #: Dotted field of the request: ``dataset``, ``datasets[1]``, ``algorithm``; empty where the request is about it.
    field: str
    asset: Asset
    service: Service
    #: None where no order was named.
    order_tx: str | None
    #: True where another provider keeps its files: the order carries that provider's fee, and none of ours.
    elsewhere: bool = False

    def under(self, name: str) -> str:
        """Give the dotted name of one of its own fields."""
        return dotted(self.field, name)


def dotted(field: str, name: str) -> str:
    """Give the dotted name of a part of a field; of the request itself where ``field`` is empty."""
    return f"{field}.{name}" if field else name


async def find_asset(parts: Parts, did: str, field: str) -> Asset:
    """Give a published asset of any chain.

    Raises:
        Refused: ``did_not_found`` under the field.
        Unavailable: A chain that may know it does not answer.
    """
    for metadata in parts.metadata.values():
        try:
            return await metadata.asset(did)
        except NotFound:
            continue
    raise Refused(
        f"{field}.documentId" if field else "documentId", "did_not_found", hint="Publish the asset, or check the DID."
    )


async def verify(parts: Parts, consumer: str, item: Priced, environment: Environment | None) -> Order:
    """Give the good order that an item names.

    Args:
        parts: The house.
        consumer: Who must have paid or be the order's consumer.
        item: The service and its order.
        environment: Whose fee must have been paid by this order; None: no fee is looked for.

    An order of a service at another provider must have our own account as its consumer, which is who downloads there,
    and the caller as its payer.

    Raises:
        Refused: ``<field>.serviceId: order_invalid``, or ``order: fees_not_paid``.
        Unavailable: The chain does not answer.
    """
    ledger = parts.ledgers[item.asset.chain_id]
    if not item.order_tx:
        raise Refused(item.under("transferTxId"), "missing")
    receipt = await ledger.receipt(item.order_tx)
    if receipt is None or not await ledger.has_datatoken(item.asset.nft, item.service.datatoken):
        raise Refused(item.under("serviceId"), "order_invalid", hint="The chain knows no such order.")
    terms = _terms(parts, consumer, item, environment)
    first = await _first_of(ledger, receipt, terms)
    try:
        return check(receipt, terms, parts.clock.now(), first)
    except Refused as problem:
        if problem.field == "order":
            raise
        raise Refused(item.under(problem.field), problem.reason, hint=problem.hint) from None


async def verify_all(
    parts: Parts, consumer: str, items: tuple[Priced, ...], environment: Environment
) -> tuple[tuple[Order, ...], Order]:
    """Give the good orders of all items, and the one among them that pays for the environment.

    Raises:
        Refused: An order is not good, or none paid for the environment.
    """
    orders: list[Order] = []
    paying: Order | None = None
    unpaid = Refused("order", "fees_not_paid", hint="Ask initializeCompute, then order with the fee it gives.")
    for item in items:
        if item.elsewhere:
            orders.append(await verify(parts, consumer, item, None))
            continue
        try:
            order = await verify(parts, consumer, item, environment)
        except Refused as problem:
            if problem.field != "order":
                raise
            orders.append(await verify(parts, consumer, item, None))
            continue
        orders.append(order)
        if await _pays(parts, item, order, environment) and (
            paying is None or order.fee_valid_until > paying.fee_valid_until
        ):
            paying = order
    if paying is None:
        raise unpaid
    return tuple(orders), paying


async def _pays(parts: Parts, item: Priced, order: Order, environment: Environment) -> bool:
    """Say whether an order's fee is the environment's price, and not one of the zero fees that go with it."""
    if environment.price_per_minute == 0:
        return True
    ledger = parts.ledgers[item.asset.chain_id]
    decimals = await ledger.token_decimals(environment.fee_token(item.asset.chain_id))
    return order.fee_amount >= fee_amount(order.fee_seconds, environment.price_per_minute, decimals) > 0


async def _first_of(ledger: Ledger, receipt: Receipt, terms: OrderTerms) -> Receipt | None:
    reused = reused_order_tx(receipt, terms)
    return await ledger.receipt(reused) if reused is not None else None


def _terms(parts: Parts, consumer: str, item: Priced, environment: Environment | None) -> OrderTerms:
    return OrderTerms(
        datatoken=item.service.datatoken,
        service_id=item.service.id,
        service_index=item.service.index,
        timeout=item.service.timeout,
        consumer=consumer,
        provider=parts.vault.address,
        environment=None if environment is None else environment.id,
        holder=parts.vault.address if item.elsewhere else "",
        confirmations=parts.confirmations[item.asset.chain_id],
    )
