"""Publishes released results as assets that belong to their job's consumer, once, and within what the owner pays.

An asset takes three transactions: its contracts are made, its DDO is put on chain, and it is handed over. A journal
knows each before it is sent, so whoever goes on after a kill sends none a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from cove.client.journal import Journal, once
from cove.client.market import AssetDraft, Encrypt, MarketError, ServiceDraft, did_of
from cove.client.publishing import Price, handover_call, make_once, publish_once
from cove.client.wallet import Allow, Wallet
from cove.core.delivery import Delivery
from cove.core.errors import NoSpace, NotFound, Refused, StaleWrite, Unavailable
from cove.core.job import Job, JobId, Package, ResultFile
from cove.core.output import ASSET_FIELD
from cove.core.published import file_object, files_of, metadata_of
from cove.ports import Finding
from cove.ports.deliveries import Keep

log = logging.getLogger("cove.deliveries")

PART: Final = "publishing"
DAY_SECONDS: Final = 86_400.0
_MOST_FILES: Final = 1000
_COIN: Final = 10**18
_NO_PRICE: Final = Price()
_PLAIN_MEMBERS: Final = frozenset({"name", "description", "author", "license", "tags", "additionalInformation"})


class KeepResult(Protocol):
    """Keeps a job's stored result as one of an asset's, for as long as there is the asset. Blocking."""

    def __call__(self, nft: str, index: int, key: str, size: int, sha256: str, /) -> None:
        """Keep it; see ``results.published``."""
        ...


@dataclass(frozen=True, slots=True)
class Spending:
    """What the owner pays at the most."""

    #: Wei for one asset, all its transactions together.
    per_asset: int
    #: Wei in a day.
    per_day: int
    #: Assets in a day.
    assets_per_day: int


@dataclass(frozen=True, slots=True)
class PublishingParts:
    """What results are published with."""

    #: Opens the account that pays, with what is asked before it signs.
    wallet: Callable[[Allow], Wallet]
    chain_id: int
    #: Address of the ERC721Factory.
    factory: str
    spending: Spending
    #: Base URL of this provider, as the asset names it.
    endpoint: str
    #: The provider's account.
    provider: str
    #: Folder of journals, one for each attempt of a job.
    journals: Path
    encrypt: Encrypt
    keep: KeepResult
    package: Callable[[JobId], Awaitable[Package]]
    #: Reads the chain on to its head, so that what was published is shown here; does nothing where a cache elsewhere
    #: is asked, which reads at its own pace.
    catch_up: Callable[[], Awaitable[None]]
    #: Unix time.
    now: Callable[[], float] = time.time


class AssetCarrier:
    """A ``Carrier`` of results onto a chain. Its progress is the asset's DID, once it is known.

    Args:
        parts: What it works with.
    """

    def __init__(self, parts: PublishingParts) -> None:
        self.parts = parts
        # One account's transactions come one after the other, and what was spent is known before the next.
        self._alone = asyncio.Lock()

    async def carry(self, delivery: Delivery, job: Job, keep: Keep) -> None:
        """Publish them, or go on where that was ended. See ``cove.ports.deliveries``."""
        package = await self.parts.package(job.id)
        wish = None if package.output is None else package.output.asset
        if wish is None:
            return
        files = files_of(job, wish)
        if not files:
            raise Refused(ASSET_FIELD, "nothing", hint="The job has no released outputs to publish.")
        if len(files) > _MOST_FILES:
            raise Refused(ASSET_FIELD, "too_many", hint=f"An asset may have {_MOST_FILES} files at the most.")
        metadata = metadata_of(wish, job, package, self.parts.provider)
        async with self._alone:
            try:
                await self._publish(delivery, job, files, metadata, keep)
            except MarketError as problem:
                log.warning("the results of job %s are not published yet: %s", job.id, problem)
                text = "The chain did not take the asset yet; the results can be fetched here."
                raise Unavailable(PART, text) from None
            except (StaleWrite, NotFound):
                raise Refused(ASSET_FIELD, "gone", hint="A result is not there any more.") from None
            except NoSpace:
                raise Unavailable(PART, "The provider has no space left to keep the results for good.") from None

    async def examine(self) -> Sequence[Finding]:
        """Look at what the account that pays owns."""
        wallet = self.parts.wallet(lambda _, __: None)
        try:
            owned = await wallet.balance()
        except (MarketError, Unavailable) as problem:
            return [Finding(PART, ok=False, seen=str(problem), advice="Check the chain of publishing.chain.")]
        enough = owned >= self.parts.spending.per_asset
        seen = f"account {wallet.address} has {owned / _COIN:.6g} coins on chain {self.parts.chain_id}"
        return [
            Finding(PART, ok=enough, seen=seen, advice="" if enough else "Give it coins: an asset may need max_cost.")
        ]

    async def _publish(
        self, delivery: Delivery, job: Job, files: tuple[ResultFile, ...], metadata: Mapping[str, Any], keep: Keep
    ) -> None:
        parts = self.parts
        journal = Journal(self._journal(job), {"chain": parts.chain_id, "job": job.run_id})
        if not journal.begun():
            await asyncio.to_thread(self._check_count)
            journal.note("begun", parts.now())
        wallet = parts.wallet(lambda nonce, cost: self._allow(journal, nonce, cost))
        name = str(metadata["name"])
        nft, _ = await make_once(wallet, journal, parts.factory, name, _NO_PRICE)
        did = did_of(nft, parts.chain_id)
        if delivery.progress != did:
            await keep(did)
        await asyncio.to_thread(self._keep_files, nft.lower(), files)
        await publish_once(wallet, journal, parts.factory, self._draft(files, metadata), _NO_PRICE, parts.encrypt)
        if job.owner.lower() != wallet.address.lower():
            await once(wallet, journal, "handover", handover_call(nft, wallet.address, job.owner))
        with contextlib.suppress(Unavailable, NoSpace):  # it is published, and is shown when the index gets there
            await parts.catch_up()

    def _journal(self, job: Job) -> Path:
        return self.parts.journals / f"{job.run_id}.json"

    def _keep_files(self, nft: str, files: tuple[ResultFile, ...]) -> None:
        for index, result in enumerate(files):
            self.parts.keep(nft, index, result.key, result.filesize, result.sha256)

    def _draft(self, files: tuple[ResultFile, ...], metadata: Mapping[str, Any]) -> AssetDraft:
        listed = [file_object(index, result) for index, result in enumerate(files)]
        service = ServiceDraft("access", listed, self.parts.endpoint, timeout=0)
        return AssetDraft(
            name=str(metadata["name"]),
            services=[service],
            description=str(metadata["description"]),
            author=str(metadata["author"]),
            license=str(metadata["license"]),
            tags=metadata.get("tags", ()),
            information=metadata["additionalInformation"],
            further={name: value for name, value in metadata.items() if name not in _PLAIN_MEMBERS},
        )

    def _check_count(self) -> None:
        since = self.parts.now() - DAY_SECONDS
        if (
            sum(1 for facts in self._lately(since) if facts.get("begun", 0.0) > since)
            >= self.parts.spending.assets_per_day
        ):
            raise Unavailable(PART, "The provider publishes no more results today; they can be fetched here.")

    def _allow(self, journal: Journal, nonce: int, cost: int) -> None:
        """Write down what a transaction can cost, unless that is more than the owner pays."""
        spending, now = self.parts.spending, self.parts.now()
        costs: dict[str, Any] = dict(journal.fact("costs") or {})
        # One that never happened, and whose nonce is used again, costs nothing.
        costs[str(nonce)] = {"at": now, "wei": str(cost)}
        if _sum(costs, 0.0) > spending.per_asset:
            text = "To publish the results costs more than the provider pays for an asset; they can be fetched here."
            raise Unavailable(PART, text)
        since = now - DAY_SECONDS
        others = sum(_sum(facts.get("costs") or {}, since) for facts in self._lately(since, without=journal.path))
        if others + _sum(costs, since) > spending.per_day:
            text = "The provider has spent on publishing what it pays in a day; the results can be fetched here."
            raise Unavailable(PART, text)
        journal.note("costs", costs)

    def _lately(self, since: float, *, without: Path | None = None) -> list[Mapping[str, Any]]:
        """Give the facts of all journals that were written since some time."""
        journals = self.parts.journals.glob("*.json") if self.parts.journals.is_dir() else ()
        return [
            json.loads(path.read_text("utf-8"))["facts"]
            for path in journals
            if path != without and path.stat().st_mtime > since
        ]


def _sum(costs: Mapping[str, Any], since: float) -> int:
    return sum(int(one["wei"]) for one in costs.values() if one["at"] > since)
