"""What docs/hooks.md shows must be what is sent."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from cove.core.consent import Action, DecryptSubject, Question, Wanted
from cove.core.proof import MAX_ATTEMPTS, Access, provider_data
from cove.hooks import policy, rbac
from cove.hooks.notary import form_of
from cove.settings import Settings
from cove.web.parsing import MAX_PASSED_ON

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text("utf-8")
SHOWN = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
ME, ACCOUNT, NFT = ("0x" + digit * 40 for digit in "124")
TX = "0x33"


def test_the_settings_can_be_used_and_are_all_of_them() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    given = tomllib.loads(text)
    hooks = Settings(**given).hooks
    assert set(given["hooks"]) == set(type(hooks).model_fields)


def test_the_requests_are_those_that_are_sent() -> None:
    one, two, algorithm = (
        Wanted(f"did:op:{name * 4}", name, json.dumps({"id": f"did:op:{name * 4}"})) for name in "abc"
    )
    job = Question(Action.COMPUTE, ACCOUNT, (one, two), algorithm)
    sent = [rbac.request_of(job, ME, lambda _: "0x..", access="public")]
    said = '{"sessionId": "x"}'
    file = Wanted(one.did, one.service_id, one.document, TX, 0)
    for question in (
        Question(Action.DOWNLOAD, ACCOUNT, (file,), passed_on=said),
        Question(Action.ENCRYPT, ACCOUNT, passed_on=said),
        Question(Action.DECRYPT, ACCOUNT, decrypt=DecryptSubject(8996, NFT, TX), passed_on=said),
    ):
        sent += [json.loads(text) for text in policy.requests_of(question, ME)]
    about = provider_data(one.did, "a", 0)
    access = Access(1, TX, "0x6", ACCOUNT, about, f"{one.did}1700000000000", "0x55")
    sent.append(dict(form_of(access, lambda _: "0x..")))
    assert sent == SHOWN
    assert [list(entry) for entry in sent] == [list(entry) for entry in SHOWN]


def test_the_bound_is_the_one_that_holds() -> None:
    assert f"at most {MAX_PASSED_ON} characters" in PAGE
    assert f"after {MAX_ATTEMPTS} attempts" in PAGE
