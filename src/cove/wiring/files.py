"""Where files come from, and the engines and environments that compute on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cove.core.environment import Access, Environment, HeldToken
from cove.core.errors import SettingsWrong
from cove.core.job import Resources
from cove.core.weburl import own_mark
from cove.crypto.keys import checksum, keccak
from cove.engines import opener
from cove.ledgers.blocking import blocking_calls
from cove.ports import Clock, Engine, EnginePlace, FileSource, ImageSource, Ledger, Vault
from cove.settings import EngineSettings, EnvironmentSettings, Settings
from cove.sources.arweave import ArweaveSource
from cove.sources.graphql import GraphqlSource
from cove.sources.guard import AddressGuard
from cove.sources.ipfs import IpfsSource
from cove.sources.local import LocalRoot, LocalSource
from cove.sources.peer import PeerSource
from cove.sources.providers import MAX_ANSWER_BYTES, OtherProviders
from cove.sources.s3 import S3Source
from cove.sources.smartcontract import ContractSource
from cove.sources.url import UrlSource


async def open_engines(settings: Settings, state: Path, stack: contextlib.AsyncExitStack) -> Mapping[str, Engine]:
    """Open every engine that an environment names; the stack closes them.

    Raises:
        SettingsWrong: There is no such engine, or its table is wrong.
    """
    images = {
        image: ImageSource(
            source.kind, source.reference or (None if source.path is None else str(source.path)), source.checksum
        )
        for image, source in settings.images.items()
    }
    engines: dict[str, Engine] = {}
    for name in sorted({environment.engine for environment in settings.environments}):
        table = settings.engines.get(name, EngineSettings())
        # The first kind's folder has no name of its own: runs of earlier versions lie there.
        folder = state / ("engine" if name == "sandbox" else f"engine-{name}")
        place = EnginePlace(name, folder, images, table.model_extra or {})
        engine = opener(table.kind or name)(place)
        stack.push_async_callback(engine.close)
        await engine.start()
        engines[name] = engine
    return engines


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
) -> Mapping[str, FileSource]:
    """Give one source for each type of file."""
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
        "peer": PeerSource(web, providers, account=vault.address, sign=_text_signer(vault), now=clock.now),
    }


def _text_signer(vault: Vault) -> Callable[[str], str]:
    """Sign texts with the provider's account as clients sign them."""

    def sign(text: str) -> str:
        v, r, s = vault.sign_hash(keccak(text.encode()))
        return "0x" + (r + s + bytes((v,))).hex()

    return sign


def _access(entry: EnvironmentSettings, chains: set[int]) -> Access:
    for token in entry.access.tokens:
        if token.chain not in chains:
            raise SettingsWrong(
                f"Environment {entry.id} is for holders of a token on chain {token.chain}, which is not in chains.",
                hint="Add the chain to the settings, or take the token out of environments.access.tokens.",
            )
    return Access(
        tuple(checksum(address) for address in entry.access.addresses),
        tuple(
            HeldToken(token.chain, checksum(token.contract), int(token.id) if token.id else None)
            for token in entry.access.tokens
        ),
    )


def environment_of(entry: EnvironmentSettings, settings: Settings) -> Environment:
    """Give an environment as the settings describe it.

    Raises:
        SettingsWrong: It is for holders of a token on a chain that is not in the settings.
    """
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
            gpus=entry.gpus,
            gpu_type=entry.gpu_type,
        ),
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
        access=_access(entry, {chain.id for chain in settings.chains}),
    )
