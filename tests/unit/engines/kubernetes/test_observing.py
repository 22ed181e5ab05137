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
TAKEN = replace(LAID, taken=True, pod="own")
BEGUN = replace(TAKEN, begun=True, started_at=NOW - 3)
RECORD = {"code": 7, "started_at": NOW - 3, "finished_at": NOW - 1, "ended_by": "", "failure": "", "detail": ""}
OVER = replace(BEGUN, record=RECORD)
#: What a keeper writes that saw the container end and was not told by whom: it was killed, perhaps with its pod.
UNTOLD = replace(BEGUN, record=RECORD | {"code": None})
LOST = Exited(1, NOW - 3, NOW - 3, failure="lost")
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
        "metadata": {"uid": "own"}, "spec": {"nodeName": node} if node else {},
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
    assert seen(BEGUN, JOB, DRAINED) == Seen(Active(NOW - 3), EndPods())
    act = seen(BEGUN, JOB, GREEDY).act
    assert isinstance(act, EndPods)
    assert act.record is not None
    assert (act.record["code"], act.record["failure"]) == (137, "")


def test_a_run_whose_pod_vanished_is_lost_and_every_look_says_the_same() -> None:
    first, second = seen(BEGUN, JOB), seen(BEGUN, None, now=NOW + 50)
    assert first.observation == second.observation == Exited(1, NOW - 3, NOW - 3, failure="lost")
    assert first.act == EndPods()  # or the cluster makes another pod


def test_a_second_pod_that_was_turned_away_is_not_the_run() -> None:
    refused = another(ended(125), ended(3), phase="Failed")
    assert seen(BEGUN, job_that("Failed"), refused).observation == LOST
    assert seen(BEGUN, JOB, refused, pod(RUNNING, RUNNING)).observation == Active(NOW - 3)


KILLED = ended(137, "Error")
GREEDY = pod(phase="Failed", reason="Evicted", message='Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ')
DRAINED = pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")


def deleted(algorithm: Any, keeper: Any, **more: Any) -> Any:
    return pod(algorithm, keeper, **more) | {"metadata": {"uid": "own", "deletionTimestamp": "x"}}


def another(algorithm: Any = None, keeper: Any = None, **more: Any) -> Any:
    """The pod that the cluster makes in the place of one that was deleted; its keeper turns it away."""
    return pod(algorithm, keeper, **more) | {"metadata": {"uid": "another"}}


@pytest.mark.parametrize("facts", [BEGUN, UNTOLD])
@pytest.mark.parametrize(
    "shown",
    [
        [],
        [deleted(RUNNING, RUNNING)],
        [deleted(KILLED, RUNNING), deleted(KILLED, KILLED)],
        [deleted(RUNNING, KILLED), deleted(KILLED, KILLED)],
        [deleted(KILLED, ended(0)), deleted(KILLED, ended(0), phase="Failed")],
        [deleted(KILLED, ended(143, "Error"), phase="Failed")],
        [pod(KILLED, ended(0), phase="Failed", reason="NodeShutdown")],
    ],
)
def test_a_run_that_was_killed_with_its_pod_is_lost_in_whatever_order_that_is_told(facts: Facts, shown: Any) -> None:
    """The algorithm may be killed long before its keeper, which then writes down an end that nobody told it."""
    others = [another(phase="Pending", node=""), another(RUNNING, RUNNING), another(RUNNING, ended(3))]
    others += [another(ended(125), RUNNING), another(ended(125), ended(3), phase="Failed")]
    told = [seen(facts, JOB, one, *more) for one in shown for more in ([], *([other] for other in others))]
    assert {one.observation for one in told} <= {Active(NOW - 3), LOST}
    at_last = [seen(facts, JOB), *(seen(facts, JOB, other) for other in others)]
    assert at_last == [Seen(LOST, EndPods())] * 6  # or the cluster makes another pod
    assert seen(facts, None) == seen(facts, job_that("Failed"), others[-1]) == Seen(LOST)
    assert all(one.act in {None, EndPods()} for one in told)


def test_a_container_that_was_killed_alone_has_ended_by_its_code() -> None:
    """The kernel had no memory for it, or the algorithm killed the first process of its own container."""
    for keeper in (RUNNING, ended()):
        assert seen(UNTOLD, JOB, pod(KILLED, keeper)).observation == Exited(137, NOW - 3, NOW - 1)
    found = seen(UNTOLD, JOB, pod(ended(137, "OOMKilled"), ended(), phase="Failed")).observation
    assert found == Exited(137, NOW - 3, NOW - 1, out_of_memory=True)


def test_a_container_that_let_go_of_its_log_and_stays_is_ended_and_that_is_no_loss() -> None:
    found = seen(UNTOLD, JOB, pod(RUNNING, ended()))
    assert isinstance(found.act, EndPods)
    decided = replace(UNTOLD, record=found.act.record)
    assert seen(decided, JOB, deleted(RUNNING, ended())).observation == Active(NOW - 3)
    assert seen(decided, JOB).observation == Exited(137, NOW - 3, NOW - 1)


def test_an_end_that_was_told_counts_whatever_becomes_of_the_pod() -> None:
    for one in (deleted(KILLED, KILLED, phase="Failed"), pod(phase="Failed", reason="Shutdown")):
        assert isinstance(found := seen(OVER, JOB, one).observation, Exited)
        assert found.failure == ""
    stopped = replace(UNTOLD, record=RECORD | {"code": None, "ended_by": "stopped"})
    assert seen(stopped, JOB).observation == Exited(137, NOW - 3, NOW - 1, ended_by="stopped")


def test_a_second_pod_has_no_say_in_how_the_run_ended() -> None:
    refused = another(ended(125), ended(3), phase="Failed")
    assert seen(OVER, job_that("Failed"), refused) == Seen(Exited(7, NOW - 3, NOW - 1))
    assert seen(OVER, JOB, another(RUNNING, RUNNING)) == Seen(Exited(7, NOW - 3, NOW - 1), EndPods())
    assert seen(OVER, JOB, deleted(RUNNING, RUNNING), another(RUNNING)) == Seen(Active(NOW - 3), EndPods())


def test_of_a_run_that_an_older_keeper_took_every_pod_may_be_its_own() -> None:
    older = replace(BEGUN, pod="")
    assert seen(older, JOB, pod(RUNNING, RUNNING)) == Seen(Active(NOW - 3))
    assert seen(replace(older, record=RECORD), JOB, pod(ended(3), ended())).observation == Exited(3, NOW - 3, NOW - 1)
    assert seen(older, JOB) == Seen(LOST, EndPods())


@pytest.mark.parametrize("facts", [BEGUN, UNTOLD])
def test_what_wrote_too_much_is_no_loss_whatever_its_keeper_wrote(facts: Facts) -> None:
    act = seen(facts, JOB, GREEDY).act
    assert isinstance(act, EndPods)
    assert isinstance(seen(replace(facts, record=act.record), JOB).observation, Exited)
    assert seen(replace(facts, record=act.record), JOB).observation == Exited(137, NOW - 3, NOW)


def test_an_evicted_pod_is_ended_though_its_run_had_ended_before() -> None:
    for facts in (OVER, UNTOLD):
        assert seen(facts, JOB, DRAINED) == Seen(Active(NOW - 3), EndPods())
    newer = pod(KILLED, KILLED, phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    assert seen(UNTOLD, JOB, newer) == Seen(Active(NOW - 3), EndPods())


def test_a_pod_on_a_lost_node_is_active() -> None:
    """Nobody knows whether its processes still run."""
    gone = pod(RUNNING, RUNNING, reason="NodeLost") | {"metadata": {"uid": "own", "deletionTimestamp": "x"}}
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
