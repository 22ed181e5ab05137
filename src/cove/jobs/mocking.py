"""Mock jobs: samples in place of the datasets' files, no orders, and few of them at a time, since nobody pays."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from cove.core.environment import Environment
from cove.core.errors import DataMissing, Refused, TooMany
from cove.core.files import FileList, SampleFile
from cove.core.job import InputAsset, Job, JobId, Package, Phase, SampleFiles
from cove.jobs.orders import Priced, verify
from cove.jobs.parts import Parts
from cove.ports import JobQuery, JobStore

_RETRY_SECONDS: Final = 30
_ALL: Final = 1 << 30


async def sampled(parts: Parts, inputs: Sequence[InputAsset], fields: Sequence[str]) -> tuple[InputAsset, ...]:
    """Give the datasets with their owners' samples in place of their files.

    Args:
        parts: The house.
        inputs: The datasets of a job.
        fields: The dotted field of each, for refusals.

    Raises:
        Refused: ``no_sample``: a dataset's owner gives none.
        Unavailable: A policy, or a sample, cannot be used.
    """
    rules = await parts.policies.mocks([given.did for given in inputs])
    for field, allowed in zip(fields, rules, strict=True):
        if not allowed.files:
            raise Refused(
                field,
                "no_sample",
                hint="The dataset's owner gives no synthetic sample: ask for one, or start the job without mock.",
            )
    return tuple(replace(given, files=SampleFiles(allowed.files)) for given, allowed in zip(inputs, rules, strict=True))


async def stand_in(parts: Parts, items: Sequence[Priced], inputs: list[InputAsset], *, mock: bool) -> list[InputAsset]:
    """Give the datasets of a job as it is to see them: of a mock job, by their samples.

    Args:
        parts: The house.
        items: The datasets, then the algorithm where it is published.
        inputs: The datasets.
        mock: Whether it is one.

    Raises:
        Refused: ``no_sample``, or ``mock_elsewhere``.
        Unavailable: A policy, or a sample, cannot be used.
    """
    if not mock:
        return inputs
    check_here(items)
    return list(await sampled(parts, inputs, [item.field for item in items[: len(inputs)]]))


def check_here(items: Sequence[Priced]) -> None:
    """Return when no file of a mock job is at another provider, which knows of no mock jobs and wants its order.

    Raises:
        Refused: ``mock_elsewhere``.
    """
    for item in items:
        if item.elsewhere:
            raise Refused(
                item.under("serviceId"),
                "mock_elsewhere",
                hint="The service is at another provider, so that no mock job can use it: leave it out.",
            )


async def is_free(parts: Parts, consumer: str, algorithm: Priced) -> bool:
    """Say whether a mock job may use a published algorithm without an order: it is the caller's, or its owner says so.

    Raises:
        Unavailable: The algorithm's policy file cannot be used.
    """
    if algorithm.asset.publisher.lower() == consumer.lower():
        return True
    (rules,) = await parts.policies.mocks([algorithm.asset.did])
    return rules.free


async def check_algorithm(parts: Parts, consumer: str, algorithm: Priced | None) -> None:
    """Return when a mock job may use its algorithm: for nothing, or by an order, which it does not use up.

    Raises:
        Refused: Its owner wants an order, and there is no good one.
        Unavailable: The chain, or the algorithm's policy file, cannot be used.
    """
    if algorithm is None or await is_free(parts, consumer, algorithm):
        return
    if not algorithm.order_tx:
        hint = "A mock run is free of orders for datasets; this algorithm's owner wants one for it all the same."
        raise Refused(algorithm.under("transferTxId"), "missing", hint=hint)
    await verify(parts, consumer, algorithm, None)


def check_same(job: Job, mock: bool | None) -> None:  # noqa: FBT001 - as it was asked
    """Return when a restart asks for what the job is; one that does not say stays what it is.

    Raises:
        Refused: ``mock``.
    """
    if mock is None or mock == job.mock:
        return
    what = "a mock run" if job.mock else "no mock run"
    hint = f"The job is {what}, and stays that when it runs again: start a new job."
    raise Refused("mock", "is_mock" if job.mock else "is_not_mock", hint=hint)


def listed(files: SampleFiles) -> FileList:
    """Give samples as a run reads them."""
    return FileList(tuple(SampleFile(place) for place in files.places))


def check_package(package: Package) -> None:
    """Return when a job's datasets are all private, or all stood for by samples.

    Raises:
        DataMissing: They are not, which nothing makes.
    """
    if package.mixed:
        raise DataMissing("The job mixes samples with private data, and does not run.")


class MockPlaces:
    """Holds mock jobs to as many at a time as each environment allows; those of other processes are not counted.

    Args:
        store: Keeps the jobs.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        #: Those that were under way when last looked at, by environment; None before the first look.
        self._open: defaultdict[str, set[JobId]] | None = None

    @contextlib.asynccontextmanager
    async def place(self, environment: Environment, job: Job) -> AsyncIterator[None]:
        """Around a write that puts a job into the queue; nothing for one that is no mock job.

        Raises:
            TooMany: As many are waiting or running as may be.
            Refused: ``no_mock_runs``: the environment has none at all.
        """
        if not job.mock:
            yield
            return
        if not environment.max_mock_jobs:
            hint = f"Environment {environment.id} runs no mock jobs: computeEnvironments lists the others."
            raise Refused("environment", "no_mock_runs", hint=hint)
        async with self._lock:
            taken = await self._known(environment.id)
            for other in tuple(taken):
                if await self._is_over(other):
                    taken.discard(other)
            if len(taken) >= environment.max_mock_jobs:
                text = f"Environment {environment.id} has {len(taken)} mock jobs under way, as many as it takes."
                raise TooMany(text, retry_after=_RETRY_SECONDS)
            yield
            taken.add(job.id)

    async def _known(self, environment: str) -> set[JobId]:
        """Give what is under way; after a start of the service, what an earlier one left."""
        if self._open is None:
            found: defaultdict[str, set[JobId]] = defaultdict(set)
            for job in await self._store.find(JobQuery(open_only=True, limit=_ALL)):
                if job.mock:
                    found[job.environment].add(job.id)
            self._open = found
        return self._open[environment]

    async def _is_over(self, job_id: JobId) -> bool:
        job = await self._store.get(job_id)
        return job is None or job.phase is Phase.DONE
