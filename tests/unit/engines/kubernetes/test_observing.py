"""What a folder, a Job and pods tell together: every trap that was seen on a real cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cove.core.lifecycle import Active, Exited, Missing
from cove.engines.kubernetes.observing import EndPods, GiveUp, Seen, look
from cove.engines.kubernetes.volume import Facts

NOW = 10_000.0
LAID = Facts(laid_at=NOW - 5, user=1, taken=False, begun=False, started_at=None, record=None)
TAKEN = replace(LAID, taken=True)
BEGUN = replace(TAKEN, begun=True, started_at=NOW - 3)
RECORD = {"code": 7, "started_at": NOW - 3, "finished_at": NOW - 1, "ended_by": "", "failure": "", "detail": ""}
OVER = replace(BEGUN, record=RECORD)
JOB: dict[str, Any] = {"status": {}}
RUNNING = {"running": {"startedAt": "x"}}


def ended(code: int = 0, reason: str = "Completed") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason}}


def pod(algorithm: Any = None, keeper: Any = None, *, phase: str = "Running", node: str = "n", **status: Any) -> Any:
    states = [("keeper", keeper), ("algorithm", algorithm)]
    listed = [{"name": name, "state": state} for name, state in states if state is not None]
    return {
        "metadata": {}, "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "containerStatuses": listed, **status},
    }  # fmt: skip


def job_that(kind: str, reason: str = "") -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": "True", "reason": reason}]}}


def seen(facts: Facts | None, job: Any, *pods: Any, now: float = NOW) -> Seen:
    return look(facts, job, pods, now=now, pending_seconds=100)


def test_nothing_is_missing() -> None:
    assert seen(None, None) == Seen(Missing())
    assert seen(LAID, None) == Seen(Missing())


def test_a_job_without_a_pod_is_active_until_it_waited_too_long() -> None:
    assert seen(LAID, JOB) == Seen(Active())
    assert isinstance(seen(LAID, JOB, now=NOW + 100).act, GiveUp)


def test_a_run_that_goes_on_is_active_since_it_began() -> None:
    assert seen(BEGUN, JOB, pod(RUNNING, RUNNING)) == Seen(Active(NOW - 3))


@pytest.mark.parametrize("keeper", [RUNNING, ended()])
def test_it_is_over_when_the_keeper_said_so_and_the_container_has_ended(keeper: Any) -> None:
    assert seen(OVER, JOB, pod(ended(3), keeper)).observation == Exited(3, NOW - 3, NOW - 1)


def test_the_record_alone_is_not_the_end() -> None:
    """The container may still have processes: they could see what comes next."""
    assert seen(OVER, JOB, pod(RUNNING, RUNNING)) == Seen(Active(NOW - 3), None)
    assert seen(OVER, JOB, pod(RUNNING, ended())) == Seen(Active(NOW - 3), EndPods())


def test_a_pod_that_went_leaves_the_keepers_word() -> None:
    assert seen(OVER, None).observation == Exited(7, NOW - 3, NOW - 1)


def test_a_container_that_does_not_end_whatever_it_was_told_is_ended_from_outside() -> None:
    stuck = replace(BEGUN, record=RECORD | {"stuck": True, "code": None, "ended_by": "stopped"})
    assert seen(stuck, JOB, pod(RUNNING, ended())).act == EndPods()
    assert seen(stuck, JOB).observation == Exited(137, NOW - 3, NOW - 1, ended_by="stopped")


def test_the_reason_says_out_of_memory_whatever_the_code_says() -> None:
    found = seen(OVER, job_that("Complete"), pod(ended(0, "OOMKilled"), ended(), phase="Succeeded")).observation
    assert found == Exited(0, NOW - 3, NOW - 1, out_of_memory=True)


def test_a_job_that_reached_its_deadline_is_active_while_its_pod_runs() -> None:
    job = job_that("Failed", "DeadlineExceeded")
    assert seen(BEGUN, job, pod(RUNNING, RUNNING)) == Seen(Active(NOW - 3))
    assert seen(BEGUN, job, pod(phase="Failed", reason="DeadlineExceeded")).observation == Active(NOW - 3)


def test_an_evicted_pod_is_ended_before_it_counts_as_over() -> None:
    drained = pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    assert seen(BEGUN, JOB, drained) == Seen(Active(NOW - 3), EndPods())
    greedy = pod(
        phase="Failed", reason="Evicted", message='Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". '
    )
    act = seen(BEGUN, JOB, greedy).act
    assert isinstance(act, EndPods)
    assert act.record is not None
    assert (act.record["code"], act.record["failure"]) == (137, "")


def test_a_run_whose_pod_vanished_is_lost_and_every_look_says_the_same() -> None:
    first, second = seen(BEGUN, JOB), seen(BEGUN, None, now=NOW + 50)
    assert first.observation == second.observation == Exited(1, NOW - 3, NOW - 3, failure="lost")
    assert first.act == EndPods()  # or the cluster makes another pod


def test_a_second_pod_that_was_turned_away_is_not_the_run() -> None:
    refused = pod(ended(125), ended(3), phase="Failed")
    assert seen(BEGUN, job_that("Failed"), refused).observation == Exited(1, NOW - 3, NOW - 3, failure="lost")
    assert seen(BEGUN, JOB, refused, pod(RUNNING, RUNNING)).observation == Active(NOW - 3)


def test_a_pod_on_a_lost_node_is_active() -> None:
    """Nobody knows whether its processes still run."""
    gone = pod(RUNNING, RUNNING, reason="NodeLost") | {"metadata": {"deletionTimestamp": "x"}}
    assert seen(BEGUN, JOB, gone).observation == Active(NOW - 3)


def test_a_run_without_its_keeper_is_ended() -> None:
    assert seen(BEGUN, JOB, pod(RUNNING, ended(137))).act == EndPods()


@pytest.mark.parametrize(
    ("given", "later", "failure"),
    [
        (pod(waiting("InvalidImageName"), RUNNING), 0, "image_refused"),
        (pod(waiting("ImagePullBackOff"), RUNNING), 60, "image_refused"),
        (pod(waiting("CreateContainerConfigError"), RUNNING), 100, "sandbox"),
        (pod(ended(128, "StartError"), RUNNING), 0, "sandbox"),
        (pod(phase="Pending", node=""), 100, "sandbox"),
    ],
)
def test_a_pod_that_never_begins_is_given_up(given: Any, later: float, failure: str) -> None:
    act = seen(TAKEN, JOB, given, now=NOW + later).act
    assert isinstance(act, GiveUp)
    assert (act.failure, bool(act.detail)) == (failure, True)


@pytest.mark.parametrize("given", [waiting("ImagePullBackOff"), waiting("ContainerCreating"), RUNNING])
def test_a_pod_that_may_begin_is_waited_for(given: Any) -> None:
    assert seen(TAKEN, JOB, pod(given, RUNNING, phase="Pending")) == Seen(Active())


def test_a_run_that_was_given_up_is_over_when_its_pod_is() -> None:
    record = RECORD | {"given_up": True, "code": 143, "ended_by": "stopped", "started_at": None}
    facts = replace(LAID, begun=True, record=record)
    assert seen(facts, JOB, pod(phase="Pending")) == Seen(Active())  # it sees that by itself
    assert seen(facts, JOB, pod(phase="Pending", node="")) == Seen(Active(), EndPods())
    assert seen(facts, JOB, pod(phase="Pending"), now=NOW + 20) == Seen(Active(), EndPods())
    assert seen(facts, JOB).observation == Exited(143, None, NOW - 1, ended_by="stopped")
