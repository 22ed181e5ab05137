"""Pure: what a run's folder, Job and pods together tell of it, and what must be done about it.

An attempt is over only when its pod is gone, or terminated for certain; what is not certain is Active. Seen on real
clusters, each with a test: a refused pod stays Pending for ever; a child that is killed for memory leaves ``OOMKilled``
with exit code 0; a Job fails at its deadline while its pod still runs; an evicted pod is Failed before its processes
have ended; a lost node's pod is replaced while it still runs; the containers of a pod that is deleted are killed one
after the other, so that a keeper may outlive its algorithm and write down an end that nobody told it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cove.core.lifecycle import Active, Exited, Missing, Observation
from cove.engines.kubernetes.manifests import ALGORITHM, KEEPER
from cove.engines.kubernetes.volume import Facts, says_how

Json = Mapping[str, Any]

_IMAGE_TROUBLE: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "ErrImageNeverPull"}
)
_HOPELESS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_CANNOT_START: Final = frozenset({"StartError", "ContainerCannotRun"})
_IMAGE_SECONDS: Final = 60
_UNSURE: Final = frozenset({"Evicted", "DeadlineExceeded", "NodeLost", "NodeAffinity"})
_OWN_FAULT: Final = ("exceeds the limit", "exceeded its local ephemeral storage limit", "exceeds the total limit")
#: Seconds in which a pod sees that its run was given up.
SETTLE_SECONDS: Final = 15
#: Seconds in which a keeper ends a run that it was told to kill.
KILL_SECONDS: Final = 10
_KILLED: Final = 137


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing can come of the run: decide that it never begins, and end its pods."""

    failure: str
    detail: str


@dataclass(frozen=True, slots=True)
class EndPods:
    """The run is decided, or nobody watches over it any more: end its pods."""

    #: The record to be written before, unless the keeper wrote one that says how the run ended; None writes none.
    record: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a run, and what has to be done; None for nothing."""

    observation: Observation
    act: GiveUp | EndPods | None = None


def look(facts: Facts | None, job: Json | None, pods: Sequence[Json], *, now: float, pending_seconds: float) -> Seen:
    """Say what is known of a run.

    Args:
        facts: What its folder tells; None when there is no folder.
        job: Its Job; None when there is none.
        pods: Every pod with its label.
        now: Unix time.
        pending_seconds: How long it may wait for a node and its image.
    """
    if facts is None:
        if job is None and not pods:
            return Seen(Missing())
        # Somebody removed its folder: nothing can be collected, whatever still runs.
        return Seen(Active(), EndPods()) if _living(pods) else Seen(Exited(1, None, now, failure="lost"))
    if facts.record is not None:
        return _recorded(facts, facts.record, job, pods, now)
    if living := _living(_own(facts, pods)):
        return _goes_on(facts, living, now, pending_seconds)
    if facts.taken and (pods or job is None or facts.begun or _failed(job)):
        return _lost(facts, job)
    if job is None:
        return Seen(Missing())
    if _ended(job):
        return Seen(Active(), GiveUp("sandbox", f"The cluster ended the run before it began ({_why_ended(job)})."))
    if now - facts.laid_at > pending_seconds:
        return Seen(Active(), GiveUp("sandbox", "The cluster made no pod for the run."))
    return Seen(Active())


def is_over(pod: Json) -> bool:
    """Say whether nothing of a pod runs, for certain.

    A pod that was evicted, or reached its deadline, has a phase that says so while its processes still end.
    """
    status = pod.get("status", {})
    if status.get("phase") not in {"Succeeded", "Failed"} or status.get("reason", "") in _UNSURE:
        return False
    return not any("running" in entry.get("state", {}) for entry in status.get("containerStatuses", ()))


def _living(pods: Sequence[Json]) -> list[Json]:
    return [pod for pod in pods if not is_over(pod)]


def _own(facts: Facts, pods: Sequence[Json]) -> Sequence[Json]:
    """Give those of a run's pods that it may run in: once it began, the one whose keeper took it.

    The cluster makes another pod where that one was deleted. It starts nothing, and its end tells nothing of the run.
    """
    return [pod for pod in pods if pod["metadata"]["uid"] == facts.pod] if facts.begun and facts.pod else pods


def _recorded(facts: Facts, record: Json, job: Json | None, pods: Sequence[Json], now: float) -> Seen:
    """The keeper wrote that it ended: it is over as soon as the algorithm's container is."""
    if record.get("given_up"):
        return _given_up(facts, record, pods, now)
    own = _own(facts, pods)
    living = _living(own)
    has_another = len(_living(pods)) > len(living)
    ended = [pod for pod in own if "terminated" in _state(pod, ALGORITHM)]
    if not living or len(ended) == len(own):
        if says_how(record) or (ended and not any(map(_ended_from_outside, ended))):
            return Seen(_exited(facts, record, ended), EndPods() if has_another else None)
        # Killed with its pod, which was deleted or evicted, or is gone.
        return Seen(Active(facts.started_at), _evicted(facts, living, now)) if living else _lost(facts, job)
    if (act := _evicted(facts, living, now)) is not None:
        return Seen(Active(facts.started_at), act)
    forsaken = any("terminated" in _state(pod, KEEPER) for pod in living)
    if forsaken and not says_how(record) and not any(map(_ended_from_outside, living)):
        # It let go of its log and went on, or its end is told late: once its pod is deleted, it would look like a loss.
        return Seen(Active(facts.started_at), EndPods({**record, "stuck": True}))
    must_end = forsaken or record.get("stuck") or record.get("failure") or has_another
    return Seen(Active(facts.started_at), EndPods() if must_end else None)


def _given_up(facts: Facts, record: Json, pods: Sequence[Json], now: float) -> Seen:
    """It never began: it is over when no pod is left that could."""
    if not (living := _living(pods)):
        return Seen(_exited(facts, record, ()))
    # A pod that finds the run given up ends by itself; one that is deleted while its volumes are mounted may hang.
    waits = now - float(record["finished_at"]) < SETTLE_SECONDS and all(ends_by_itself(pod) for pod in living)
    return Seen(Active(), None if waits else EndPods())


def _ended_from_outside(pod: Json) -> bool:
    """Say whether the cluster ended a pod, whatever its containers did: it was deleted, evicted, or its node shut down.

    Both are there before the first container is killed.
    """
    return "deletionTimestamp" in pod.get("metadata", {}) or bool(pod.get("status", {}).get("reason"))


def ends_by_itself(pod: Json) -> bool:
    """Say whether a pod of a run that was given up is on its way to see that: it has a node, and nothing is wrong."""
    if not _is_scheduled(pod) or "deletionTimestamp" in pod.get("metadata", {}):
        return False
    reasons = {_state(pod, name).get("waiting", {}).get("reason", "") for name in (ALGORITHM, KEEPER)}
    return reasons <= {"", "ContainerCreating", "PodInitializing"}


def _exited(facts: Facts, record: Json, ended: Sequence[Json]) -> Exited:
    told: Json = next((_state(pod, ALGORITHM)["terminated"] for pod in ended), {})
    code = told.get("exitCode")
    if code is None or record.get("stuck"):
        code = record.get("code")
    return Exited(
        code=int(_KILLED if code is None else code),
        started_at=facts.started_at,
        finished_at=float(record["finished_at"]),
        out_of_memory=told.get("reason") == "OOMKilled",
        ended_by=str(record.get("ended_by", "")),
        failure=str(record.get("failure", "")),
        detail=str(record.get("detail", "")),
    )


def _goes_on(facts: Facts, living: Sequence[Json], now: float, pending_seconds: float) -> Seen:
    active = Active(facts.started_at)
    if (act := _evicted(facts, living, now)) is not None:
        return Seen(active, act)
    if facts.begun:
        forsaken = all("terminated" in _state(pod, KEEPER) for pod in living)
        return Seen(active, EndPods() if forsaken else None)
    for pod in living:
        if (why := _hopeless(pod, now - facts.laid_at, pending_seconds)) is not None:
            return Seen(active, why)
    return Seen(active)


def _evicted(facts: Facts, living: Sequence[Json], now: float) -> EndPods | None:
    """Say what must be done about a pod that its node evicted; None where there is none."""
    for pod in living:
        status = pod.get("status", {})
        if status.get("reason") == "Evicted":
            own = any(words in status.get("message", "") for words in _OWN_FAULT)
            return EndPods(_too_much(facts, now) if own and facts.begun else None)
    return None


def _hopeless(pod: Json, waited: float, pending_seconds: float) -> GiveUp | None:
    """Say why a pod that has not begun never will; None while it may."""
    state = _state(pod, ALGORITHM)
    reason = state.get("waiting", {}).get("reason", "")
    stopped = state.get("terminated", {}).get("reason", "")
    if stopped in _CANNOT_START:
        return GiveUp("sandbox", f"The cluster could not start the run's container ({stopped}).")
    if reason in _HOPELESS or (reason in _IMAGE_TROUBLE and waited > min(_IMAGE_SECONDS, pending_seconds)):
        return GiveUp("image_refused", f"The cluster could not get the algorithm's image ({reason}).")
    if waited <= pending_seconds:
        return None
    of_keeper = _state(pod, KEEPER).get("waiting", {}).get("reason", "")
    if not _is_scheduled(pod):
        return GiveUp("sandbox", "No node of the cluster had room for the run in time.")
    return GiveUp("sandbox", f"The run's pod did not start in time ({of_keeper or reason or 'no reason given'}).")


def _too_much(facts: Facts, now: float) -> dict[str, Any]:
    return {
        "code": _KILLED,
        "started_at": facts.started_at,
        "finished_at": now,
        "ended_by": "",
        "failure": "",
        "detail": "",
        "evicted": True,
    }


def given_up(act: GiveUp, now: float, *, ended_by: str = "", code: int = 1) -> dict[str, Any]:
    """Give the record of a run that never began."""
    return {
        "code": code, "started_at": None, "finished_at": now, "ended_by": ended_by, "failure": act.failure,
        "detail": act.detail, "given_up": True,
    }  # fmt: skip


def _lost(facts: Facts, job: Json | None) -> Seen:
    """Nobody knows when it ended: the last time that is known, so that every look says the same."""
    lost = Exited(1, facts.started_at, facts.started_at or facts.laid_at, failure="lost")
    return Seen(lost, None if job is None or _ended(job) else EndPods())


def _state(pod: Json, container: str) -> Json:
    for entry in pod.get("status", {}).get("containerStatuses", ()):
        if entry.get("name") == container:
            found: Json = entry.get("state", {})
            return found
    return {}


def _is_scheduled(pod: Json) -> bool:
    return bool(pod.get("spec", {}).get("nodeName"))


def _conditions(job: Json) -> Sequence[Json]:
    return [entry for entry in job.get("status", {}).get("conditions") or () if entry.get("status") == "True"]


def _ended(job: Json) -> bool:
    return any(entry.get("type") in {"Complete", "Failed"} for entry in _conditions(job))


def _failed(job: Json) -> bool:
    return any(entry.get("type") == "Failed" for entry in _conditions(job))


def _why_ended(job: Json) -> str:
    return next((str(entry.get("reason", "")) for entry in _conditions(job)), "")
