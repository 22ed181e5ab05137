"""Jobs of Ocean Node's API: what they may use, which orders they need, and who pays for the environment.

Only how an environment is paid differs from the Provider API: here no order carries its fee, but an escrow contract
locks it. Datasets and algorithms are ordered, granted, trusted and consented to by the very same rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cove.core.consent import Action
from cove.core.environment import Environment
from cove.core.errors import Refused
from cove.core.job import Job, JobId, Resources, Tier
from cove.core.order import Order
from cove.core.payment import USUAL_WAIT, Payment, cost, lock_seconds, rate
from cove.core.tiers import amounts_of, chosen
from cove.jobs import elsewhere, policing
from cove.jobs.admission import admit, environment_of
from cove.jobs.consent import consent_to_job
from cove.jobs.entry import check_image, let_in
from cove.jobs.orders import Priced, verify
from cove.jobs.parts import Parts
from cove.jobs.quotes import signed_access_fee
from cove.jobs.requests import PaymentQuote, Quote, TierQuote, TierQuoteRequest, TierRequest


@dataclass(frozen=True, slots=True)
class Terms:
    """What a job may use, and what pays for it."""

    orders: tuple[Order, ...]
    resources: Resources
    #: Unix time at which what pays for it ends; 0 for never.
    expires_at: float
    #: None for a job of the Provider API.
    tier: Tier | None = None
    #: Not locked yet; None where nothing is.
    payment: Payment | None = None
    #: Seconds that it may wait for its run; None: as its request says.
    wait: int | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants how much of an environment, and for how long they would wait."""

    environment: Environment
    consumer: str
    asked: TierRequest
    #: Seconds; None: as long as the environment allows.
    queue_wait: int | None = None


async def share_of(parts: Parts, wish: Wish) -> Resources:
    """Give what a job may use of an environment that its consumer was let into.

    Raises:
        Refused: There is nothing to be had without payment, or for this token, or not for this consumer, or not as much
            as is asked for.
        Unavailable: A chain that may say yes does not answer.
    """
    environment, asked = wish.environment, wish.asked
    if asked.free:
        most = await _free(parts, environment, wish.consumer)
    else:
        if environment.prices_in(asked.chain_id, asked.token) is None:
            hint = (
                f"Environment {environment.id} takes no payments in this token: see fees in the list of environments."
            )
            raise Refused("payment", "payment_not_offered", hint=hint)
        most = environment.resources
    limits = chosen(most, asked.resources)
    seconds = limits.time_seconds if asked.max_seconds is None else min(limits.time_seconds, asked.max_seconds)
    return replace(limits, time_seconds=seconds)


async def let_again(parts: Parts, environment: Environment, job: Job) -> None:
    """Return when a job may run again on the terms that it was started on: what was paid was for one run.

    Raises:
        Refused: There is no free tier any more, or not for its owner, or the job was paid.
        Unavailable: A chain that may say yes does not answer.
    """
    if job.tier is None:
        return
    if not job.tier.free:
        raise Refused("order", "fees_not_paid", hint="What was paid was for one run: start a new job.")
    await _free(parts, environment, job.owner)


async def _free(parts: Parts, environment: Environment, consumer: str) -> Resources:
    free = environment.free
    if free is None:
        hint = f"Environment {environment.id} has no free tier: see free in the list of environments."
        raise Refused("environment", "not_free", hint=hint)
    await let_in(parts, replace(environment, access=free.access), consumer)
    return free.resources


async def terms_of(parts: Parts, wish: Wish, items: Sequence[Priced], resources: Resources) -> Terms:
    """Give a job's terms, once every item's order is good.

    Raises:
        Refused: An order is not good.
        Unavailable: A chain does not answer.
    """
    asked = wish.asked
    orders = await _orders(parts, wish.consumer, items)
    ends = [order.valid_until for order in orders if order.valid_until]
    tier = Tier(asked.free, asked.metadata, asked.viewers)
    terms = Terms(orders, resources, float(min(ends, default=0)), tier)
    if asked.free:
        return terms
    payment = await _payment(parts, wish, resources)
    return replace(terms, payment=payment if payment.amount else None, wait=_wait(wish))


async def quote(parts: Parts, request: TierQuoteRequest) -> TierQuote:
    """Give what each dataset, and the algorithm, still needs, and what would be locked.

    Raises:
        Refused: The environment, the image or an asset is not good, or the environment, or a dataset, is for others.
        Invalid: The site's policy says no.
        Forbidden: The site's policy says no.
        Unavailable: The chain, or the site's policy, does not answer.
    """
    environment, tier = environment_of(parts, request.environment), request.tier
    await let_in(parts, environment, request.consumer)
    wish = Wish(environment, request.consumer, tier, request.queue_wait)
    if environment.prices_in(tier.chain_id, tier.token) is None and environment.free is not None:
        wish = replace(wish, asked=replace(tier, free=True))
    resources = await share_of(parts, wish)
    admitted = await admit(parts, request.consumer, request.datasets, request.algorithm, request.raw, starting=False)
    check_image(environment, admitted.package.container)
    await policing.check_runs(parts, request.consumer, admitted.ruled)
    await consent_to_job(parts, Action.INITIALIZE_COMPUTE, request.consumer, admitted, request.passed_on)
    quotes: list[Quote] = []
    for item, given in zip(admitted.items, admitted.inputs, strict=True):
        chain = item.asset.chain_id
        if await _is_ordered(parts, request.consumer, item):
            quotes.append(Quote(item.service.datatoken, None, item.order_tx, chain))
            continue
        if item.elsewhere:
            fee = await elsewhere.fee_of(parts, item, given, 0)
        else:
            fee = await signed_access_fee(parts, item, 0)
        quotes.append(Quote(item.service.datatoken, fee, None, chain))
    algorithm = None if admitted.algorithm is None else quotes.pop()
    return TierQuote(tuple(quotes), algorithm, await _payment_quote(parts, wish, resources))


async def _payment_quote(parts: Parts, wish: Wish, resources: Resources) -> PaymentQuote | None:
    if wish.asked.free:
        return None
    wanted = await _payment(parts, wish, resources)
    payee = parts.vault.address
    return PaymentQuote(wanted.escrow, payee, wanted.chain_id, wanted.token, wanted.amount, wanted.lock_seconds)


async def _payment(parts: Parts, wish: Wish, resources: Resources) -> Payment:
    """Give what is to be locked for a job, which has no id yet."""
    asked = wish.asked
    prices = wish.environment.prices_in(asked.chain_id, asked.token)
    escrow = None if parts.payments is None else parts.payments.escrow_of(asked.chain_id)
    if prices is None or escrow is None:
        raise Refused("payment", "payment_not_offered", hint="No escrow contract is known on this chain.")
    decimals = await parts.ledgers[prices.chain_id].token_decimals(prices.token)
    a_minute = rate(prices, amounts_of(resources), decimals)
    return Payment(
        job_id=JobId(""),
        chain_id=prices.chain_id,
        escrow=escrow.address,
        token=prices.token,
        payer=wish.consumer,
        rate=a_minute,
        amount=cost(a_minute, resources.time_seconds),
        lock_seconds=lock_seconds(resources.time_seconds, _wait(wish)),
    )


def _wait(wish: Wish) -> int:
    return wish.environment.wait_seconds(wish.queue_wait) or USUAL_WAIT


async def _orders(parts: Parts, consumer: str, items: Sequence[Priced]) -> tuple[Order, ...]:
    """Give the good order of each item; the first one that is not good is the one that is refused."""
    asked = [verify(parts, consumer, item, None) for item in items]
    orders: list[Order] = []
    for found in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(found, BaseException):
            raise found
        orders.append(found)
    return tuple(orders)


async def _is_ordered(parts: Parts, consumer: str, item: Priced) -> bool:
    if not item.order_tx:
        return False
    try:
        await verify(parts, consumer, item, None)
    except Refused:
        return False
    return True
