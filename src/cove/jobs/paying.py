"""What pays for a job that starts: orders, a payment in the way of Ocean Node's API, or nobody, for a mock job."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from cove.core.environment import Environment
from cove.core.grant import order_key
from cove.core.job import Job, Resources
from cove.core.order import Order
from cove.core.payment import Payment
from cove.jobs import mocking, policing, tiers
from cove.jobs.admission import Admitted
from cove.jobs.orders import verify_all
from cove.jobs.parts import Parts
from cove.jobs.requests import StartRequest
from cove.jobs.tiers import Terms, Wish


async def terms_of(  # noqa: PLR0917 - each once
    parts: Parts,
    request: StartRequest,
    wish: Wish | None,
    admitted: Admitted,
    environment: Environment,
    share: Resources,
) -> Terms:
    """Say what a job may use by what pays for it; a mock job has no orders, and no runs are counted for it.

    Args:
        parts: The house.
        request: The start.
        wish: What it wants in the way of Ocean Node's API; None for the Provider API.
        admitted: Its assets.
        environment: Where it is to run.
        share: What it may use of that.

    Raises:
        Refused: An order is not good, or runs are used up.
        Unavailable: A chain does not answer.
    """
    if request.mock:
        await mocking.check_algorithm(parts, request.consumer, admitted.algorithm)
        return Terms((), replace(share, time_seconds=min(share.time_seconds, environment.max_mock_seconds)), 0.0)
    await policing.check_runs(parts, request.consumer, admitted.ruled)
    if wish is not None:
        return await tiers.terms_of(parts, wish, admitted.items, share)
    orders, paying = await verify_all(parts, request.consumer, admitted.items, environment)
    seconds = min(share.time_seconds, max(1, paying.fee_seconds))
    return Terms(orders, replace(share, time_seconds=seconds), float(paying.fee_valid_until))


def order_keys(admitted: Admitted, orders: Sequence[Order]) -> tuple[str, ...]:
    """Name what is used up by a job; nothing of a mock job, which has no orders."""
    return tuple(
        order_key(order.tx_id)
        if order.granted
        else f"{item.asset.chain_id}:{order.tx_id}:{order.datatoken}:{order.service_index}".lower()
        for item, order in zip(admitted.items, orders, strict=bool(orders))
    )


@contextlib.asynccontextmanager
async def locked(parts: Parts, job: Job, payment: Payment | None) -> AsyncIterator[None]:
    """Around the acceptance of a job: its payment is locked, where there is one."""
    if payment is None or parts.payments is None:
        yield
        return
    async with parts.payments.locked(replace(payment, job_id=job.id)):
        yield
