from __future__ import annotations

import itertools
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.jobs import a_full_job, a_job

from cove.core.job import Attempt, Job, Outcome, Phase, Verdict, run_id
from cove.core.lifecycle import (
    MAX_LOSSES,
    MOVES,
    PASSING,
    STORED_MOVES,
    Active,
    Exited,
    Missing,
    Observation,
    Step,
    decide,
    judge,
    judged,
    restarted,
    waits_for_review,
)

NOW = 1_700_000_100.0

EXITS = [
    Exited(code, started, NOW - 1, out_of_memory=killed, ended_by=ended_by, failure=failure)
    for code, started, killed, ended_by, failure in itertools.product(
        (0, 1, 3, 137, 143, 139),
        (None, NOW - 9),
        (False, True),
        ("", "stopped", "time_limit"),
        ("", "lost", "no_space", "image_refused", "sandbox"),
    )
]
SIGHTS: list[Observation | None] = [None, Missing(), Active(), Active(NOW - 9), *EXITS]
WISHES = list(itertools.product((None, NOW - 5), (None, NOW - 4)))


def jobs_in(phase: Phase) -> list[Job]:
    return [
        a_job(phase=phase, stop_requested_at=stop, delete_requested_at=delete, losses=losses, started_at=started)
        for (stop, delete), losses, started in itertools.product(WISHES, range(MAX_LOSSES + 1), (None, NOW - 9))
    ]


@pytest.mark.parametrize("phase", Phase)
def test_every_situation_has_a_legal_next_step(phase: Phase) -> None:
    for job, seen in itertools.product(jobs_in(phase), SIGHTS):
        decision = decide(job, seen, NOW)
        after = decision.job.phase
        assert isinstance(decision.step, Step)
        assert after is phase or after in MOVES[phase], f"{seen} moves {phase} to {after}"
        assert after is not Phase.DONE or phase is Phase.DONE


@pytest.mark.parametrize("phase", Phase)
def test_the_same_question_gives_the_same_step(phase: Phase) -> None:
    """The loop may be killed after it stored the decision's job, and asks again."""
    for job, seen in itertools.product(jobs_in(phase), SIGHTS):
        first = decide(job, seen, NOW)
        # A new attempt has a name of its own, under which the engine holds nothing yet.
        now_seen = seen if first.job.run_id == job.run_id else Missing()
        second = decide(first.job, now_seen, NOW + 1)
        assert (second.step, second.job) == (first.step, first.job), f"{phase} and {seen}"
        assert second.job is first.job


@pytest.mark.parametrize("phase", Phase)
def test_not_knowing_moves_nothing_that_an_engine_holds(phase: Phase) -> None:
    for job in jobs_in(phase):
        decision = decide(job, None, NOW)
        if phase in {Phase.SUBMITTING, Phase.RUNNING}:
            assert (decision.step, decision.job) == (Step.WAIT, job)
            assert decision.job is job


@pytest.mark.parametrize("phase", Phase)
def test_success_is_exit_code_0_and_nothing_else(phase: Phase) -> None:
    for job, seen in itertools.product(jobs_in(phase), SIGHTS):
        after = decide(job, seen, NOW).job
        if after.outcome is Outcome.SUCCEEDED:
            assert isinstance(seen, Exited)
            assert (seen.code, seen.failure, seen.ended_by) == (0, "", "")
            assert (after.exit_code, after.reason, after.message) == (0, "", "")


@pytest.mark.parametrize("phase", Phase)
def test_an_end_has_an_outcome_and_a_failure_a_reason(phase: Phase) -> None:
    for job, seen in itertools.product(jobs_in(phase), SIGHTS):
        after = decide(job, seen, NOW).job
        if after is job:
            continue
        ended = after.phase in {Phase.FILTERING, Phase.CLEANING}
        assert (after.outcome is not None) is ended
        if ended and after.outcome is not Outcome.SUCCEEDED:
            assert after.reason
            assert after.message.endswith(".")


@pytest.mark.parametrize("phase", Phase)
def test_what_is_not_the_lifecycles_is_never_changed(phase: Phase) -> None:
    ours = {"phase", "attempt", "outcome", "reason", "message", "exit_code", "out_of_memory", "started_at"}
    ours |= {"losses", "history"}
    for job, seen in itertools.product(jobs_in(phase), SIGHTS):
        after = decide(job, seen, NOW).job
        changed = {field.name for field in fields(Job) if getattr(job, field.name) != getattr(after, field.name)}
        assert changed <= ours


def test_a_wish_to_end_ends_a_job_before_it_began() -> None:
    for stop, delete in WISHES[1:]:
        waiting = decide(a_job(stop_requested_at=stop, delete_requested_at=delete), None, NOW)
        assert (waiting.step, waiting.job.phase, waiting.job.outcome) == (Step.CLEAN, Phase.CLEANING, Outcome.STOPPED)
        for phase in (Phase.PROVISIONING, Phase.SUBMITTING):
            job = a_job(phase=phase, stop_requested_at=stop, delete_requested_at=delete)
            decision = decide(job, Missing(), NOW)
            assert (decision.step, decision.job.phase) == (Step.FILTER, Phase.FILTERING)
            assert decision.job.outcome is Outcome.STOPPED


def test_a_wish_to_end_cancels_a_run_until_it_is_over() -> None:
    for phase in (Phase.SUBMITTING, Phase.RUNNING):
        job = a_job(phase=phase, stop_requested_at=1.0)
        assert decide(job, Active(NOW), NOW).step is Step.CANCEL
        assert decide(job, Active(None), NOW).step is Step.CANCEL
        over = decide(job, Exited(143, NOW - 9, NOW, ended_by="stopped"), NOW)
        assert (over.step, over.job.outcome) == (Step.FILTER, Outcome.STOPPED)


def test_the_usual_way_leads_to_success() -> None:
    job = decide(a_job(), None, NOW).job
    assert job.phase is Phase.PROVISIONING
    assert decide(job, None, NOW).step is Step.PROVISION
    job = replace(job, phase=Phase.SUBMITTING)
    assert decide(job, Missing(), NOW).step is Step.SUBMIT
    job = decide(job, Active(NOW - 8), NOW).job
    assert (job.phase, job.started_at) == (Phase.RUNNING, NOW - 8)
    assert decide(job, Active(NOW - 8), NOW).job is job
    job = decide(job, Exited(0, NOW - 8, NOW - 1), NOW).job
    assert (job.phase, job.outcome, job.exit_code) == (Phase.FILTERING, Outcome.SUCCEEDED, 0)
    for phase, step in ((Phase.FILTERING, Step.FILTER), (Phase.PUBLISHING, Step.PUBLISH), (Phase.CLEANING, Step.CLEAN)):
        assert decide(replace(job, phase=phase), None, NOW).step is step
    assert decide(replace(job, phase=Phase.DONE), None, NOW).step is Step.WAIT


@pytest.mark.parametrize("sight", [Missing(), Exited(1, NOW - 9, NOW - 1, failure="lost")])
def test_a_lost_run_is_run_again_but_not_for_ever(sight: Observation) -> None:
    job = a_job(phase=Phase.RUNNING, started_at=NOW - 9)
    names = [job.run_id]
    while True:
        decision = decide(job, sight, NOW)
        if decision.step is not Step.SUBMIT:
            break
        assert decision.job.phase is Phase.SUBMITTING
        assert decision.job.started_at is None
        names.append(decision.job.run_id)
        job = replace(decision.job, phase=Phase.RUNNING, started_at=NOW - 9)
    assert names == [run_id(job.id, number) for number in range(1, MAX_LOSSES + 1)]
    assert (decision.step, decision.job.phase) == (Step.FILTER, Phase.FILTERING)
    assert (decision.job.outcome, decision.job.reason) == (Outcome.PROVIDER_FAILED, "run_lost")
    assert [past.number for past in job.history] == list(range(1, MAX_LOSSES))
    assert all(past.outcome is Outcome.PROVIDER_FAILED for past in job.history)


def test_a_lost_run_that_was_to_end_is_not_run_again() -> None:
    for stop, delete in WISHES[1:]:
        job = a_job(phase=Phase.RUNNING, stop_requested_at=stop, delete_requested_at=delete)
        decision = decide(job, Missing(), NOW)
        assert (decision.step, decision.job.outcome, decision.job.attempt) == (Step.FILTER, Outcome.STOPPED, 1)


def test_a_run_that_ends_by_itself_sets_the_losses_back() -> None:
    job = a_job(phase=Phase.RUNNING, losses=2)
    assert decide(job, Exited(3, NOW - 9, NOW - 1), NOW).job.losses == 0


@pytest.mark.parametrize(
    ("seen", "stop", "outcome", "reason"),
    [
        (Exited(0, 1.0, 2.0), False, Outcome.SUCCEEDED, ""),
        (Exited(0, 1.0, 2.0), True, Outcome.SUCCEEDED, ""),
        (Exited(3, 1.0, 2.0), False, Outcome.ALGORITHM_FAILED, "exit_code_3"),
        (Exited(3, 1.0, 2.0), True, Outcome.ALGORITHM_FAILED, "exit_code_3"),
        (Exited(139, 1.0, 2.0), False, Outcome.ALGORITHM_FAILED, "signal_11"),
        (Exited(128, 1.0, 2.0), False, Outcome.ALGORITHM_FAILED, "exit_code_128"),
        (Exited(137, 1.0, 2.0, out_of_memory=True), False, Outcome.ALGORITHM_FAILED, "out_of_memory"),
        (Exited(0, 1.0, 2.0, out_of_memory=True), False, Outcome.SUCCEEDED, ""),
        (Exited(137, 1.0, 2.0), True, Outcome.STOPPED, "stopped"),
        (Exited(143, 1.0, 2.0), True, Outcome.STOPPED, "stopped"),
        (Exited(143, 1.0, 2.0), False, Outcome.ALGORITHM_FAILED, "signal_15"),
        (Exited(143, 1.0, 2.0, ended_by="stopped"), False, Outcome.STOPPED, "stopped"),
        (Exited(143, 1.0, 2.0, ended_by="time_limit"), False, Outcome.TIMED_OUT, "time_limit"),
        (Exited(0, 1.0, 2.0, ended_by="time_limit"), False, Outcome.TIMED_OUT, "time_limit"),
        (Exited(1, None, 2.0, failure="image_refused"), False, Outcome.ALGORITHM_FAILED, "image_refused"),
        (Exited(0, None, 2.0, failure="no_space"), False, Outcome.PROVIDER_FAILED, "no_space"),
        (Exited(0, None, 2.0, failure="sandbox"), True, Outcome.PROVIDER_FAILED, "sandbox"),
    ],
)
def test_an_end_is_judged_by_whose_doing_it_was(seen: Exited, outcome: Outcome, reason: str, *, stop: bool) -> None:
    assert judge(seen, stop_requested=stop)[:2] == (outcome, reason)


def test_an_engines_failure_gives_no_exit_code() -> None:
    after = decide(a_job(phase=Phase.RUNNING), Exited(1, None, NOW, failure="sandbox", detail="It fell."), NOW).job
    assert (after.exit_code, after.message) == (None, "It fell.")


def test_what_a_person_is_to_look_at_is_held() -> None:
    passed = Verdict("a", "output", 1, "ab" * 32, released=True)
    doubtful = Verdict("b", "output", 1, "ab" * 32, released=False, reason="canary", held=True)
    refused = Verdict("c", "output", 1, "ab" * 32, released=False, reason="bad_name")
    job = a_job(phase=Phase.FILTERING)
    assert judged(job, [passed, refused]).phase is Phase.PUBLISHING
    held = judged(job, [passed, doubtful, refused])
    assert (held.phase, held.verdicts) == (Phase.HELD, (passed, doubtful, refused))
    assert (decide(held, None, NOW).step, waits_for_review(held)) == (Step.HOLD, False)
    rests = replace(held, held_at=NOW)
    assert (decide(rests, None, NOW).step, waits_for_review(rests)) == (Step.REVIEW, True)


def test_a_restart_begins_anew_and_remembers() -> None:
    done = a_full_job(phase=Phase.DONE)
    again = restarted(done, NOW)
    assert (again.phase, again.attempt, again.version) == (Phase.ACCEPTED, done.attempt + 1, done.version)
    assert (again.input_digests, again.order_keys) == (done.input_digests, done.order_keys)
    assert again.history == (
        *done.history,
        Attempt(done.attempt, Outcome.ALGORITHM_FAILED, "exit_code_3", done.started_at, done.finished_at or 0),
    )
    anew = a_job(id=done.id)
    for name in ("outcome", "reason", "message", "exit_code", "out_of_memory", "started_at", "finished_at"):
        assert getattr(again, name) == getattr(anew, name)
    assert (again.held_at, again.review) == (None, "")
    assert (again.stop_requested_at, again.verdicts, again.results, again.losses) == (None, (), (), 0)
    assert Phase.ACCEPTED in MOVES[Phase.DONE]


def test_what_is_stored_next_is_reached_over_passing_phases_alone() -> None:
    for before in Phase:
        reached = set(MOVES[before])
        while more := {after for phase in reached & PASSING for after in MOVES[phase]} - reached:
            reached |= more
        assert STORED_MOVES[before] == reached
    assert STORED_MOVES[Phase.ACCEPTED] == frozenset(Phase) - {Phase.ACCEPTED, Phase.RUNNING, Phase.DONE}
    assert Phase.DONE not in STORED_MOVES[Phase.RUNNING], "results are stored before anything is cleaned up"
    assert STORED_MOVES[Phase.DONE] == {Phase.ACCEPTED}


def test_every_phase_is_on_a_way_from_acceptance_to_the_end() -> None:
    assert set(MOVES) == set(Phase)
    reached = {Phase.ACCEPTED}
    for _ in Phase:
        reached |= {after for before in reached for after in MOVES[before]}
    assert reached == set(Phase)


@given(sights=st.lists(st.sampled_from(SIGHTS), max_size=30), stop_at=st.integers(0, 30), deletes=st.booleans())
def test_no_life_goes_where_it_may_not(sights: list[Observation | None], stop_at: int, *, deletes: bool) -> None:
    """A loop that does what it is told, under an engine that says anything."""
    job = a_job()
    for turn, seen in enumerate(sights):
        if turn == stop_at:
            job = replace(job, **{"delete_requested_at" if deletes else "stop_requested_at": NOW})
        decision = decide(job, seen, NOW + turn)
        assert decision.job.phase is job.phase or decision.job.phase in MOVES[job.phase]
        assert decision.job.attempt - job.attempt in {0, 1}
        assert decision.job.losses < MAX_LOSSES
        job = decision.job
        forward = {
            Step.PROVISION: Phase.SUBMITTING,
            Step.FILTER: Phase.HELD if turn % 2 else Phase.PUBLISHING,
            Step.REVIEW: Phase.PUBLISHING,
            Step.PUBLISH: Phase.CLEANING,
            Step.CLEAN: Phase.DONE,
        }
        if decision.step is Step.HOLD:
            job = replace(job, held_at=NOW + turn)
        elif decision.step in forward:
            assert forward[decision.step] in MOVES[job.phase]
            job = replace(job, phase=forward[decision.step])
    assert len(job.history) == job.attempt - 1
