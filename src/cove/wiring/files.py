"""Where files come from, and the engines and environments that compute on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from cove.core.environment import Environment
from cove.core.errors import SettingsWrong
from cove.core.job import Resources
from cove.crypto.keys import checksum, keccak
from cove.engines.sandbox import ImageSource, SandboxConfig, SandboxEngine
from cove.ledgers.blocking import blocking_calls
from cove.ports import Clock, Engine, FileSource, Ledger
from cove.settings import EnvironmentSettings, Settings
from cove.sources.arweave import ArweaveSource
from cove.sources.graphql import GraphqlSource
from cove.sources.guard import AddressGuard
from cove.sources.ipfs import IpfsSource
from cove.sources.local import LocalRoot, LocalSource
from cove.sources.s3 import S3Source
from cove.sources.smartcontract import ContractSource
from cove.sources.url import UrlSource


async def open_engines(settings: Settings, state: Path, stack: contextlib.AsyncExitStack) -> Mapping[str, Engine]:
    """Open every engine that an environment names; the stack closes them.

    Raises:
        SettingsWrong: There is no such engine.
    """
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


def open_sources(
    settings: Settings, roots: Mapping[str, LocalRoot], ledgers: Mapping[int, Ledger], clock: Clock
) -> Mapping[str, FileSource]:
    """Give one source for each type of file."""
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


def environment_of(entry: EnvironmentSettings, settings: Settings) -> Environment:
    """Give an environment as the settings describe it."""
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
