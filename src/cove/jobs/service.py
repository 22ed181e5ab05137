"""What consumers ask of jobs: start, restart, find, stop, delete, and read what was released."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from cove.core.consent import Action
from cove.core.delivery import Delivery, kinds_of
from cove.core.environment import Environment
from cove.core.errors import NotFound, Refused, StaleWrite
from cove.core.job import Job, JobId, Package, Phase, ResultFile
from cove.core.lifecycle import restarted
from cove.core.output import check_output
from cove.jobs import mocking, paying, policing, quotes, tarball, tiers
from cove.jobs.admission import admit, admit_again, environment_of, variables
from cove.jobs.consent import consent_to_job, consent_to_restart
from cove.jobs.entry import check_image, let_in
from cove.jobs.parts import Parts
from cove.jobs.queues import Queues
from cove.jobs.reconciler import Reconciler
from cove.jobs.requests import (
    EnvironmentView,
    JobView,
    Quote,
    QuoteRequest,
    ResultPart,
    StartRequest,
    TierQuote,
    TierQuoteRequest,
)
from cove.jobs.steps import pack, unpack
from cove.jobs.tiers import Wish
from cove.ports import JobQuery, Restart

_NO_JOB = "There is no such job."


class JobService:
    """Answers for jobs; everything that takes time is left to the loop."""

    def __init__(self, parts: Parts, reconciler: Reconciler) -> None:
        self._parts = parts
        self._loop = reconciler
        self._queues = Queues(parts.store)
        self._mocks = mocking.MockPlaces(parts.store)

    async def start(self, request: StartRequest) -> JobView:
        """Accept a new job. From the return on it cannot be lost.

        Raises:
            Refused: A rule says no; nothing was started and no order was used.
            Invalid: The site's policy says no.
            Forbidden: The site's policy says no.
            TooMany: The queue is full.
            Unavailable: The chain, or the site's policy, does not answer.
        """
        parts = self._parts
        environment = environment_of(parts, request.environment)
        await let_in(parts, environment, request.consumer)
        check_output(parts.output_rules, request.output, request.consumer, mock=request.mock)
        wish = None
        share = environment.resources
        if request.tier is not None:
            wish = Wish(environment, request.consumer, request.tier, request.queue_wait)
            share = await tiers.share_of(parts, wish)
        free = request.tier is not None and request.tier.free
        await self._queues.check_room(environment, free=free)
        given = variables(request.environment_variables)
        admitted = await admit(
            parts,
            request.consumer,
            request.datasets,
            request.algorithm,
            request.raw,
            starting=True,
            mock=request.mock,
            custom_data=request.custom_data,
        )
        check_image(environment, admitted.package.container)
        terms = await paying.terms_of(parts, request, wish, admitted, environment, share)
        await consent_to_job(parts, Action.COMPUTE, request.consumer, admitted, request.passed_on)
        container = replace(admitted.package.container, login=request.login)
        package = replace(
            admitted.package,
            environment=given,
            layout=request.layout,
            container=container,
            webhook=request.webhook,
            output=request.output,
        )
        now = parts.clock.now()
        job = Job(
            id=JobId(parts.new_id()),
            owner=request.consumer,
            chain_id=admitted.datasets[0].asset.chain_id,
            environment=environment.id,
            agreement_id="" if request.mock else request.datasets[0].order_tx or "",
            dataset_dids=tuple(item.asset.did for item in admitted.datasets),
            algorithm_did="" if admitted.algorithm is None else admitted.algorithm.asset.did,
            resources=terms.resources,
            created_at=now,
            expires_at=terms.expires_at,
            order_keys=paying.order_keys(admitted, terms.orders),
            wait_until=_wait_until(environment, terms.wait or request.queue_wait, now),
            notify=request.webhook is not None,
            mock=package.mock,
            onward=kinds_of(request.output),
            tier=terms.tier,
        )
        sealed = parts.vault.seal(pack(package))
        async with (
            self._mocks.place(environment, job),
            paying.locked(parts, job, terms.payment),
            self._queues.room(environment, free=job.is_free),
        ):
            stored = await parts.store.add(job, sealed, policing.run_limits(admitted.ruled, now))
        self._loop.accepted(environment.id)
        return await self._view(stored)

    async def restart(
        self,
        owner: str,
        job_id: JobId,
        *,
        refresh_inputs: bool,
        passed_on: str = "",
        queue_wait: int | None = None,
        mock: bool | None = None,
    ) -> JobView:
        """Run a finished job again as a new attempt, while its paid period lasts.

        Args:
            owner: Who asks, proven.
            job_id: The job.
            refresh_inputs: True accepts data that changed since its first attempt.
            passed_on: What the owner says to the site's policy server, JSON text; empty for nothing.
            queue_wait: Seconds that it may wait for its run this time; None: as long as the environment allows.
            mock: Whether its owner takes it for a mock job, which it stays; None: they do not say.

        Raises:
            NotFound: It is not there or not the owner's.
            Refused: It has not ended, what paid for it has, or its environment, or a dataset, is not for its owner any
                more.
            Invalid: The site's policy says no.
            Forbidden: The site's policy says no.
            TooMany: The queue is full.
            Unavailable: A chain, or the site's policy, does not answer.
        """
        job = await self._own(owner, job_id)
        mocking.check_same(job, mock)
        if job.phase is not Phase.DONE:
            raise Refused("jobId", "running", hint="Stop the job, or wait until it has ended.")
        environment = environment_of(self._parts, job.environment)  # it may have been removed since
        await let_in(self._parts, environment, owner)
        await tiers.let_again(self._parts, environment, job)
        now = self._parts.clock.now()
        if job.expires_at and now > job.expires_at:
            raise Refused("order", "fees_not_paid", hint="The paid period has ended: order again, start a new job.")
        package, ruled = await admit_again(self._parts, owner, await self._package(job_id))
        await consent_to_restart(self._parts, job, passed_on)
        again = restarted(job, now, _wait_until(environment, queue_wait, now))
        if refresh_inputs:
            again = replace(again, input_digests=())
        restart = Restart(now, self._parts.vault.seal(pack(package)), policing.run_limits(ruled, now))
        async with self._mocks.place(environment, again), self._queues.room(environment, free=again.is_free):
            stored = await self._parts.store.save(again, restart)
        self._loop.accepted(stored.environment)
        return await self._view(stored)

    async def find(self, query: JobQuery) -> Sequence[JobView]:
        """Give the jobs that match, the newest first."""
        return [await self._view(job) for job in await self._parts.store.find(query)]

    async def stop(self, query: JobQuery) -> Sequence[JobView]:
        """Wish for the end of every job that matches; those that have ended stay as they are."""
        return [await self._view(await self._wish(job, delete=False)) for job in await self._owned(query)]

    async def delete(self, query: JobQuery) -> Sequence[JobView]:
        """Wish for the removal of every job that matches, with everything of it."""
        return [await self._view(await self._wish(job, delete=True)) for job in await self._owned(query)]

    async def quote(self, request: QuoteRequest) -> tuple[tuple[Quote, ...], Quote | None]:
        """Say what a job would cost now: one quote per dataset, and the algorithm's."""
        return await quotes.quote(self._parts, request)

    async def tier_quote(self, request: TierQuoteRequest) -> TierQuote:
        """Say what a job of Ocean Node's API still needs: a quote per dataset, the algorithm's, and what is locked."""
        return await tiers.quote(self._parts, request)

    async def environments(self) -> Sequence[EnvironmentView]:
        """Give every environment with its present load."""
        views = []
        for environment in self._parts.environments.values():
            line = await self._queues.line(environment)
            wait = (await self._queues.stand(environment)).seconds
            engine = self._parts.engines.get(environment.engine)
            by = engine.enforcement() if engine is not None else {}
            views.append(EnvironmentView(environment.id, len(line.places), line.under_way, wait, by))
        return views

    async def result(self, owner: str | None, job_id: JobId, index: int | None) -> ResultPart:
        """Say what is behind one index of a job's results.

        Args:
            owner: Who asks; None when a link of ours has proven the right already.
            job_id: The job.
            index: From 0; None for the archive of all outputs, or the first file where there is none.

        Raises:
            NotFound: No such job that this account may read, no results yet, or no such index.
        """
        job = await self._parts.store.get(job_id)
        if job is None or job.delete_requested_at is not None or (owner and not _may_read(job, owner)):
            raise NotFound(_NO_JOB)
        if job.phase is not Phase.DONE:
            raise NotFound("The job has no results yet.", hint="Ask again when its status is 70.")
        if index is None:
            archives = [place for place, found in enumerate(job.results) if found.filename == tarball.TAR_NAME]
            index = archives[0] if archives else 0
        if not 0 <= index < len(job.results):
            raise NotFound(f"There is no result with index {index}: the job has {len(job.results)}.")
        result = job.results[index]
        etag = result.sha256 or f"{job.id}-{job.attempt}-{index}"
        return ResultPart(job.id, index, result.filename, result.type, result.filesize, etag)

    async def read(self, part: ResultPart, offset: int, length: int) -> AsyncIterator[bytes]:
        """Give a stretch of a result that :meth:`result` described, in chunks."""
        job = await self._parts.store.get(part.job_id)
        if job is None or part.index >= len(job.results):
            raise NotFound(_NO_JOB)
        result = job.results[part.index]
        if result.key:
            async for chunk in self._parts.results.read(result.key, offset, length):
                yield chunk
            return
        async for chunk in self._read_tar(job, offset, length):
            yield chunk

    async def attempt_of(self, job_id: JobId) -> int | None:
        """Give the present attempt of a job, for links; None when there is no such job any more."""
        job = await self._parts.store.get(job_id)
        return None if job is None or job.delete_requested_at is not None else job.attempt

    async def owner_of(self, job_id: JobId) -> str | None:
        """Give the account that a job belongs to, for those who know its id; None when there is no such job."""
        job = await self._parts.store.get(job_id)
        return None if job is None or job.delete_requested_at is not None else job.owner

    async def wait_change(self, job_id: JobId, timeout: float) -> None:  # noqa: ASYNC109 - the caller's bound
        """Return when the job changes, or after so many seconds."""
        changed = asyncio.Event()

        def listen(other: JobId) -> None:
            if other == job_id:
                changed.set()

        self._loop.listeners.add(listen)
        try:
            async with asyncio.timeout(timeout):
                await changed.wait()
        except TimeoutError:
            return
        finally:
            self._loop.listeners.discard(listen)

    async def _read_tar(self, job: Job, offset: int, length: int) -> AsyncIterator[bytes]:
        position = 0
        end = offset + length
        for segment in tarball.plan(_stored(job.results), job.created_at):
            first = max(offset - position, 0)
            last = min(end - position, segment.size)
            position += segment.size
            if first >= last:
                continue
            if not segment.key:
                yield segment.literal[first:last]
                continue
            async for chunk in self._parts.results.read(segment.key, first, last - first):
                yield chunk

    async def _deliveries(self, job: Job) -> Sequence[Delivery]:
        if self._parts.deliveries is None:
            return ()
        return [one for one in await self._parts.deliveries.of(job.id) if one.attempt == job.attempt]

    async def _package(self, job_id: JobId) -> Package:
        return unpack(self._parts.vault.unseal(await self._parts.store.package(job_id)))

    async def _owned(self, query: JobQuery) -> Sequence[Job]:
        if query.owner is None:
            raise ValueError("stop and delete are for the owner of a job alone")
        return await self._parts.store.find(query)

    async def _own(self, owner: str, job_id: JobId) -> Job:
        job = await self._parts.store.get(job_id)
        if job is None or job.delete_requested_at is not None or job.owner.lower() != owner.lower():
            raise NotFound(_NO_JOB)
        return job

    async def _wish(self, job: Job, *, delete: bool) -> Job:
        """Write the wish down, however often the loop writes first."""
        while True:
            wished = _with_wish(job, self._parts.clock.now(), delete=delete)
            if wished is job:
                return job
            try:
                stored = await self._parts.store.save(wished)
            except StaleWrite:
                current = await self._parts.store.get(job.id)
                if current is None:
                    return wished
                job = current
                continue
            self._loop.wake(stored.id)
            return stored

    async def _view(self, job: Job) -> JobView:
        view = await self._seen(job)
        if job.tier is None or job.tier.free or self._parts.payments is None:
            return view
        return replace(view, payment=await self._parts.payments.of(job.id))

    async def _seen(self, job: Job) -> JobView:
        progress = self._loop.steps.provisioning.get(job.id)
        if progress is not None:
            return JobView(job, bytes_done=progress.bytes_done, bytes_total=progress.bytes_total, doing=progress.doing)
        if job.phase is Phase.DONE and job.onward:
            return JobView(job, deliveries=await self._deliveries(job))
        if job.phase is not Phase.ACCEPTED:
            return JobView(job)
        environment = self._parts.environments.get(job.environment)
        if environment is None:
            return JobView(job)
        stands = await self._queues.stand(environment, job)
        return JobView(job, stands.position, stands.seconds)


def _with_wish(job: Job, now: float, *, delete: bool) -> Job:
    if delete:
        return job if job.delete_requested_at is not None else replace(job, delete_requested_at=now)
    if job.phase is Phase.DONE or job.stop_requested_at is not None:
        return job
    return replace(job, stop_requested_at=now)


def _may_read(job: Job, account: str) -> bool:
    """Say whether an account may read what was released of a job: its owner, and those whom the owner named."""
    viewers = () if job.tier is None else job.tier.viewers
    return account.lower() in {one.lower() for one in (job.owner, *viewers)}


def _wait_until(environment: Environment, wished: int | None, now: float) -> float | None:
    seconds = environment.wait_seconds(wished)
    return None if seconds is None else now + seconds


def _stored(results: Sequence[ResultFile]) -> Sequence[ResultFile]:
    return [result for result in results if result.key]
