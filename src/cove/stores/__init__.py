"""Where jobs, nonces, revoked tokens, grants and the index of assets are kept."""

from __future__ import annotations

from typing import Final

from cove.ports import GrantStore, JobStore, NonceStore, TokenStore
from cove.stores.grants import SqlGrantStore
from cove.stores.index import SqlIndexStore
from cove.stores.memory import MemoryGrantStore, MemoryJobStore, MemoryNonceStore, MemoryTokenStore
from cove.stores.memoryindex import MemoryIndexStore
from cove.stores.nonces import SqlNonceStore
from cove.stores.sql import SqlJobStore
from cove.stores.tokens import SqlTokenStore

STORES: Final[dict[str, tuple[type[JobStore], type[NonceStore], type[TokenStore], type[GrantStore]]]] = {
    "memory": (MemoryJobStore, MemoryNonceStore, MemoryTokenStore, MemoryGrantStore),
    "sql": (SqlJobStore, SqlNonceStore, SqlTokenStore, SqlGrantStore),
}
"""By name: what keeps jobs, nonces, revoked tokens, and grants."""

__all__ = [
    "STORES",
    "MemoryGrantStore",
    "MemoryIndexStore",
    "MemoryJobStore",
    "MemoryNonceStore",
    "MemoryTokenStore",
    "SqlGrantStore",
    "SqlIndexStore",
    "SqlJobStore",
    "SqlNonceStore",
    "SqlTokenStore",
]
