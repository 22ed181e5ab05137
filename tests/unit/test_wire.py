from __future__ import annotations

from dataclasses import replace

import pytest

from cove.core.job import Job, JobId, Outcome, Phase, Resources
from cove.wire import STATUS_TEXTS, StartCompute, status_of
from cove.wire.statuses import HELD_TEXT

JOB = Job(
    id=JobId("0" * 32),
    owner="0x" + "1" * 40,
    chain_id=8996,
    environment="default",
    agreement_id="0x" + "2" * 64,
    dataset_dids=("did:op:" + "3" * 64,),
    algorithm_did="",
    resources=Resources(1, 1, 1, 1, 1, 1, 1),
    created_at=0.0,
    expires_at=0.0,
)


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_a_documented_number(phase: Phase) -> None:
    number, text = status_of(replace(JOB, phase=phase))
    assert text == (HELD_TEXT if phase is Phase.HELD else STATUS_TEXTS[number])
    assert text.startswith(STATUS_TEXTS[number])


@pytest.mark.parametrize(
    ("outcome", "reason", "expected"),
    [
        (Outcome.SUCCEEDED, "", (70, "Job completed")),
        (Outcome.STOPPED, "stopped", (70, "Job stopped")),
        (Outcome.TIMED_OUT, "time_limit", (70, "Job failed: time limit")),
        (Outcome.ALGORITHM_FAILED, "exit_code_3", (70, "Job failed: exit code 3")),
        (Outcome.ALGORITHM_FAILED, "image_refused", (32, "Algorithm provisioning failed")),
        (Outcome.ALGORITHM_FAILED, "algorithm_unavailable", (32, "Algorithm provisioning failed")),
        (Outcome.PROVIDER_FAILED, "data_unavailable", (31, "Data provisioning failed")),
    ],
)
def test_the_end_says_how(outcome: Outcome, reason: str, expected: tuple[int, str]) -> None:
    assert status_of(replace(JOB, phase=Phase.DONE, outcome=outcome, reason=reason)) == expected


def test_no_number_is_final_before_the_end() -> None:
    for phase in Phase:
        if phase is not Phase.DONE:
            number, _ = status_of(replace(JOB, phase=phase, outcome=Outcome.ALGORITHM_FAILED, reason="image_refused"))
            assert number not in {31, 32, 70}


def test_a_nonce_may_be_a_number_or_a_text_and_an_object_may_be_text() -> None:
    assert StartCompute.model_validate({"nonce": 1700000000000}).nonce == "1700000000000"
    assert StartCompute.model_validate({"nonce": "17.5"}).nonce == "17.5"
    parsed = StartCompute.model_validate({"dataset": {"userdata": '{"a": 1}'}})
    assert parsed.dataset is not None
    assert parsed.dataset.userdata == {"a": 1}
