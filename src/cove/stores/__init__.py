"""Where jobs and nonces are kept."""

from __future__ import annotations

from typing import Final

from cove.ports import JobStore, NonceStore
from cove.stores.memory import MemoryJobStore, MemoryNonceStore
from cove.stores.nonces import SqlNonceStore
from cove.stores.sql import SqlJobStore

STORES: Final[dict[str, tuple[type[JobStore], type[NonceStore]]]] = {
    "memory": (MemoryJobStore, MemoryNonceStore),
    "sql": (SqlJobStore, SqlNonceStore),
}
"""By name: what keeps jobs, and what keeps nonces."""

__all__ = ["STORES", "MemoryJobStore", "MemoryNonceStore", "SqlJobStore", "SqlNonceStore"]
