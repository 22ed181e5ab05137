"""One method per step of a job. Each may be repeated after a crash at any instant, with the same result."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from pydantic import ConfigDict, TypeAdapter

from cove.core.audit import Entry
from cove.core.errors import (
    AlgorithmMissing,
    CoveError,
    DataMissing,
    EngineUnfit,
    ImagePullFailed,
    ImageRefused,
    NoSpace,
    NotFound,
    Unavailable,
)
from cove.core.inspection import Inspection
from cove.core.job import Container, Job, JobId, Outcome, Package, Phase, Run, Verdict, run_id
from cove.core.lifecycle import judged
from cove.core.policy import RawOutput, review, to_inspect
from cove.core.rehearsal import checked_by, rehearse
from cove.core.releasepolicy import LogMode
from cove.jobs import filtering, holding, outputs, provisioning, publishing, receipts
from cove.jobs.interruptible import Interrupted
from cove.jobs.parts import Parts
from cove.jobs.publishing import CONFIGURATION_LOG_NAME, IMAGE_LOG_NAME, OUR_LOGS
from cove.ports import Collected, Engine

_PACKAGE: TypeAdapter[Package] = TypeAdapter(Package)
# In a tuple, because a dataclass by itself takes no configuration from outside.
_RUN: TypeAdapter[tuple[Run]] = TypeAdapter(
    tuple[Run], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
)
IMAGE_FILE = "image"
"""In a job's workspace: the digest of the image that it needs. Cleaning leaves such images alone."""

_RUN_FILE = "run.json"


@dataclass(slots=True)
class Progress:
    """How far the bringing of a job's data is."""

    stop: Event = field(default_factory=Event)
    #: What gets the algorithm's image; None when nothing does.
    preparing: asyncio.Task[Container] | None = None
    bytes_done: int = 0
    #: None while it is not known.
    bytes_total: int | None = None
    #: For people: what is done just now; empty while data is brought.
    doing: str = ""


def pack(package: Package) -> bytes:
    """Write a package as bytes, to be sealed."""
    return _PACKAGE.dump_json(package)


def unpack(plain: bytes) -> Package:
    """Read what :func:`pack` wrote."""
    return _PACKAGE.validate_json(plain)


class Steps:
    """The acts that the loop chooses from."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        #: Jobs whose data is being brought by this process.
        self.provisioning: dict[JobId, Progress] = {}
        #: Runs that this process made ready; an earlier service's are read from their workspaces.
        self._ready: dict[JobId, Run] = {}

    def engine(self, job: Job) -> Engine:
        """Give the engine that runs a job.

        Raises:
            Unavailable: The owner has taken the job's environment, or its engine, out of the settings.
        """
        environment = self.parts.environments.get(job.environment)
        if environment is None or environment.engine not in self.parts.engines:
            part = f"environment {job.environment}"
            raise Unavailable(part, f"{part} is not in the settings")
        return self.parts.engines[environment.engine]

    def interrupt(self, job_id: JobId) -> None:
        """Have a provisioning end soon, so that a wish is seen."""
        progress = self.provisioning[job_id]
        progress.stop.set()
        if progress.preparing is not None:
            progress.preparing.cancel()

    async def provision(self, job: Job) -> Job | None:
        """Have the image ready and bring every input to its place.

        The job goes on to SUBMITTING, or ends with a log that says what is missing.

        None when it was interrupted.
        """
        progress = self.provisioning[job.id] = Progress()
        try:
            package = await self._package(job)
            # Apart from what ends the job: without space for the audit log it waits.
            await self.parts.audit.append(_in_force(job, package, self.parts.clock.now()))
            return await self._provided(job, package, progress)
        finally:
            del self.provisioning[job.id]

    async def _provided(self, job: Job, package: Package, progress: Progress) -> Job | None:
        try:
            container = await self._prepare(job, package.container, progress)
            run, brought = await asyncio.to_thread(
                self._provision, job, replace(package, container=container), progress
            )
        except Interrupted:
            return None
        except ImageRefused as problem:
            await asyncio.to_thread(self._note, job, IMAGE_LOG_NAME, _told(problem))
            return _failed(job, Outcome.ALGORITHM_FAILED, "image_refused", problem.message)
        except ImagePullFailed as problem:
            await asyncio.to_thread(self._note, job, IMAGE_LOG_NAME, _told(problem))
            return _failed(job, Outcome.PROVIDER_FAILED, "image_pull", problem.message)
        except NoSpace:
            return _failed(job, Outcome.PROVIDER_FAILED, "no_space", "The provider has no space left for this job.")
        except AlgorithmMissing as problem:
            return _failed(job, Outcome.ALGORITHM_FAILED, "algorithm_unavailable", problem.message)
        except DataMissing as problem:
            return _failed(job, Outcome.PROVIDER_FAILED, "data_unavailable", problem.message)
        except asyncio.CancelledError:
            progress.stop.set()
            raise
        changed = _changed(job, brought.digests)
        if changed:
            message = f"{changed} changed since the first run: restart with refreshInputs to accept that."
            await asyncio.to_thread(self._note, job, CONFIGURATION_LOG_NAME, message)
            return _failed(job, Outcome.PROVIDER_FAILED, "inputs_changed", message)
        self._ready[job.id] = run
        if package.policy.leaks.check:
            leaks = (checked_by(package.policy) if package.mock else package.policy).leaks
            self.parts.inspector.prepare(brought.inputs, leaks)
        digest = run.container.digest
        return replace(job, phase=Phase.SUBMITTING, input_digests=brought.digests, image_digest=digest)

    async def _prepare(self, job: Job, container: Container, progress: Progress) -> Container:
        """Have the image ready before any data is moved: what fails, fails early."""
        began = time.monotonic()
        task = progress.preparing = asyncio.ensure_future(self.engine(job).prepare(container, progress))
        try:
            ready = replace(await task, login=None)  # a password is nothing to write down with the run
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and not caller.cancelling():
                raise Interrupted from None
            raise
        finally:
            progress.preparing = None
        if ready.digest:
            # At once, in this thread: from here on cleaning must know that the image is needed.
            with provisioning.space_errors():
                self._need(job, ready.digest)
                brought = f", {progress.bytes_done} bytes brought in {time.monotonic() - began:.1f} s"
                told = brought if progress.bytes_done else ""
                self._note(job, IMAGE_LOG_NAME, f"image {ready.reference} is {ready.digest}{told}")
        return ready

    def _need(self, job: Job, digest: str) -> None:
        folder = self.parts.workspace(job.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / IMAGE_FILE).write_text(digest, encoding="ascii")

    def _provision(self, job: Job, package: Package, progress: Progress) -> tuple[Run, provisioning.Brought]:
        folder = self.parts.workspace(job.id)
        with provisioning.space_errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_all_but(folder, folder / IMAGE_FILE, folder / IMAGE_LOG_NAME)
            log = folder / CONFIGURATION_LOG_NAME
            try:
                brought = provisioning.bring(self.parts, package, folder, progress, log)
                run = Run(
                    job.run_id,
                    package.container,
                    brought.binds,
                    brought.environment,
                    job.resources,
                    network=package.network,
                )
                filtering.note_inputs(folder, brought.inputs)
                (folder / _RUN_FILE).write_bytes(_RUN.dump_json((run,)))
            except BaseException:
                # At once, not at the end of the job: on a full disk nothing could be written any more, not even that.
                _remove_all_but(folder, log, folder / IMAGE_LOG_NAME)
                raise
        return run, brought

    async def submit(self, job: Job) -> Job | None:
        """Start the run; None when it is started, and the engine is to be looked at."""
        engine = self.engine(job)
        for number in range(1, job.attempt):
            await engine.remove(run_id(job.id, number))
        try:
            run = self._ready.get(job.id)
            if run is None:
                run = await asyncio.to_thread(self._run_of, job)
            await engine.submit(self._allowed(job, run))
        except FileNotFoundError:
            return _failed(job, Outcome.PROVIDER_FAILED, "workspace_lost", "The provider lost the job's inputs.")
        except ImageRefused as problem:
            await asyncio.to_thread(self._note, job, IMAGE_LOG_NAME, _told(problem))
            return _failed(job, Outcome.ALGORITHM_FAILED, "image_refused", problem.message)
        except EngineUnfit as problem:
            return _failed(job, Outcome.PROVIDER_FAILED, "engine_unfit", problem.message)
        except NoSpace:
            return _failed(job, Outcome.PROVIDER_FAILED, "no_space", "The provider has no space left for this job.")
        return None

    def _allowed(self, job: Job, run: Run) -> Run:
        """Give a run as its environment allows it now: its owner may have changed that since the job was accepted.

        Raises:
            ImageRefused: The image may not run there any more.
        """
        environment = self.parts.environments[job.environment]
        problem = environment.image_problem(run.container)
        if problem:
            raise ImageRefused(problem)
        return replace(run, id=job.run_id, network=run.network and environment.network)

    def _run_of(self, job: Job) -> Run:
        return _RUN.validate_json((self.parts.workspace(job.id) / _RUN_FILE).read_bytes())[0]

    async def cancel(self, job: Job) -> None:
        """Ask the run to end."""
        await self.engine(job).cancel(job.run_id)

    async def filter(self, job: Job) -> Job:
        """Judge everything that the run left, its logs too."""
        package = await self._package(job)
        policy, limits = package.policy, self.parts.limits
        workspace = self.parts.workspace(job.id)
        collected = await self._collected(job)
        if collected is not None and policy.logs.mode is LogMode.TAIL and not package.mock:
            size = min(policy.logs.tail_bytes, limits.log_bytes)
            collected = await asyncio.to_thread(filtering.cut_log, workspace, collected, size)
        raw = await asyncio.to_thread(self._survey, job, collected)
        checked = checked_by(policy) if package.mock else policy
        chosen = to_inspect(raw, limits, checked)
        inspection = await filtering.inspect(self.parts.inspector, workspace, collected, chosen, checked)
        judge = rehearse if package.mock else review
        return await self._judged(job, judge(raw, limits, policy, inspection), inspection)

    async def _judged(self, job: Job, verdicts: Sequence[Verdict], inspection: Inspection) -> Job:
        """Give a job with its verdicts, and keep what was found for those who are to look at it."""
        after = judged(job, verdicts)
        if after.phase is Phase.HELD:
            with provisioning.space_errors():
                await asyncio.to_thread(holding.keep_inspection, self.parts.workspace(job.id), inspection)
        return after

    async def hold(self, job: Job) -> Job:
        """Take what may yet leave into the airlock, and let go of the run."""
        collected = await self._collected(job)
        package = await self._package(job)
        after = await holding.take_in(
            self.parts, job, package.policy, lambda verdict: publishing.place_of(self.parts, job, verdict, collected)
        )
        await self._remove_run(job)
        return replace(after, held_at=self.parts.clock.now())

    async def review(self, job: Job) -> Job | None:
        """Go on by what was decided about a held job; None while nothing was."""
        return await holding.settle(self.parts, job)

    def _survey(self, job: Job, collected: Collected | None) -> list[RawOutput]:
        raw = outputs.survey(collected) if collected is not None else []
        for kind, name in OUR_LOGS.items():
            log = self.parts.workspace(job.id) / name
            if log.is_file():
                size, digest = outputs.hash_file(log)
                raw.append(RawOutput(name, kind, size, digest))
        return raw

    async def publish(self, job: Job) -> Job:
        """Store what may leave, and nothing else."""
        collected = await self._collected(job) if job.held_at is None else None
        return await asyncio.to_thread(publishing.publish, self.parts, job, collected)

    async def finish(self, job: Job) -> Job:
        """Give a job in DONE, with its receipt, and leave nothing of the run behind but the released results."""
        outcome = job.outcome or Outcome.SUCCEEDED
        done = replace(job, phase=Phase.DONE, finished_at=self.parts.clock.now(), outcome=outcome)
        if job.delete_requested_at is None:
            done = await receipts.add_receipt(self.parts, done, await self._package(job))
        if job.held_at is None:
            await self._remove_run(job)
        else:  # the run is gone since then, and its environment may be
            await asyncio.to_thread(shutil.rmtree, self.parts.workspace(job.id), ignore_errors=True)
        await holding.leave(self.parts, job)
        return done

    async def _remove_run(self, job: Job) -> None:
        self._ready.pop(job.id, None)
        engine = self.engine(job)
        for number in range(1, job.attempt + 1):
            await engine.remove(run_id(job.id, number))
        await asyncio.to_thread(shutil.rmtree, self.parts.workspace(job.id), ignore_errors=True)

    async def forget(self, job: Job) -> None:
        """Remove a deleted job with its results."""
        subject = holding.subject_of(job)
        at = self.parts.clock.now()
        await self.parts.audit.append(
            Entry(at, job.owner.lower(), "results_deleted", subject, once=f"{subject}/deleted")
        )
        await self.parts.results.delete(job.id)
        await self.parts.airlock.delete(job.id)
        await self.parts.reviews.remove(job.id)
        await self.parts.store.remove(job.id)

    async def remove_orphans(self) -> None:
        """Remove workspaces, results and held files that no stored job owns."""
        folders = await asyncio.to_thread(_names_in, self.parts.workspaces)
        kept = [JobId(job) for job in await self.parts.results.jobs()]
        held = await self.parts.airlock.jobs()
        owners = await self.parts.store.known([*folders, *kept, *held])
        for job_id in folders:
            if job_id not in owners:
                await asyncio.to_thread(shutil.rmtree, self.parts.workspace(job_id), ignore_errors=True)
        for job_id in kept:
            if job_id not in owners:
                await self.parts.results.delete(job_id)
        for job_id in held:
            if job_id not in owners:
                await self.parts.airlock.delete(job_id)
                await self.parts.reviews.remove(job_id)

    async def _package(self, job: Job) -> Package:
        return unpack(self.parts.vault.unseal(await self.parts.store.package(job.id)))

    async def _collected(self, job: Job) -> Collected | None:
        """Say where everything lies that may leave: of a log that was cut, its end."""
        try:
            collected = await self.engine(job).collect(job.run_id)
        except NotFound:
            return None
        return filtering.as_it_leaves(self.parts.workspace(job.id), collected)

    def _note(self, job: Job, log_name: str, line: str) -> None:
        folder = self.parts.workspace(job.id)
        with provisioning.space_errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (folder / log_name).open("a", encoding="utf-8") as log:
                log.write(f"{line}\n")


def _changed(job: Job, digests: tuple[tuple[str, str], ...]) -> str:
    """Name the first input that is not what an earlier run of this job read; empty when all are, or it is the first."""
    if not job.input_digests:
        return ""
    before, now = dict(job.input_digests), dict(digests)
    return next((place for place in {**before, **now} if before.get(place) != now.get(place)), "")


def _in_force(job: Job, package: Package, now: float) -> Entry:
    """Say in the audit log which rules a job begins under."""
    subject = holding.subject_of(job)
    details = {"digests": dict(package.policy.digests), "builtIn": not package.policy.digests, **holding.of_mock(job)}
    return Entry(now, job.owner.lower(), "policy_in_force", subject, details, f"{subject}/policy")


def _failed(job: Job, outcome: Outcome, reason: str, message: str) -> Job:
    return replace(job, phase=Phase.FILTERING, outcome=outcome, reason=reason, message=message)


def _remove_all_but(folder: Path, *kept: Path) -> None:
    for entry in folder.iterdir():
        if entry not in kept:
            entry.unlink(missing_ok=True)


def _told(problem: CoveError) -> str:
    return problem.message if problem.hint is None else f"{problem.message} {problem.hint}"


def _names_in(folder: Path) -> list[JobId]:
    return [JobId(entry.name) for entry in folder.iterdir()] if folder.is_dir() else []
