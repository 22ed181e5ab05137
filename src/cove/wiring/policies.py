"""Policies outside a running service: what is wrong with them, and what they mean for a job."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cove.core.asset import Asset
from cove.core.errors import CoveError, Refused, SettingsWrong
from cove.core.policy import ReleaseLimits
from cove.core.policyexplained import Explained, explain_mock, explain_release, explain_start
from cove.core.policyfile import PolicyFile, PolicyWrong, parse_policy
from cove.core.policygate import Candidate
from cove.core.releasepolicy import ReleasePolicy, policy_digest, strictest
from cove.core.trust import AlgorithmOnTrial, may_consume, may_run
from cove.jobs.orders import asset_of_any
from cove.policies.folder import MAX_BYTES, FolderPolicies
from cove.policies.samples import problems_of
from cove.ports import Finding
from cove.settings import Settings
from cove.stores.database import sqlite_url
from cove.stores.memory import MemoryGrantStore, MemoryJobStore
from cove.stores.memoryindex import MemoryIndexStore
from cove.stores.sql import SqlJobStore
from cove.wiring.chains import Connect, open_chains
from cove.wiring.state import DATABASE_FILE, open_vault

_DDO_SECONDS: Final = 20.0
_KEEP_NOTHING: Final = "cove-policy-"


@dataclass(frozen=True, slots=True)
class Job:
    """What a consumer might ask for."""

    datasets: tuple[str, ...]
    #: DID, or ``raw``.
    algorithm: str
    consumer: str
    #: Digest of the algorithm's image, and of its files, where they are known without its DDO.
    image: str = ""
    files: str = ""
    #: Id of the environment; empty: the first one.
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of a job."""

    #: By dataset.
    datasets: tuple[tuple[str, tuple[Explained, ...]], ...]
    release: tuple[Explained, ...]
    #: Hex digest of the policy that it would run under.
    digest: str

    @property
    def starts(self) -> bool | None:
        """Say whether it would start; None: that hangs on what is not known here."""
        passes = [line.passes for _, lines in self.datasets for line in lines if line.rule not in {"policy", "mock"}]
        return False if False in passes else (None if None in passes else True)


def limits_of(settings: Settings) -> ReleaseLimits:
    """Give the owner's limits."""
    given = settings.release
    return ReleaseLimits(int(given.max_file), int(given.max_total), given.max_files, int(given.max_log))


async def examine_policies(settings: Settings) -> Sequence[Finding]:
    """Look at every policy file of the settings."""
    return await open_policies(settings).examine()


def open_policies(settings: Settings) -> FolderPolicies:
    """Give the policies of the settings' folder."""
    private = {name: root.path.absolute() for name, root in settings.local.items()}
    return FolderPolicies(settings.policies.folder, private)


def check_policies(place: Path) -> tuple[Sequence[PolicyFile], Sequence[str]]:
    """Give the good files of a folder, or the one file, and what is wrong with the others.

    Raises:
        SettingsWrong: There is nothing there.
    """
    if place.is_dir():
        folder = FolderPolicies(place)
        return folder.survey()
    try:
        file = read_policy(place)
    except PolicyWrong as problem:
        return [], [problem.message]
    return [file], list(problems_of(file, {}))


def read_policy(place: Path) -> PolicyFile:
    """Read one policy file.

    Raises:
        SettingsWrong: It cannot be read.
        PolicyWrong: It cannot be used.
    """
    try:
        with place.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as problem:
        raise SettingsWrong(f"The policy file {place} cannot be read: {problem.strerror}.") from None
    if len(content) > MAX_BYTES:
        raise PolicyWrong(f"{place}, line 1, column 1: the file has more than {MAX_BYTES} bytes.")
    return parse_policy(content, str(place))


async def explain(settings: Settings, job: Job, connect: Connect) -> Explanation:
    """Say what would become of a job, as far as that can be known from here.

    Raises:
        SettingsWrong: A policy file is broken, or there is no such environment.
    """
    policies = open_policies(settings)
    policies.check()
    environment = next((one for one in settings.environments if job.environment in {"", one.id}), None)
    if environment is None:
        raise SettingsWrong(f"There is no environment {job.environment or 'at all'} in the settings.")
    ruled = tuple(zip(job.datasets, await policies.of(job.datasets), strict=True))
    mocks = await policies.mocks(job.datasets)
    assets = await _assets(settings, connect, [*job.datasets, *([job.algorithm] if job.algorithm != "raw" else [])])
    candidate = _candidate(job, assets.get(job.algorithm))
    explained = []
    for (did, policy), mock in zip(ruled, mocks, strict=True):
        used = await _runs_used(settings, job.consumer, did, policy)
        lines = [_source(policy), explain_mock(mock), *_asset_rules(job, assets.get(did), candidate)]
        explained.append((did, (*lines, *explain_start(policy, job.consumer, candidate, used))))
    merged = strictest(policy for _, policy in ruled)
    release = explain_release(merged, limits_of(settings), live_logs=environment.live_logs)
    return Explanation(tuple(explained), release, policy_digest(merged))


def _source(policy: ReleasePolicy) -> Explained:
    digest = policy.digests[0][1] if policy.digests else ""
    text = f"its file has the digest {digest}." if digest else "no file is about it: the built-in one holds."
    return Explained("policy", text)


def _candidate(job: Job, asset: Asset | None) -> Candidate | None:
    terms = asset.algorithm if asset is not None else None
    image = job.image or (terms.checksum if terms is not None else "")
    if job.algorithm == "raw":
        return Candidate(raw=True, image=image)
    if asset is None and not image:
        return None
    return Candidate(raw=False, image=image, files=job.files or None, publisher=asset.publisher if asset else "")


def _asset_rules(job: Job, asset: Asset | None, algorithm: Candidate | None) -> list[Explained]:
    """Say what the dataset's DDO says of the job, where it can be read."""
    if asset is None:
        return [Explained("DDO", "it cannot be read from here, so that what it says is not known.")]
    try:
        may_consume(asset, job.consumer)
    except Refused as problem:
        return [Explained("DDO", f"{problem.reason}: {problem.hint}", passes=False)]
    service = next((one for one in asset.services if one.compute is not None), None)
    if service is None:
        return [Explained("DDO", "it has no service of type compute.", passes=False)]
    if algorithm is None:
        return [Explained("DDO", "the account may use it; of the algorithm nothing is known.")]
    did = None if algorithm.raw else job.algorithm
    # Digests of files and containers are checked at the start: here they are taken as they should be.
    entry = next((one for one in service.compute.trusted_algorithms or () if one.did in {did, "*"}), None)  # type: ignore[union-attr]
    tried = AlgorithmOnTrial(
        did,
        algorithm.publisher,
        entry.files_checksum if entry else None,
        entry.container_checksum if entry else None,
    )
    try:
        may_run(asset, service, tried)
    except Refused as problem:
        return [Explained("DDO", f"{problem.reason}: {problem.hint}", passes=False)]
    return [Explained("DDO", "it lets the account use it, and the algorithm run.", passes=True)]


async def _assets(settings: Settings, connect: Connect, dids: Sequence[str]) -> dict[str, Asset]:
    """Read the DDOs that can be read; a chain, or a key, that is not there costs no more than what it would tell."""
    found: dict[str, Asset] = {}
    async with contextlib.AsyncExitStack() as stack:
        with contextlib.suppress(CoveError, TimeoutError):
            async with asyncio.timeout(_DDO_SECONDS):
                _, metadata = await open_chains(
                    settings,
                    open_vault(settings),
                    connect,
                    stack,
                    MemoryIndexStore(),
                    grants=MemoryGrantStore(MemoryJobStore()),
                    now=time.time,
                )
                for did in dids:
                    with contextlib.suppress(CoveError):
                        found[did] = await asset_of_any(tuple(metadata.values()), did)
    return found


async def _runs_used(settings: Settings, consumer: str, did: str, policy: ReleasePolicy) -> int | None:
    url = settings.database_url.get_secret_value()
    file = settings.state_dir.absolute() / DATABASE_FILE
    if policy.consumers.runs is None or (not url and not file.exists()):
        return None if url or file.exists() else 0
    store = SqlJobStore(url or sqlite_url(file))
    try:
        await store.start()
        return await store.runs(consumer, did, time.time() - policy.consumers.period_seconds)
    except CoveError:
        return None
    finally:
        await store.close()
