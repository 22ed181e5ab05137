"""The one place where concrete classes meet: Settings become a Cove."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cove.access.downloads import DownloadService
from cove.access.service import AccessService
from cove.access.wallets import Wallets
from cove.core.environment import Environment
from cove.core.errors import SettingsWrong, Unavailable
from cove.core.job import Resources
from cove.core.policy import ReleaseLimits
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account, checksum, keccak, recover, text_digests
from cove.crypto.tokens import Tokens
from cove.engines.sandbox import ImageSource, SandboxConfig, SandboxEngine
from cove.jobs.parts import Parts
from cove.jobs.reconciler import Reconciler
from cove.jobs.service import JobService
from cove.ledgers.blocking import blocking_calls
from cove.ledgers.evm import EvmLedger
from cove.ledgers.rpc import HttpRpc, Rpc
from cove.metadata.aquarius import AquariusMetadata
from cove.metadata.onchain import OnChainMetadata
from cove.ports import (
    Clock,
    Engine,
    FileSource,
    Finding,
    JobStore,
    Ledger,
    MetadataStore,
    NonceStore,
    TokenStore,
    Vault,
)
from cove.results.disk import DiskResults
from cove.settings import ChainSettings, EnvironmentSettings, Settings
from cove.sources.arweave import ArweaveSource
from cove.sources.graphql import GraphqlSource
from cove.sources.guard import AddressGuard
from cove.sources.ipfs import IpfsSource
from cove.sources.local import LocalRoot, LocalSource
from cove.sources.s3 import S3Source
from cove.sources.smartcontract import ContractSource
from cove.sources.url import UrlSource
from cove.stores.database import sqlite_url
from cove.stores.nonces import SqlNonceStore
from cove.stores.sql import SqlJobStore
from cove.stores.tokens import SqlTokenStore


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Give the Unix time in seconds."""
        return time.time()


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What the web layer needs of the settings."""

    public_status: bool
    #: Bytes.
    max_body: int
    #: Seconds.
    link_seconds: int
    cors_origins: tuple[str, ...]
    #: Seconds that results are kept; 0 for ever.
    storage_expiry: int = 0


@dataclass(frozen=True, slots=True)
class Cove:
    """A house with everything in its place."""

    jobs: JobService
    access: AccessService
    downloads: DownloadService
    reconciler: Reconciler
    parts: Parts
    vault: Vault
    nonces: NonceStore
    tokens: Tokens
    revoked: TokenStore
    wallets: Wallets
    environments: tuple[Environment, ...]
    chain_ids: tuple[int, ...]
    clock: Clock
    #: Empty: what a request was addressed to.
    public_url: str
    options: ServiceOptions

    async def examine(self) -> Sequence[Finding]:
        """Look at every part."""
        findings: list[Finding] = []
        for engine in self.parts.engines.values():
            findings.extend(await engine.examine())
        findings.extend(await self.parts.store.examine())
        findings.extend(await self.parts.results.examine())
        findings.extend([await _chain_finding(ledger) for ledger in self.parts.ledgers.values()])
        return findings


class Connect(Protocol):
    """Opens a chain's JSON-RPC; the demo and the tests give the in-process chain here."""

    def __call__(self, chain: ChainSettings, /) -> Rpc:
        """Give a way to call the chain."""
        ...


def connect_http(chain: ChainSettings) -> Rpc:
    """Open a chain over HTTP."""
    return HttpRpc(chain.rpc.get_secret_value(), chain.id)


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
        stack.enter_context(_lock(state))
        vault = open_vault(settings)
        store = await _open_store(settings, state, stack)
        engines = await _open_engines(settings, state, stack)
        ledgers, metadata = await _open_chains(settings, vault, connect, stack)
        parts = _parts(settings, state, vault, store, engines, ledgers, metadata)
        reconciler = Reconciler(parts)
        cove = Cove(
            jobs=JobService(parts, reconciler),
            access=AccessService(parts),
            downloads=DownloadService(parts),
            reconciler=reconciler,
            parts=parts,
            vault=vault,
            nonces=SqlNonceStore(store),
            tokens=Tokens(vault),
            revoked=SqlTokenStore(store, parts.clock.now),
            wallets=Wallets(ledgers, text_digests, parts.clock),
            environments=tuple(parts.environments.values()),
            chain_ids=tuple(ledgers),
            clock=parts.clock,
            public_url=settings.listen.public_url.rstrip("/"),
            options=ServiceOptions(
                public_status=settings.api.public_status,
                max_body=int(settings.api.max_body),
                link_seconds=settings.api.link_seconds,
                cors_origins=settings.listen.cors_origins,
            ),
        )
        gc.freeze()  # what is there now lives as long as the service: no collection need look at it again
        if loop:
            reconciler.listen_to_engines()
            await stack.enter_async_context(_running(reconciler))
        yield cove


def prepare_state(folder: Path) -> Path:
    """Make the state folder, for the service's user alone.

    Raises:
        SettingsWrong: It cannot be made or written.
    """
    path = folder.absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("workspaces", "engine", "results"):
            (path / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as problem:
        raise SettingsWrong(
            f"The state folder {folder} cannot be made: {problem.strerror}.", hint="Set state_dir to a folder of yours."
        ) from None
    if not os.access(path, os.W_OK):
        raise SettingsWrong(f"The state folder {folder} cannot be written.", hint="Set state_dir to a folder of yours.")
    return path


def open_vault(settings: Settings) -> KeyVault:
    """Open the provider's key.

    Raises:
        SettingsWrong: There is none, or it is no key.
    """
    if settings.key_file is not None:
        return KeyVault(Account.from_file(settings.key_file))
    if settings.key.get_secret_value():
        return KeyVault(Account.from_hex(settings.key.get_secret_value()))
    raise SettingsWrong(
        "The provider has no key.", hint="cove keygen FILE makes one; then set key_file = FILE in cove.toml."
    )


@contextlib.contextmanager
def _lock(state: Path) -> Iterator[None]:
    """Hold the state folder: two loops over one set of runs would fight."""
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SettingsWrong(
            f"Another Cove is running on the state folder {state}.", hint="Stop it, or set another state_dir."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


async def _open_store(settings: Settings, state: Path, stack: contextlib.AsyncExitStack) -> SqlJobStore:
    url = settings.database_url.get_secret_value() or sqlite_url(state / "cove.db")
    store = SqlJobStore(url, order_pays_again=settings.api.order_pays_again)
    stack.push_async_callback(store.close)
    await store.start()
    return store


async def _open_engines(settings: Settings, state: Path, stack: contextlib.AsyncExitStack) -> Mapping[str, Engine]:
    engines: dict[str, Engine] = {}
    for name in {environment.engine for environment in settings.environments}:
        if name != "sandbox":
            raise SettingsWrong(f"There is no engine {name!r}; this version has: sandbox.")
        images = {
            image: ImageSource(source.kind, None if source.path is None else str(source.path), source.checksum)
            for image, source in settings.images.items()
        }
        engine = SandboxEngine(SandboxConfig(root=state / "engine", images=images))
        stack.push_async_callback(engine.close)
        await engine.start()
        engines[name] = engine
    return engines


async def _open_chains(
    settings: Settings, vault: KeyVault, connect: Connect, stack: contextlib.AsyncExitStack
) -> tuple[Mapping[int, Ledger], Mapping[int, MetadataStore]]:
    ledgers: dict[int, Ledger] = {}
    metadata: dict[int, MetadataStore] = {}
    for chain in settings.chains:
        ledger = EvmLedger(connect(chain), chain.id, chain.factory, recover=recover)
        stack.push_async_callback(ledger.close)
        ledgers[chain.id] = ledger
        if chain.metadata == "onchain":
            metadata[chain.id] = OnChainMetadata(ledger, vault, start_block=chain.start_block)
        else:
            metadata[chain.id] = AquariusMetadata(chain.metadata)
        stack.push_async_callback(metadata[chain.id].close)
    return ledgers, metadata


def _parts(  # noqa: PLR0917 - every part once
    settings: Settings,
    state: Path,
    vault: KeyVault,
    store: JobStore,
    engines: Mapping[str, Engine],
    ledgers: Mapping[int, Ledger],
    metadata: Mapping[int, MetadataStore],
) -> Parts:
    roots = {
        name: LocalRoot(root.path.absolute(), frozenset(account.lower() for account in root.publishers))
        for name, root in settings.local.items()
    }
    clock = SystemClock()
    return Parts(
        clock=clock,
        store=store,
        results=DiskResults(state / "results"),
        vault=vault,
        engines=engines,
        sources=_sources(settings, roots, ledgers, clock),
        ledgers=ledgers,
        metadata=metadata,
        confirmations={chain.id: chain.confirmations for chain in settings.chains},
        environments={entry.id: _environment(entry, settings) for entry in settings.environments},
        limits=ReleaseLimits(
            int(settings.release.max_file),
            int(settings.release.max_total),
            settings.release.max_files,
            int(settings.release.max_log),
        ),
        local_publishers={name: root.publishers for name, root in roots.items()},
        workspaces=state / "workspaces",
        keccak=keccak,
        new_id=_new_id,
        poll_seconds=settings.poll_seconds,
        order_pays_again=settings.api.order_pays_again,
    )


def _sources(
    settings: Settings, roots: Mapping[str, LocalRoot], ledgers: Mapping[int, Ledger], clock: Clock
) -> Mapping[str, FileSource]:
    given = settings.url_files
    web = UrlSource(
        AddressGuard(given.allowed),
        max_bytes=int(given.max_bytes),
        stall_seconds=given.stall_seconds,
        total_seconds=given.total_seconds,
    )
    calls = blocking_calls(ledgers, asyncio.get_running_loop(), seconds=given.stall_seconds)
    return {
        "url": web,
        "local": LocalSource(roots),
        "ipfs": IpfsSource(web, given.ipfs_gateway),
        "arweave": ArweaveSource(web, given.arweave_gateway),
        "graphql": GraphqlSource(web),
        "smartcontract": ContractSource(calls, keccak),
        "s3": S3Source(web, clock.now),
    }


def _environment(entry: EnvironmentSettings, settings: Settings) -> Environment:
    return Environment(
        id=entry.id,
        engine=entry.engine,
        description=entry.description,
        resources=Resources(
            cpus=entry.cpus,
            memory_bytes=int(entry.memory),
            disk_bytes=int(entry.disk),
            inodes=entry.inodes,
            processes=entry.processes,
            time_seconds=entry.max_duration,
            log_bytes=int(entry.log),
        ),
        max_jobs=entry.max_jobs,
        max_queue=entry.max_queue,
        price_per_minute=entry.price_per_minute,
        images=tuple(settings.images),
        fee_tokens=tuple((chain.id, checksum(chain.fee_token)) for chain in settings.chains),
    )


def _new_id() -> str:
    return secrets.token_hex(16)


@contextlib.asynccontextmanager
async def _running(reconciler: Reconciler) -> AsyncIterator[None]:
    task = asyncio.create_task(reconciler.run(), name="reconciler")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _chain_finding(ledger: Ledger) -> Finding:
    part = f"chain {ledger.chain_id}"
    try:
        block, _ = await ledger.head()
    except Unavailable as problem:
        return Finding(part, ok=False, seen=problem.message, advice="Check chains.rpc in the settings and the node.")
    return Finding(part, ok=True, seen=f"answers, newest block {block}")


def disk_finding(folder: Path) -> Finding:
    """Say how much room the state folder has."""
    free = shutil.disk_usage(folder).free
    if free < 1 << 30:
        return Finding(
            "disk", ok=False, seen=f"{free >> 20} MiB free at {folder}", advice="Free space or move state_dir."
        )
    return Finding("disk", ok=True, seen=f"{free >> 30} GiB free at {folder}")
