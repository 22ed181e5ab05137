"""What takes payments through escrow contracts."""

from __future__ import annotations

import contextlib

from cove.crypto.keys import checksum
from cove.jobs.payments import Payments
from cove.ledgers.escrow import EvmEscrow
from cove.ledgers.sending import Outbox
from cove.ports import Clock, Escrow, Vault
from cove.settings import Settings
from cove.stores.payments import SqlPaymentStore
from cove.stores.sql import SqlJobStore
from cove.wiring.chains import Connect


def open_payments(
    settings: Settings,
    vault: Vault,
    stack: contextlib.AsyncExitStack,
    *,
    store: SqlJobStore,
    clock: Clock,
    connect: Connect,
) -> Payments:
    """Give what locks and claims on every chain that has an escrow contract; the stack lets go of its connections."""
    escrows: dict[int, Escrow] = {}
    for chain in settings.chains:
        if chain.escrow:
            rpc = connect(chain)
            outbox = Outbox(rpc, chain.id, vault, clock.now)
            escrows[chain.id] = EvmEscrow(
                rpc, chain.id, checksum(chain.escrow), vault.address, outbox, chain.confirmations
            )
            stack.push_async_callback(escrows[chain.id].close)
    return Payments(SqlPaymentStore(store), escrows, store, clock)
