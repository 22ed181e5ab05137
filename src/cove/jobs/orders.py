"""Asks the chain for the facts of orders; ``core.order`` judges them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cove.core.asset import Asset, Service
from cove.core.environment import Environment
from cove.core.errors import NotFound, Refused, Unavailable
from cove.core.fees import fee_amount
from cove.core.order import Order, OrderTerms, Receipt, check, reused_order_tx
from cove.jobs.parts import Parts
from cove.ports import MetadataStore


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


async def asset_of_any(stores: Sequence[MetadataStore], did: str) -> Asset:
    """Give a published asset from whichever chain has it; a DID does not say of which chain it is.

    The store that gave it before is asked alone, the others all at once and only when that fails. So a chain that does
    not answer is in the way of its own assets, and of a DID that no other chain knows.

    Raises:
        NotFound: No chain knows it.
        Unavailable: No chain that answers knows it, and another one does not answer.
    """
    known = [store for store in stores if store.knows(did)]
    for store in known:
        try:
            return await store.asset(did)
        except NotFound:
            continue
    asking = [asyncio.create_task(_found_in(store, did)) for store in stores if store not in known]
    missing: Unavailable | None = None
    try:
        for answer in asyncio.as_completed(asking):
            match await answer:
                case Asset() as asset:
                    return asset
                case Unavailable() as problem:
                    missing = problem
                case None:
                    pass
    finally:
        for task in asking:
            task.cancel()
    raise missing or NotFound("There is no such asset.", hint="Publish it first, or check the DID.")


async def _found_in(store: MetadataStore, did: str) -> Asset | Unavailable | None:
    try:
        return await store.asset(did)
    except NotFound:
        return None
    except Unavailable as problem:
        return problem


async def find_asset(parts: Parts, did: str, field: str) -> Asset:
    """Give a published asset of any chain.

    Raises:
        Refused: ``did_not_found`` under the field.
        Unavailable: A chain that may know it does not answer.
    """
    try:
        return await asset_of_any(tuple(parts.metadata.values()), did)
    except NotFound:
        raise no_asset(field) from None


def no_asset(field: str) -> Refused:
    """Give the refusal of a DID that no chain knows."""
    return Refused(dotted(field, "documentId"), "did_not_found", hint="Publish the asset, or check the DID.")


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
    return _judge(parts, item, await _facts(parts, consumer, item, environment))


async def verify_all(
    parts: Parts, consumer: str, items: tuple[Priced, ...], environment: Environment
) -> tuple[tuple[Order, ...], Order]:
    """Give the good orders of all items, and the one among them that pays for the environment.

    The chain is asked about all of them at once; the first item that is not good is the one that is refused.

    Raises:
        Refused: An order is not good, or none paid for the environment.
    """
    asked = [_facts(parts, consumer, item, None if item.elsewhere else environment) for item in items]
    known = await asyncio.gather(*asked, return_exceptions=True)
    orders: list[Order] = []
    paying: Order | None = None
    for item, facts in zip(items, known, strict=True):
        if isinstance(facts, BaseException):
            raise facts
        if item.elsewhere:
            orders.append(_judge(parts, item, facts))
            continue
        try:
            order = _judge(parts, item, facts)
        except Refused as problem:
            if problem.field != "order":
                raise
            orders.append(_judge(parts, item, replace(facts, terms=replace(facts.terms, environment=None))))
            continue
        orders.append(order)
        if await pays(parts, item, order, environment) and (
            paying is None or order.fee_valid_until > paying.fee_valid_until
        ):
            paying = order
    if paying is None:
        raise Refused("order", "fees_not_paid", hint="Ask initializeCompute, then order with the fee it gives.")
    return tuple(orders), paying


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the chain says of an item's order, to be judged by these terms."""

    terms: OrderTerms
    receipt: Receipt
    #: The transaction that a reuse points to.
    first: Receipt | None


async def _facts(parts: Parts, consumer: str, item: Priced, environment: Environment | None) -> _Facts:
    if not item.order_tx:
        raise Refused(item.under("transferTxId"), "missing")
    ledger = parts.ledgers[item.asset.chain_id]
    # One after the other: who deployed a token is asked once and remembered, and then two tasks are the dearer way.
    deployed = await ledger.has_datatoken(item.asset.nft, item.service.datatoken)
    receipt = await ledger.receipt(item.order_tx) if deployed else None
    if receipt is None:
        raise Refused(
            item.under("serviceId"), "order_invalid", hint=f"Chain {item.asset.chain_id} knows no such order."
        )
    terms = _terms(parts, consumer, item, environment)
    reused = reused_order_tx(receipt, terms)
    return _Facts(terms, receipt, None if reused is None else await ledger.receipt(reused))


def _judge(parts: Parts, item: Priced, facts: _Facts) -> Order:
    try:
        return check(facts.receipt, facts.terms, parts.clock.now(), facts.first)
    except Refused as problem:
        if problem.field == "order":
            raise
        raise Refused(item.under(problem.field), problem.reason, hint=problem.hint) from None


async def pays(parts: Parts, item: Priced, order: Order, environment: Environment) -> bool:
    """Say whether an order's fee is the environment's price, and not one of the zero fees that go with it.

    Raises:
        Unavailable: The chain does not answer.
    """
    if order.granted or environment.price_per_minute == 0:
        return True
    ledger = parts.ledgers[item.asset.chain_id]
    decimals = await ledger.token_decimals(environment.fee_token(item.asset.chain_id))
    return order.fee_amount >= fee_amount(order.fee_seconds, environment.price_per_minute, decimals) > 0


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
        fee_token="" if environment is None else environment.fee_token(item.asset.chain_id),
    )
