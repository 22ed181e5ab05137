"""An environment's queue as it is read in one go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, String, bindparam, func, literal_column, select

from cove.ports import Line
from cove.stores.rules import UNDER_WAY
from cove.stores.tables import HAS_DURATION, NOT_DONE, WAITS, jobs

IN_ENVIRONMENT: Final = jobs.c.environment == bindparam("environment")
# A quote in somebody's own words is escaped where it stands in JSON, so that no words look like this.
IS_FREE: Final = jobs.c.document.like(literal_column("""'%"tier":[true,%'""", String))
DURATIONS: Final = (
    select(jobs.c.duration)
    .where(IN_ENVIRONMENT, HAS_DURATION)
    .order_by(jobs.c.finished_at.desc(), jobs.c.number.desc())
    .limit(bindparam("limit"))
)

_PLACES: Final = select(jobs.c.place).where(IN_ENVIRONMENT, WAITS, NOT_DONE).order_by(jobs.c.place)
_UNDER_WAY: Final = select(func.count()).where(
    IN_ENVIRONMENT, jobs.c.phase.in_([str(phase) for phase in sorted(UNDER_WAY)]), NOT_DONE
)
_FREE_PLACES: Final = _PLACES.where(IS_FREE)
_FREE_UNDER_WAY: Final = _UNDER_WAY.where(IS_FREE)


def read_line(connection: Connection, environment: str, durations: int, *, free: bool) -> Line:
    """Give who waits, as :meth:`cove.ports.JobStore.line` describes it."""
    asked: Mapping[str, Any] = {"environment": environment}
    return Line(
        connection.execute(_PLACES, asked).scalars().all(),
        int(connection.execute(_UNDER_WAY, asked).scalar_one()),
        connection.execute(DURATIONS, {**asked, "limit": max(0, durations)}).scalars().all(),
        connection.execute(_FREE_PLACES, asked).scalars().all() if free else (),
        int(connection.execute(_FREE_UNDER_WAY, asked).scalar_one()) if free else 0,
    )
