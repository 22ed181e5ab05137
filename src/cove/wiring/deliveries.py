"""What becomes of released results beside keeping them here: who takes them further."""

from __future__ import annotations

import contextlib
from pathlib import Path

from cove.access.deliveries import DeliveryParts, DeliveryService
from cove.access.publishing import AssetCarrier
from cove.access.sending import SendingParts, StorageCarrier
from cove.core.delivery import DeliveryKind
from cove.core.job import JobId, Package
from cove.core.weburl import own_mark
from cove.crypto.box import KeyVault
from cove.crypto.streams import Encrypted
from cove.jobs.parts import Parts
from cove.jobs.steps import unpack
from cove.ports.deliveries import Carrier, DeliveryStore
from cove.results import DiskResults
from cove.settings import Settings
from cove.sources.guard import AddressGuard
from cove.sources.http_exchange import Limits
from cove.sources.sending import GuardedSender
from cove.wiring.chains import Connect
from cove.wiring.publishing import publishing_parts

RESULTS = "results"
"""Folder of released results, in the state folder."""


def open_deliveries(  # noqa: PLR0917 - each once
    settings: Settings,
    state: Path,
    parts: Parts,
    vault: KeyVault,
    store: DeliveryStore,
    connect: Connect,
    stack: contextlib.AsyncExitStack,
) -> DeliveryService:
    """Give what takes results further; the stack lets go of its connections.

    Raises:
        SettingsWrong: What publishes them lacks something.
    """
    given = settings.sending
    open_result = DiskResults(state / RESULTS).open_file

    async def package(job_id: JobId) -> Package:
        return unpack(vault.unseal(await parts.store.package(job_id)))

    sender = GuardedSender(
        AddressGuard(given.private),
        Limits(given.stall_seconds, given.total_seconds),
        parts.clock.now,
        mark=own_mark(vault.address),
    )
    sending = SendingParts(given.allowed, int(given.max_bytes), sender, open_result, Encrypted, package)
    carriers: dict[DeliveryKind, Carrier] = {DeliveryKind.STORAGE: StorageCarrier(sending)}
    publishing = publishing_parts(settings, state, vault, connect, stack, open_result, package, parts.metadata)
    if publishing is not None:
        carriers[DeliveryKind.ASSET] = AssetCarrier(publishing)
    return DeliveryService(DeliveryParts(store, parts.store, parts.audit, parts.clock, carriers, given.at_once))
