"""What publishes results as assets: the account that pays, its chain, and what it may spend."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from cove.access.publishing import DAY_SECONDS, PublishingParts, Spending
from cove.access.tidying import Tidying
from cove.client.errors import KeyMissing
from cove.client.signing import Signer
from cove.client.wallet import Allow, Wallet
from cove.core.errors import SettingsWrong
from cove.core.job import JobId, Package
from cove.core.output import OutputRules
from cove.crypto.box import KeyVault
from cove.jobs.parts import Parts
from cove.ledgers.rpc import Rpc, RpcError
from cove.metadata.onchain import OnChainMetadata
from cove.ports import MetadataStore
from cove.ports.deliveries import DeliveryStore, OpenResult
from cove.results.published import PublishedAssets, PublishedResults
from cove.settings import ChainSettings, Settings
from cove.wiring.chains import Connect

PUBLISHED: Final = "published"
"""Folder of published results, in the state folder."""
JOURNALS: Final = "publications"
"""Folder of what was done to publish each, in the state folder."""

_COIN: Final = 10**18
_MAX_KEY_FILE: Final = 1 << 16


def rules_of(settings: Settings) -> OutputRules:
    """Give what consumers may want done with results."""
    consumers = frozenset(account.lower() for account in settings.publishing.consumers)
    return OutputRules(settings.sending.allowed, settings.publishing.allowed, consumers)


def publishing_parts(  # noqa: PLR0917 - each once
    settings: Settings,
    state: Path,
    vault: KeyVault,
    connect: Connect,
    stack: contextlib.AsyncExitStack,
    open_result: OpenResult,
    package: Callable[[JobId], Awaitable[Package]],
    metadata: Mapping[int, MetadataStore],
) -> PublishingParts | None:
    """Give what results are published with; None where they are not.

    Raises:
        SettingsWrong: There is no such chain, no key, or no URL that an asset could name.
    """
    given = settings.publishing
    if not given.allowed:
        return None
    if not settings.listen.public_url:
        raise SettingsWrong(
            "publishing.allowed is true, and listen.public_url is empty.",
            hint="Set it: published assets name the URL that their files are fetched from.",
        )
    chain = _chain_of(settings)
    signer = _signer(settings)
    if settings.hooks.chain_proof and signer.address.lower() == vault.address.lower():
        raise SettingsWrong(
            "publishing.key is the provider's own, which sends proofs of access (hooks.chain_proof).",
            hint="Give an account of its own: two who send from one are in each other's way.",
        )
    rpc = connect(chain)
    stack.push_async_callback(rpc.close)

    def wallet(allow: Allow) -> Wallet:
        return Wallet("0x" + signer.private_key().hex(), Node(rpc), allow=allow)

    async def encrypt(plain: bytes) -> str:
        return "0x" + vault.encrypt(plain).hex()

    return PublishingParts(
        wallet=wallet,
        chain_id=chain.id,
        factory=chain.factory,
        spending=Spending(_wei(given.max_cost), _wei(given.max_cost_per_day), given.max_assets_per_day),
        endpoint=settings.listen.public_url.rstrip("/"),
        provider=vault.address,
        journals=state / JOURNALS,
        encrypt=encrypt,
        keep=PublishedResults(state / PUBLISHED, open_result).keep,
        package=package,
        catch_up=_catch_up(metadata[chain.id]),
    )


def open_tidying(settings: Settings, state: Path, parts: Parts, deliveries: DeliveryStore) -> Tidying:
    """Give what removes published results, and journals, that nobody asks for any more."""
    assets = PublishedAssets(state / PUBLISHED)
    assets.remove_rests()
    keep = settings.publishing.keep_ended_days * DAY_SECONDS
    return Tidying(assets, state / JOURNALS, deliveries, parts.ledgers, parts.clock, keep)


def _catch_up(metadata: MetadataStore) -> Callable[[], Awaitable[None]]:
    async def catch_up() -> None:
        if isinstance(metadata, OnChainMetadata):  # a metadata cache elsewhere reads at its own pace
            await metadata.indexer.sync()

    return catch_up


class Node:
    """A chain as a wallet speaks to it.

    Args:
        rpc: Calls it.
    """

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def exchange(self, body: Mapping[str, object]) -> object:
        """Give the answer to a JSON-RPC body."""
        params = body.get("params")
        try:
            return {"result": await self._rpc.call(str(body["method"]), params if isinstance(params, list) else [])}
        except RpcError as problem:
            error: dict[str, object] = {"code": problem.code, "message": problem.message}
            if problem.revert:
                error["data"] = "0x" + problem.revert.hex()
            return {"error": error}


def _chain_of(settings: Settings) -> ChainSettings:
    wanted = settings.publishing.chain
    found = [chain for chain in settings.chains if wanted in {None, chain.id}]
    if len(found) != 1:
        raise SettingsWrong(
            "publishing.allowed is true, and it is not clear on which chain.",
            hint="Set publishing.chain to the id of one of chains.",
        )
    return found[0]


def _signer(settings: Settings) -> Signer:
    given = settings.publishing
    try:
        if given.key_file is None:
            return Signer(given.key.get_secret_value())
        stored = _keystore(given.key_file)
        if stored is None:
            return Signer.from_file(given.key_file)
        from cove.client.accounts import from_keystore  # noqa: PLC0415 - slow to import, and for keystores alone

        lines = [] if given.password_file is None else given.password_file.read_text("utf-8").splitlines()
        return from_keystore(stored, lines[0] if lines else "", str(given.key_file))
    except KeyMissing as problem:
        raise SettingsWrong(
            f"The account that publishes results (publishing.key): {problem.message}", hint=problem.hint
        ) from None
    except (OSError, UnicodeDecodeError):
        raise SettingsWrong("publishing.key_file or publishing.password_file cannot be read.") from None


def _keystore(path: Path) -> dict[str, object] | None:
    """Give a file's keystore; None where it holds something else."""
    with path.open("rb") as file:
        content = file.read(_MAX_KEY_FILE)
    if not content.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise SettingsWrong(f"The key file {path} looks like a keystore and is not valid JSON.") from None
    return {str(name).lower(): value for name, value in found.items()}


def _wei(coins: Decimal) -> int:
    return int(coins * _COIN)
