from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.jobs import a_full_job, a_job

from cove.core.job import JobId, Phase
from cove.core.webhook import PAUSES, Message, body_of, is_told, postponed, secret_of, signature, signed

MESSAGE = Message(1, "owner:1", JobId("a" * 32), "{}")


def test_the_signature_is_that_of_standard_webhooks() -> None:
    secret = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", '{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("text", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_é", "whsec_" + "A" * 200])
def test_what_is_no_secret_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="24 to 64") as caught:
        secret_of(text)
    assert not text or text not in str(caught.value).replace("whsec_ and", "")


@given(content=st.binary(min_size=24, max_size=64))
def test_every_secret_of_a_good_length_is_read(content: bytes) -> None:
    assert secret_of("whsec_" + base64.b64encode(content).decode()) == content


def test_a_message_holds_codes_and_nothing_that_was_said_of_the_data() -> None:
    job = a_full_job(phase=Phase.DONE, message="Bob Smith", reason="exit_code_3")
    body = body_of(job, 70, 1_700_000_000.5)
    assert json.loads(body)["timestamp"] == "2023-11-14T22:13:20.500Z"
    for private in ("Bob", "a.csv", job.owner, "ab" * 32):
        assert private not in body
    assert json.loads(body)["data"]["reason"] == "exit_code_3"


def test_held_and_done_are_told_and_what_is_ours_alone_is_not() -> None:
    told = {phase for phase in Phase if is_told(a_job(phase=phase))}
    assert {Phase.HELD, Phase.DONE, Phase.ACCEPTED, Phase.RUNNING} <= told
    assert not told & {Phase.PUBLISHING, Phase.CLEANING}


def test_a_message_keeps_its_id_and_its_time_moves_on() -> None:
    first, second = (dict(signed(MESSAGE, b"s" * 24, now).headers) for now in (10.9, 99.0))
    assert first["webhook-id"] == second["webhook-id"]
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("10", "99")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_it_is_tried_longer_and_longer_and_then_given_up() -> None:
    message, pauses = MESSAGE, []
    for _ in PAUSES:
        message = postponed(message, 0.0, "down")
        pauses.append(message.due_at)
    assert pauses == list(PAUSES) == sorted(PAUSES)
    assert message.state == "open"
    assert (postponed(message, 0.0, "down").state, postponed(message, 0.0, "down").note) == ("failed", "down")
