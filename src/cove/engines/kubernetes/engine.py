"""The engine: a Job per run, and a folder per run on a volume that the pods share with this service."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cove.core.errors import EngineUnfit, NoSpace, NotFound, Unavailable
from cove.core.job import Container, Run, RunId
from cove.core.lifecycle import Exited, Missing, Observation
from cove.engines.kubernetes import access, doctor, images, manifests, observing
from cove.engines.kubernetes.api import ApiError, Cluster, Json
from cove.engines.kubernetes.config import KubernetesConfig
from cove.engines.kubernetes.volume import Volume
from cove.ports import Collected, Finding, ImageSource, Preparation

_REMOVE_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 0.05
_LOOK_SECONDS: Final = 10.0
#: Looks in a row at a run whose container is over and whose keeper is about to say how.
_LOOKS: Final = 40
_STOPPED: Final = 143
_CONFLICT: Final = 409

log = logging.getLogger("cove.engines.kubernetes")


class KubernetesEngine:
    """``cove.ports.Engine`` over batch/v1 and core/v1."""

    def __init__(self, config: KubernetesConfig, table: Mapping[str, ImageSource]) -> None:
        self._config = config
        self._images = table
        self._volume = Volume(config.folder, config.shell, first_uid=config.first_uid, uids=config.uids)
        self._name = hashlib.sha256(f"{config.claim}/{config.sub_path}".encode()).hexdigest()[:16]
        self._selector = f"{manifests.RUN},{manifests.ENGINE}={self._name}"
        self._listeners: list[Callable[[RunId], None]] = []
        self._heard: set[RunId] = set()
        self._tending: dict[RunId, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._open: Cluster | None = None

    @property
    def _cluster(self) -> Cluster:
        if self._open is None:
            raise Unavailable("kubernetes", "The engine was not started.")
        return self._open

    async def start(self) -> None:
        """Reach the cluster's API, shut the runs' network, and listen to their pods."""
        config = self._config
        found = access.of_file(Path(config.kubeconfig), config.context) if config.kubeconfig else access.of_pod()
        self._open = Cluster(found, config.namespace or found.namespace or "default")
        await asyncio.to_thread(self._volume.start)
        # A cluster that does not answer now may answer later: the service starts all the same.
        with contextlib.suppress(Unavailable):
            await self._shut_network()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._look_now_and_then())]

    async def close(self) -> None:
        """Let go; the runs go on."""
        tasks = [*self._tasks, *self._tending.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks, self._tending = [], {}
        if self._open is not None:
            await self._open.close()
            self._open = None

    async def prepare(self, container: Container, progress: Preparation) -> Container:  # noqa: ARG002 - nodes pull
        """Look whether there is such an image; the node that runs it brings it."""
        images.reference(self._images, container)
        return container

    async def submit(self, run: Run) -> None:
        """Start a run unless one of its name was started before."""
        image = images.reference(self._images, run.container)
        if not _can_be_given(run):
            await self._refuse(run)
            return
        await self._lay(run)
        facts = await asyncio.to_thread(self._volume.facts, run.id)
        if facts is None or facts.taken or facts.record is not None:
            return
        await self._shut_network()
        order = manifests.JobOrder(
            run.id, self._name, image, run.resources, run.network, facts.user, self._folder(run.id)
        )  # fmt: skip
        wanted = manifests.job(order, self._config)
        try:
            made = await self._cluster.create(f"{self._cluster.batch}/jobs", wanted)
        except ApiError as problem:
            if problem.status == _CONFLICT:
                return
            await asyncio.to_thread(self._volume.remove, run.id)
            log.warning("the cluster refused a Job: %s", problem.message)
            why = problem.reason or problem.status
            raise EngineUnfit(f"The cluster does not take the run's Job ({why}).") from None
        if lost := manifests.dropped(wanted["spec"], made["spec"]):
            await self.remove(run.id)
            raise EngineUnfit(f"The cluster does not know {lost} of a Job, so a limit would be missing.")

    async def observe(self, runs: Sequence[RunId]) -> Mapping[RunId, Observation]:
        """Say of every run what its folder, its Job and its pods tell."""
        if not runs:
            return {}
        seen = await self._look(runs)
        for run, found in seen.items():
            if found.act is not None:
                self._tend(run)
        return {run: found.observation for run, found in seen.items()}

    async def cancel(self, run: RunId, *, grace_seconds: float = 10.0) -> None:
        """Have its keeper end a run; one that has not begun never does."""
        seen = (await self._look([run]))[run].observation
        if isinstance(seen, Missing | Exited):
            return
        await asyncio.to_thread(self._volume.cancel, run, grace_seconds)
        nothing = observing.GiveUp("", "")
        record = observing.given_up(nothing, time.time(), ended_by="stopped", code=_STOPPED)
        if await asyncio.to_thread(self._volume.give_up, run, record):
            self._tend(run)

    async def collect(self, run: RunId) -> Collected:
        """Say where the copies of an exited run's outputs are."""
        facts = await asyncio.to_thread(self._volume.facts, run)
        if facts is None or not isinstance((await self._look([run]))[run].observation, Exited):
            raise NotFound("There is no exited run of this name.")
        await asyncio.to_thread(self._volume.own, run)
        kept = self._volume.place(run) / "kept"
        return Collected(kept / "outputs", kept / "logs", kept / "log")

    async def logs(self, run: RunId, offset: int, length: int) -> bytes:
        """Give part of the captured log."""
        return await asyncio.to_thread(self._volume.read_log, run, offset, length)

    async def remove(self, run: RunId) -> None:
        """End a run at once, wait until its pod is gone for certain, and forget it."""
        task = self._tending.pop(run, None)
        if task is not None:
            task.cancel()
        try:
            async with asyncio.timeout(_REMOVE_SECONDS):
                await self._end_job(run)
        except TimeoutError:
            raise Unavailable("kubernetes", "A run's pod does not end; its node may be lost.") from None
        await asyncio.to_thread(self._volume.remove, run)
        self._heard.discard(run)

    async def runs(self) -> Sequence[RunId]:
        """List every run that there is a Job, a pod or a folder of."""
        jobs, pods = await self._objects(self._selector)
        laid = await asyncio.to_thread(self._volume.runs)
        return sorted({_run_of(entry) for entry in (*jobs, *pods)} | set(laid))

    def on_exit(self, listener: Callable[[RunId], None]) -> None:
        """Have a listener called soon after a run exited."""
        self._listeners.append(listener)

    async def examine(self) -> Sequence[Finding]:
        """Look at the rights, the volume, and whether a run without network has none."""
        return await doctor.examine(self._cluster, self._config, self._name)

    def enforcement(self) -> Mapping[str, str]:
        """Say by what each limit of a run is enforced here."""
        in_memory = self._config.scratch == "memory"
        return {
            "memory": "cgroup",
            "processes": "rlimit",
            "cpu": "cgroup",
            "disk": "sized tmpfs" if in_memory else "eviction",
        }

    # ------------------------------------------------------------------------------------------ starting

    def _folder(self, run: RunId) -> str:
        return "/".join(part for part in (self._config.sub_path.strip("/"), self._volume.name(run)) if part)

    async def _lay(self, run: Run) -> None:
        try:
            await asyncio.to_thread(self._volume.lay, run)
        except OSError as problem:
            if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise NoSpace("There is no space left for a run.") from None
            raise Unavailable("kubernetes", f"A run's folder cannot be made: {problem.strerror}.") from None

    async def _refuse(self, run: Run) -> None:
        """Record a run that no program could be started for, without starting it."""
        plain = Run(run.id, Container(run.container.image), (), (), run.resources)
        await self._lay(plain)
        why = observing.GiveUp("sandbox", "A variable, or the command, has characters that no program can be given.")
        await asyncio.to_thread(self._volume.give_up, run.id, observing.given_up(why, time.time()))
        self._tend(run.id)

    async def _shut_network(self) -> None:
        """Have the policy there before the first run is."""
        policies = f"{self._cluster.networking}/networkpolicies"
        try:
            await self._cluster.get(f"{policies}/{manifests.POLICY}")
        except ApiError as problem:
            if problem.reason != "NotFound":
                raise Unavailable("kubernetes", f"The network policy cannot be read ({problem.reason}).") from None
            with contextlib.suppress(ApiError):  # another one made it meanwhile
                await self._cluster.create(policies, manifests.network_policy())

    # ------------------------------------------------------------------------------------------ looking

    async def _objects(self, selector: str) -> tuple[list[Json], list[Json]]:
        cluster = self._cluster
        try:
            # Jobs first: a pod that came between the two has a Job that was seen.
            jobs, _ = await cluster.items(f"{cluster.batch}/jobs", selector)
            pods, _ = await cluster.items(f"{cluster.core}/pods", selector)
        except ApiError as problem:
            raise Unavailable("kubernetes", f"The cluster cannot list runs ({problem.reason}).") from None
        return jobs, pods

    async def _look(self, runs: Sequence[RunId]) -> dict[RunId, observing.Seen]:
        seen = await self._look_once(runs)
        # The folders were read after the pods: a run that began between the two has none yet, and is not lost.
        ends = {run: one.observation for run, one in seen.items()}
        lost = [run for run, end in ends.items() if isinstance(end, Exited) and end.failure == "lost"]
        return {**seen, **await self._look_once(lost)} if lost else seen

    async def _look_once(self, runs: Sequence[RunId]) -> dict[RunId, observing.Seen]:
        selector = f"{manifests.RUN}={runs[0]}" if len(runs) == 1 else self._selector
        jobs, pods = await self._objects(selector)
        by_run = {_run_of(job): job for job in jobs}
        of_run: dict[RunId, list[Json]] = {}
        for pod in pods:
            of_run.setdefault(_run_of(pod), []).append(pod)
        # After the pods: what a pod that is over left was written before.
        facts = await asyncio.to_thread(lambda: {run: self._volume.facts(run) for run in runs})
        return {
            run: observing.look(
                facts[run], by_run.get(run), of_run.get(run, []),
                now=time.time(), pending_seconds=self._config.pending_seconds,
            )
            for run in runs
        }  # fmt: skip

    async def _listen(self) -> None:
        cluster = self._cluster
        async for pod in cluster.watch(f"{cluster.core}/pods", self._selector):
            run = _run_of(pod)
            if run not in self._heard:
                self._tend(run)

    async def _look_now_and_then(self) -> None:
        """See what no pod tells: that a run waits for too long, or has no pod any more."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            with contextlib.suppress(Unavailable):
                for run in await self.runs():
                    if run not in self._heard:
                        self._tend(run)

    # ------------------------------------------------------------------------------------------ tending

    def _tend(self, run: RunId) -> None:
        """Look at one run soon, do what has to be done about it, and tell of its end."""
        task = self._tending.get(run)
        if task is None or task.done():
            self._tending[run] = asyncio.create_task(self._look_after(run))

    async def _look_after(self, run: RunId) -> None:
        for _ in range(_LOOKS):
            try:
                seen = (await self._look([run]))[run]
                if seen.act is not None:
                    await self._act(run, seen.act)
            except Unavailable:
                return
            if isinstance(seen.observation, Exited):
                self._tell(run)
                return
            if isinstance(seen.observation, Missing) or (seen.act is None and not await self._is_near_its_end(run)):
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _is_near_its_end(self, run: RunId) -> bool:
        facts = await asyncio.to_thread(self._volume.facts, run)
        return facts is not None and facts.record is not None

    def _tell(self, run: RunId) -> None:
        if run not in self._heard:
            self._heard.add(run)
            for listener in self._listeners:
                listener(run)

    async def _act(self, run: RunId, act: observing.GiveUp | observing.EndPods) -> None:
        match act:
            case observing.GiveUp():
                record = observing.given_up(act, time.time())
                if not await asyncio.to_thread(self._volume.give_up, run, record):
                    return
            case observing.EndPods():
                if act.record is not None:
                    await asyncio.to_thread(self._volume.record, run, act.record)
        await self._end_pods(run)

    async def _end_pods(self, run: RunId) -> None:
        """End what runs of a run, and have no other pod made; its Job stays as the mark that it was started."""
        cluster = self._cluster
        try:
            with contextlib.suppress(ApiError):
                await cluster.patch(f"{cluster.batch}/jobs/{manifests.job_name(run)}", {"spec": {"parallelism": 0}})
            pods, _ = await cluster.items(f"{cluster.core}/pods", f"{manifests.RUN}={run}")
            await asyncio.gather(*(self._end_pod(pod) for pod in pods if not observing.is_over(pod)))
        except ApiError as problem:
            raise Unavailable("kubernetes", f"A run's pods cannot be ended ({problem.reason}).") from None

    async def _end_pod(self, pod: Json) -> None:
        """Kill a pod; its object stays until its processes are gone, unless it never had any."""
        name = pod["metadata"]["name"]
        grace = 0 if observing.is_over(pod) else 1
        await self._cluster.delete(f"{self._cluster.core}/pods/{name}", grace_seconds=grace)

    async def _end_job(self, run: RunId) -> None:
        """Delete a run's Job after its pods: then no pod can come any more."""
        cluster = self._cluster
        place = f"{cluster.batch}/jobs/{manifests.job_name(run)}"
        await self._objects(f"{manifests.RUN}={run}")  # nothing is touched while the cluster does not answer
        removed = observing.given_up(observing.GiveUp("", ""), time.time(), ended_by="stopped", code=_STOPPED)
        given_up = await asyncio.to_thread(self._volume.give_up, run, removed)
        await asyncio.to_thread(self._volume.kill, run)
        # Pods that end by themselves do so at once; a kubelet may take long over one that is deleted as it starts.
        until = time.monotonic() + (observing.SETTLE_SECONDS if given_up else observing.KILL_SECONDS)
        try:
            while True:
                jobs, pods = await self._objects(f"{manifests.RUN}={run}")
                if not jobs and not pods:
                    return
                living = [pod for pod in pods if not observing.is_over(pod)]
                waits = time.monotonic() < until and (not given_up or all(map(observing.ends_by_itself, living)))
                if not living or not waits:
                    if not any("deletionTimestamp" in job["metadata"] for job in jobs):
                        await cluster.delete(place, propagation="Foreground")
                    await asyncio.gather(*(self._end_pod(pod) for pod in pods if _needs_ending(pod)))
                await asyncio.sleep(_AGAIN_SECONDS)
        except ApiError as problem:
            raise Unavailable("kubernetes", f"A run's Job cannot be deleted ({problem.reason}).") from None


def _needs_ending(pod: Json) -> bool:
    """Say whether a pod was not yet told to end as fast as it may."""
    left: Any = pod["metadata"].get("deletionGracePeriodSeconds")
    return left is None or left > 1 or observing.is_over(pod)


def _run_of(entry: Json) -> RunId:
    return RunId(entry["metadata"]["labels"][manifests.RUN])


def _can_be_given(run: Run) -> bool:
    texts = [run.container.entrypoint, *(text for pair in run.environment for text in pair)]
    return not any("\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text) for text in texts)
