"""What knows orders, assets and their owners: chains, read over JSON-RPC, and grants, which need none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LEDGERS: Final[Mapping[str, str]] = {
    "evm": "cove.ledgers.evm:EvmLedger",
    "grants": "cove.ledgers.grants:GrantLedger",
}
"""Kind of ledger, and its class. A new kind is a line here, a class, and a run of ``tests/contract/ledgers``."""
