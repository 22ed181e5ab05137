"""A compute environment, as the rules need it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from cove.core.job import Resources


@dataclass(frozen=True, slots=True)
class Environment:
    """One place to run jobs, with its limits and its price."""

    id: str
    #: Name of the engine that runs its jobs.
    engine: str
    description: str
    resources: Resources
    #: Runs at one time.
    max_jobs: int
    #: Jobs that may wait.
    max_queue: int
    #: Whole fee tokens per minute; 0 is free.
    price_per_minute: Decimal
    #: Image names that may run here.
    images: tuple[str, ...]
    #: Fee token of each chain, checksummed.
    fee_tokens: tuple[tuple[int, str], ...]
    #: Whether a job's owner may read its log while it runs.
    live_logs: bool = False
    #: Whether a run may reach the network where every dataset allows it.
    network: bool = False

    def fee_token(self, chain_id: int) -> str:
        """Give the token that is paid on a chain; the zero address where none is set."""
        return dict(self.fee_tokens).get(chain_id, "0x" + "0" * 40)
