"""Where jobs, nonces and revoked tokens are kept."""

from __future__ import annotations

from typing import Final

from cove.ports import JobStore, NonceStore, TokenStore
from cove.stores.memory import MemoryJobStore, MemoryNonceStore, MemoryTokenStore
from cove.stores.nonces import SqlNonceStore
from cove.stores.sql import SqlJobStore
from cove.stores.tokens import SqlTokenStore

STORES: Final[dict[str, tuple[type[JobStore], type[NonceStore], type[TokenStore]]]] = {
    "memory": (MemoryJobStore, MemoryNonceStore, MemoryTokenStore),
    "sql": (SqlJobStore, SqlNonceStore, SqlTokenStore),
}
"""By name: what keeps jobs, nonces, and revoked tokens."""

__all__ = [
    "STORES",
    "MemoryJobStore",
    "MemoryNonceStore",
    "MemoryTokenStore",
    "SqlJobStore",
    "SqlNonceStore",
    "SqlTokenStore",
]
