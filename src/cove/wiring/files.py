"""Where files come from, and the engines and environments that compute on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cove.core.enforcement import check_strict
from cove.core.environment import Access, Environment, FreeTier, HeldToken
from cove.core.errors import SettingsWrong
from cove.core.job import Resources
from cove.core.payment import TokenPrices
from cove.core.tiers import CPU, DISK, GPU, RAM
from cove.core.weburl import own_mark
from cove.crypto.keys import checksum, keccak
from cove.engines import opener
from cove.ledgers.blocking import blocking_calls
from cove.ports import Clock, Engine, EnginePlace, FileSource, ImageStore, Ledger, Vault
from cove.settings import EngineSettings, EnvironmentSettings, Settings
from cove.settings.environments import AccessSettings
from cove.sources.arweave import ArweaveSource
from cove.sources.graphql import GraphqlSource
from cove.sources.guard import AddressGuard
from cove.sources.ipfs import IpfsSource
from cove.sources.local import LocalRoot, LocalSource
from cove.sources.peer import PeerSource
from cove.sources.providers import MAX_ANSWER_BYTES, OtherProviders
from cove.sources.result import ResultSource
from cove.sources.s3 import S3Source
from cove.sources.sample import SampleSource
from cove.sources.smartcontract import ContractSource
from cove.sources.url import UrlSource
from cove.wiring.images import image_sources


async def open_engines(
    settings: Settings, state: Path, stack: contextlib.AsyncExitStack, store: ImageStore
) -> Mapping[str, Engine]:
    """Open every engine that an environment names; the stack closes them.

    Raises:
        SettingsWrong: There is no such engine, its table is wrong, or it cannot enforce what a strict environment asks
            for.
    """
    images = image_sources(settings)
    engines: dict[str, Engine] = {}
    for name in sorted({environment.engine for environment in settings.environments}):
        table = settings.engines.get(name, EngineSettings())
        kind = table.kind or name
        # The first kind's folder has no name of its own: runs of earlier versions lie there.
        folder = state / ("engine" if name == "sandbox" else f"engine-{name}")
        own = table.model_extra or {}
        options = _of_the_sandbox(settings, name, own) if kind == "sandbox" else own
        engine = opener(kind)(EnginePlace(name, folder, images, options, store))
        stack.push_async_callback(engine.close)
        await engine.start()
        engines[name] = engine
    for environment in settings.environments:
        if environment.strict:
            check_strict(environment.id, environment.engine, engines[environment.engine].enforcement())
    return engines


def _of_the_sandbox(settings: Settings, name: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what the table ``sandbox`` says, as the options of an engine of that kind, which has no others."""
    for field in own:
        raise SettingsWrong(
            f"engines.{name}.{field} is not a setting: what the sandbox can be told stands in the table [sandbox].",
            hint=f"Move {field} there, or take it out.",
        )
    given = settings.sandbox
    wanted = sum(entry.max_jobs for entry in settings.environments if entry.engine == name)
    if given.uids < wanted:
        raise SettingsWrong(
            f"sandbox.uids is {given.uids}, and environments run up to {wanted} jobs at a time (max_jobs).",
            hint="Raise sandbox.uids, or lower max_jobs.",
        )
    return {**given.model_dump(), "disk_in_memory": int(given.disk_in_memory)}


_ANSWER_SECONDS: Final = 5.0
"""To wait for other providers' short answers, some of which anybody may have us ask for."""


def open_providers(settings: Settings, vault: Vault) -> OtherProviders:
    """Give what asks other providers."""
    stall = min(_ANSWER_SECONDS, settings.url_files.stall_seconds)
    guard = AddressGuard(settings.url_files.allowed)
    web = UrlSource(
        guard, max_bytes=MAX_ANSWER_BYTES, stall_seconds=stall, total_seconds=2 * stall, mark=own_mark(vault.address)
    )
    return OtherProviders(web, vault.address)


def open_sources(  # noqa: PLR0917 - each once
    settings: Settings,
    roots: Mapping[str, LocalRoot],
    ledgers: Mapping[int, Ledger],
    clock: Clock,
    vault: Vault,
    providers: OtherProviders,
    published: Path,
) -> Mapping[str, FileSource]:
    """Give one source for each type of file; ``published`` is the folder of published results."""
    given = settings.url_files
    web = UrlSource(
        AddressGuard(given.allowed),
        max_bytes=int(given.max_bytes),
        stall_seconds=given.stall_seconds,
        total_seconds=given.total_seconds,
        mark=own_mark(vault.address),
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
        "result": ResultSource(published),
        "peer": PeerSource(web, providers, account=vault.address, sign=_text_signer(vault), now=clock.now),
        "sample": SampleSource(),
    }


def _text_signer(vault: Vault) -> Callable[[str], str]:
    """Sign texts with the provider's account as clients sign them."""

    def sign(text: str) -> str:
        v, r, s = vault.sign_hash(keccak(text.encode()))
        return "0x" + (r + s + bytes((v,))).hex()

    return sign


def _access(entry: EnvironmentSettings, given: AccessSettings, chains: set[int]) -> Access:
    for token in given.tokens:
        if token.chain not in chains:
            raise SettingsWrong(
                f"Environment {entry.id} is for holders of a token on chain {token.chain}, which is not in chains.",
                hint="Add the chain to the settings, or take the token out of environments.access.tokens.",
            )
    return Access(
        tuple(checksum(address) for address in given.addresses),
        tuple(
            HeldToken(token.chain, checksum(token.contract), int(token.id) if token.id else None)
            for token in given.tokens
        ),
    )


def _free(entry: EnvironmentSettings, limits: Resources, chains: set[int]) -> FreeTier | None:
    if entry.free is None:
        return None if entry.price_per_minute else FreeTier(limits)
    given = {
        "cpus": entry.free.cpus,
        "memory_bytes": entry.free.memory,
        "disk_bytes": entry.free.disk,
        "time_seconds": entry.free.max_duration,
    }
    less: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    waiting = (entry.max_queue + 1) // 2 if entry.free.max_queue is None else entry.free.max_queue
    return FreeTier(replace(limits, **less), _access(entry, entry.free.access, chains), entry.free.max_jobs, waiting)


def _prices(entry: EnvironmentSettings, settings: Settings) -> tuple[TokenPrices, ...]:
    with_escrow = {chain.id for chain in settings.chains if chain.escrow}
    for one in entry.prices:
        if one.chain not in with_escrow:
            raise SettingsWrong(
                f"Environment {entry.id} has a price on chain {one.chain}, which has no escrow in the settings.",
                hint="Set chains.escrow of that chain, or take the price out of environments.prices.",
            )
    return tuple(
        TokenPrices(one.chain, checksum(one.token), ((CPU, one.cpu), (RAM, one.ram), (DISK, one.disk), (GPU, one.gpu)))
        for one in entry.prices
    )


def environment_of(entry: EnvironmentSettings, settings: Settings) -> Environment:
    """Give an environment as the settings describe it.

    Raises:
        SettingsWrong: It is for holders of a token on a chain that is not in the settings, or has a price where there
            is no escrow contract.
    """
    chains = {chain.id for chain in settings.chains}
    limits = Resources(
        cpus=entry.cpus,
        memory_bytes=int(entry.memory),
        disk_bytes=int(entry.disk),
        inodes=entry.inodes,
        processes=entry.processes,
        time_seconds=entry.max_duration,
        log_bytes=int(entry.log),
        gpus=entry.gpus,
        gpu_type=entry.gpu_type,
    )
    return Environment(
        id=entry.id,
        engine=entry.engine,
        description=entry.description,
        resources=limits,
        max_jobs=entry.max_jobs,
        max_queue=entry.max_queue,
        price_per_minute=entry.price_per_minute,
        images=tuple(settings.images),
        fee_tokens=tuple((chain.id, checksum(chain.fee_token)) for chain in settings.chains),
        live_logs=entry.live_logs,
        network=entry.network == "allowed",
        max_queue_wait=entry.max_queue_wait,
        image_patterns=entry.images,
        digests_only=entry.digests_only,
        max_mock_jobs=entry.max_mock_jobs,
        max_mock_seconds=entry.max_mock_duration,
        access=_access(entry, entry.access, chains),
        free=_free(entry, limits, chains),
        prices=_prices(entry, settings),
    )
