"""Settings become a Cove."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path

from cove.access.catalog import Catalog
from cove.access.downloads import DownloadService
from cove.access.limits import LimitOptions, Limits
from cove.access.service import AccessService
from cove.access.wallets import Wallets
from cove.core.forwarding import parse_network
from cove.crypto.box import KeyVault
from cove.crypto.handles import Handles
from cove.crypto.keys import keccak, text_digests
from cove.crypto.tokens import Tokens
from cove.jobs.livelogs import LiveLogs
from cove.jobs.looks import Looks
from cove.jobs.parts import Parts
from cove.jobs.reconciler import Reconciler
from cove.jobs.service import JobService
from cove.metadata.onchain import OnChainMetadata
from cove.policies.folder import FolderPolicies
from cove.ports import Engine, Gate, Inspector, Ledger, MetadataStore
from cove.results import DiskAirlock, DiskResults
from cove.settings import Settings
from cove.sources.local import LocalRoot
from cove.stores.audit import SqlAuditStore
from cove.stores.database import sqlite_url
from cove.stores.deliveries import SqlDeliveryStore
from cove.stores.grants import SqlGrantStore
from cove.stores.index import SqlIndexStore
from cove.stores.nonces import SqlNonceStore
from cove.stores.reviews import SqlReviewStore
from cove.stores.sql import SqlJobStore
from cove.stores.tokens import SqlTokenStore
from cove.wiring.chains import Connect, connect_http, open_chains
from cove.wiring.deliveries import RESULTS, open_deliveries
from cove.wiring.files import environment_of, open_engines, open_providers, open_sources
from cove.wiring.hooks import (
    open_gates,
    open_proofs,
)
from cove.wiring.house import Cove, ServiceOptions
from cove.wiring.images import keep_clean, open_images
from cove.wiring.inspection import keep_forgetting, open_inspector
from cove.wiring.payments import open_payments
from cove.wiring.policies import limits_of, open_policies
from cove.wiring.publishing import PUBLISHED, open_tidying, rules_of
from cove.wiring.reviewing import open_reviews
from cove.wiring.state import DATABASE_FILE, lock, open_vault, prepare_state
from cove.wiring.webhooks import open_webhooks


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Give the Unix time in seconds."""
        return time.time()


@contextlib.asynccontextmanager
async def open_cove(settings: Settings, *, connect: Connect = connect_http, loop: bool = True) -> AsyncIterator[Cove]:
    """Build a Cove, run its loop, and take everything down again but the runs.

    Args:
        settings: The owner's settings.
        connect: How to reach a chain.
        loop: False builds the house without taking jobs further (for ``cove doctor``).

    Raises:
        SettingsWrong: The settings make no sense, or another Cove uses the same state folder.
    """
    async with contextlib.AsyncExitStack() as stack:
        state = prepare_state(settings.state_dir)
        policies = open_policies(settings)
        policies.check()
        stack.enter_context(lock(state))
        vault = open_vault(settings)
        store = await _open_store(settings, state, stack)
        images = open_images(settings, state)
        stack.callback(images.close)
        engines = await open_engines(settings, state, stack, images)
        index = SqlIndexStore(store)
        ledgers, metadata = await open_chains(
            settings, vault, connect, stack, index, grants=SqlGrantStore(store), now=SystemClock().now
        )
        indexers = {id_: one.indexer for id_, one in metadata.items() if isinstance(one, OnChainMetadata)}
        gates = open_gates(settings, vault, stack)
        inspector = open_inspector(settings, state / "indexes", vault)
        stack.push_async_callback(inspector.close)
        kept = SqlDeliveryStore(store)
        payments = open_payments(settings, vault, stack, store=store, clock=SystemClock(), connect=connect)
        parts = _parts(settings, state, vault, store, engines, ledgers, metadata, gates, policies, inspector)
        parts = replace(parts, output_rules=rules_of(settings), deliveries=kept, payments=payments)
        reconciler = Reconciler(parts)
        stack.push_async_callback(
            reconciler.close
        )  # a review that is decided wakes its job, whether or not the loop runs
        reconciler.listeners.add(payments.hear)
        payments.settled.add(reconciler.paid)
        await payments.begin()
        proofs = open_proofs(settings, vault, stack, store=store, clock=parts.clock, connect=connect)
        webhooks = open_webhooks(settings, store, vault, parts.clock)
        deliveries = open_deliveries(settings, state, parts, vault, kept, connect, stack)
        reconciler.listeners.update((webhooks.hear, deliveries.hear))
        limits = Limits(LimitOptions(**settings.limits.model_dump()))
        jobs = JobService(parts, reconciler)
        cove = Cove(
            jobs=jobs,
            live_logs=LiveLogs(parts, jobs),
            access=AccessService(parts, frozenset(account.lower() for account in settings.api.authorized_decrypters)),
            catalog=Catalog(index, lambda: [reading.lag() for reading in indexers.values()]),
            downloads=DownloadService(parts),
            proofs=proofs,
            reviews=open_reviews(settings, parts, reconciler),
            webhooks=webhooks,
            deliveries=deliveries,
            reconciler=reconciler,
            parts=parts,
            vault=vault,
            nonces=SqlNonceStore(store),
            tokens=Tokens(vault),
            handles=Handles(vault),
            revoked=SqlTokenStore(store, parts.clock.now),
            wallets=Wallets(ledgers, text_digests, parts.clock),
            limits=limits,
            environments=tuple(parts.environments.values()),
            chain_ids=tuple(ledgers),
            clock=parts.clock,
            public_url=settings.listen.public_url.rstrip("/"),
            options=ServiceOptions(
                public_status=settings.api.public_status,
                max_body=int(settings.api.max_body),
                link_seconds=settings.api.link_seconds,
                cors_origins=settings.listen.cors_origins,
                trusted_proxies=tuple(map(parse_network, settings.listen.trusted_proxies)),
            ),
        )
        gc.freeze()  # what is there now lives as long as the service: no collection need look at it again
        if loop:
            reconciler.listen_to_engines()
            await stack.enter_async_context(_running(keep_clean(images), "images"))
            await stack.enter_async_context(_running(keep_forgetting(inspector, tuple(metadata.values())), "indexes"))
            await stack.enter_async_context(_running(reconciler.run(), "reconciler"))
            await stack.enter_async_context(_running(webhooks.run(), "webhooks"))
            await stack.enter_async_context(_running(deliveries.run(), "deliveries"))
            await stack.enter_async_context(_running(payments.run(), "payments"))
            tidying = open_tidying(settings, state, parts, kept)
            await stack.enter_async_context(_running(tidying.run(), "published results"))
            for chain in settings.chains:
                if chain.id in indexers:
                    reading = indexers[chain.id].run(chain.index_seconds)
                    await stack.enter_async_context(_running(reading, f"index of chain {chain.id}"))
            if proofs.wanted:
                await stack.enter_async_context(_running(proofs.run(), "proofs"))
        yield cove


async def _open_store(settings: Settings, state: Path, stack: contextlib.AsyncExitStack) -> SqlJobStore:
    url = settings.database_url.get_secret_value() or sqlite_url(state / DATABASE_FILE)
    store = SqlJobStore(url, order_pays_again=settings.api.order_pays_again)
    stack.push_async_callback(store.close)
    await store.start()
    return store


def _parts(  # noqa: PLR0917 - every part once
    settings: Settings,
    state: Path,
    vault: KeyVault,
    store: SqlJobStore,
    engines: Mapping[str, Engine],
    ledgers: Mapping[int, Ledger],
    metadata: Mapping[int, MetadataStore],
    gates: tuple[Gate, ...],
    policies: FolderPolicies,
    inspector: Inspector,
) -> Parts:
    roots = {
        name: LocalRoot(root.path.absolute(), frozenset(account.lower() for account in root.publishers))
        for name, root in settings.local.items()
    }
    clock = SystemClock()
    providers = open_providers(settings, vault)
    return Parts(
        clock=clock,
        store=store,
        results=DiskResults(state / RESULTS),
        airlock=DiskAirlock(state / "airlock"),
        reviews=SqlReviewStore(store),
        audit=SqlAuditStore(store),
        vault=vault,
        engines=engines,
        sources=open_sources(settings, roots, ledgers, clock, vault, providers, state / PUBLISHED),
        peers=providers,
        ledgers=ledgers,
        metadata=metadata,
        confirmations=dict.fromkeys(ledgers, 1) | {chain.id: chain.confirmations for chain in settings.chains},
        environments={entry.id: environment_of(entry, settings) for entry in settings.environments},
        limits=limits_of(settings),
        policies=policies,
        inspector=inspector,
        local_publishers={name: root.publishers for name, root in roots.items()},
        workspaces=state / "workspaces",
        keccak=keccak,
        new_id=_new_id,
        poll_seconds=settings.poll_seconds,
        order_pays_again=settings.api.order_pays_again,
        gates=gates,
        public_url=settings.listen.public_url.rstrip("/"),
        # As many as may hold a place for a look, and for a question that comes to one.
        looks=Looks(2 * settings.limits.outside_at_once),
    )


def _new_id() -> str:
    return secrets.token_hex(16)


@contextlib.asynccontextmanager
async def _running(loop: Coroutine[None, None, None], name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(loop, name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
