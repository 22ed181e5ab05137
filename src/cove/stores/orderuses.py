"""Which order pays for which job: one at a time."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, delete, select, text, update
from sqlalchemy.exc import IntegrityError

from cove.core.errors import Refused
from cove.core.grant import ORDER_KEY
from cove.core.job import Job
from cove.stores.grant_runs import use_grants
from cove.stores.prepared import Prepared
from cove.stores.tables import order_uses

TAKE_ORDER: Final = text(
    "INSERT INTO order_uses (job_id, order_key, active) VALUES (:job_id, :order_key, :active) "
    "ON CONFLICT (job_id, order_key) DO UPDATE SET active = excluded.active"
)
FREE_ORDERS: Final = Prepared(
    update(order_uses)
    .where(order_uses.c.job_id == bindparam("key"), order_uses.c.active)
    .values(active=False)
    .returning(order_uses.c.job_id)
)
FORGET_ORDERS: Final = Prepared(
    delete(order_uses).where(order_uses.c.job_id == bindparam("key")).returning(order_uses.c.job_id)
)
PAID_FOR: Final = (
    select(order_uses.c.job_id)
    .where(order_uses.c.order_key.in_(bindparam("keys", expanding=True)), order_uses.c.job_id != bindparam("key"))
    .limit(1)
)


def refuse_paid_for(connection: Connection, job: Job) -> None:
    """Refuse a job whose orders pay, or have paid, for another one.

    Raises:
        Refused: ``agreementId: in_use``.
    """
    keys = [key for key in job.order_keys if not key.startswith(ORDER_KEY)]  # a grant says itself how many it pays for
    if keys and connection.execute(PAID_FOR, {"keys": keys, "key": job.id}).first() is not None:
        raise Refused("agreementId", "in_use")


def take_orders(connection: Connection, job: Job) -> None:
    """Have a job's orders pay for it.

    Raises:
        Refused: ``agreementId: in_use``: one of them pays for a job that is not done; ``grant_spent``: one is a grant
            that pays for no further run.
    """
    # Sorted, so that two services that take the same orders cannot wait for each other.
    uses = [{"job_id": job.id, "order_key": key, "active": True} for key in sorted(set(job.order_keys))]
    if not uses:
        return
    try:
        connection.execute(TAKE_ORDER, uses)
    except IntegrityError:
        raise Refused("agreementId", "in_use") from None
    use_grants(connection, job)
