"""``docs/reference/policy.md`` says what the reader of policy files does."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from cove.core.policyfile import PolicyWrong, parse_policy
from cove.core.policykeys import KEYS, MOCK, SECTIONS
from cove.core.quantities import parse_bytes, parse_seconds
from cove.core.rehearsal import MockRules
from cove.core.releasepolicy import ReleasePolicy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "policy.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `(\w+\.\w+)` \| (.*?) \|", PAGE, re.MULTILINE))
HEAD = f'version = 1\ndataset = "did:op:{"a" * 64}"\n'


def test_every_key_is_on_the_page_and_no_other() -> None:
    assert list(ROWS) == [f"{section}.{key}" for section, keys in KEYS.items() for key in keys]


@pytest.mark.parametrize("name", ROWS)
def test_each_default_is_the_programs(name: str) -> None:
    section, key = name.split(".")
    if section == MOCK:
        assert (ROWS[name].strip("`"), MockRules()) in {("none", MockRules()), ("false", MockRules(free=False))}
        return
    (field,) = [one for one in fields(SECTIONS[section]) if one.name == KEYS[section][key].field]
    shown = ROWS[name].strip("`")
    if shown in {"any", "no bound"}:
        assert field.default is None
        return
    runs = "runs = 1\n" if name == "consumers.period" else ""
    policy = parse_policy(f"{HEAD}[{section}]\n{runs}{key} = {shown}\n".encode(), "p").policy
    assert getattr(getattr(policy, section), field.name) == field.default
    assert getattr(getattr(ReleasePolicy(), section), field.name) == field.default


def test_what_the_page_quotes_is_read() -> None:
    for text in re.findall(r'`"([0-9][^"]*)"`', PAGE):
        assert parse_bytes(text) is not None or parse_seconds(text) is not None, text
    for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL):
        assert tomllib.loads(block) == {"policies": {"folder": "policies"}}
    for kind in ("text/csv", "image/*"):
        assert f'"{kind}"' in PAGE
        parse_policy(f"{HEAD}[outputs]\ntypes = {json.dumps([kind])}\n".encode(), "p")


def test_the_example_is_a_good_file_that_has_a_rule_of_every_section() -> None:
    content = (ROOT / "examples" / "policy.toml").read_bytes()
    found = parse_policy(content, "policy.toml").policy
    assert [name for name in SECTIONS if getattr(found, name) == getattr(ReleasePolicy(), name)] == []


def test_the_bounds_that_the_page_tells_hold() -> None:
    for text in (
        '[consumers]\nruns = 1\nperiod = "367 days"',
        '[review]\nexpires = "59 seconds"',
        "[leaks]\ncanaries = ['abc']",
    ):
        with pytest.raises(PolicyWrong):
            parse_policy(f"{HEAD}{text}\n".encode(), "p")
