"""``cove policy``: what is wrong with policies, what they mean for a job, and what they do to a folder of outputs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.inspectors import NullInspector
from tests.support.programs import cove, running

from cove.settings import Settings
from cove.wiring.trial import Left, try_outputs

DID, OTHER = "did:op:" + "a" * 64, "did:op:" + "b" * 64
ALICE, BOB = "0x" + "1" * 40, "0x" + "2" * 40
POLICY = f"""version = 1
dataset = "{DID}"
[algorithms]
digests = ["sha256:{"1" * 64}"]
[consumers]
denied = ["{BOB}"]
runs = 2
[outputs]
files = 2
largest = "1 KiB"
[logs]
mode = "tail"
tail = "20 B"
[leaks]
check = false
"""


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "table.toml").write_text(POLICY)
    (tmp_path / "cove.toml").write_text(
        'key_file = "provider.key"\n[listen]\nport = 0\n[policies]\nfolder = "policies"\n'
    )
    cove("keygen", "provider.key", cwd=tmp_path)
    return tmp_path


def answer(*arguments: str | Path, cwd: Path, code: int = 0) -> Any:
    ended = cove(*arguments, "--json", cwd=cwd)
    assert ended.returncode == code, ended.stderr + ended.stdout
    return json.loads(ended.stdout)


def test_files_are_checked_one_or_all(owner: Path) -> None:
    digest = hashlib.sha256(POLICY.encode()).hexdigest()
    one = {"files": [{"file": "policies/table.toml", "dataset": DID, "digest": digest}], "problems": []}
    assert answer("policy", "check", "policies/table.toml", cwd=owner) == one
    assert answer("policy", "check", "policies", cwd=owner) == one
    (owner / "policies" / "broken.toml").write_text(POLICY.replace("files", "file"))
    found = answer("policy", "check", "policies", cwd=owner, code=1)
    problem = "policies/broken.toml, line 9, column 1: there is no key 'outputs.file'; did you mean 'outputs.files'."
    assert found == {**one, "problems": [problem]}
    ended = cove("policy", "check", "policies/broken.toml", cwd=owner)
    assert (ended.returncode, ended.stderr, ended.stdout) == (1, f"Error: {problem}\n", "")
    ended = cove("policy", "check", "nowhere.toml", cwd=owner)
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (
        2, "Error: The policy file nowhere.toml cannot be read: No such file or directory.",
    )  # fmt: skip


def test_neither_serve_nor_doctor_passes_over_a_broken_file(owner: Path) -> None:
    (owner / "policies" / "table.toml").write_text(POLICY.replace("runs = 2", "runs = -2"))
    problem = "policies/table.toml, line 7, column 8: consumers.runs must be a whole number from 0 to 1000000."
    ended = cove("serve", cwd=owner)
    assert ended.returncode == 2
    assert f"\nError: {problem}\nHint: " in ended.stderr
    ended = cove("doctor", "--json", cwd=owner)
    (found,) = [one for one in json.loads(ended.stdout) if one["part"] == "policies"]
    assert (found["ok"], found["seen"]) == (False, problem)


def test_a_job_is_explained_rule_by_rule_without_a_chain(owner: Path) -> None:
    job = ("policy", "explain", "--dataset", DID, "--algorithm", OTHER, "--consumer", ALICE)
    found = answer(*job, cwd=owner)
    assert found["starts"] is None
    rules = {line["rule"]: line for line in found["datasets"][0]["rules"]}
    assert rules["consumers"]["passes"] is True
    assert (rules["consumers.runs"]["text"], rules["consumers.runs"]["passes"]) == (
        "2 runs of one account in 1 days; 0 are used.", True,
    )  # fmt: skip
    assert rules["algorithms"]["passes"] is None
    assert {line["rule"] for line in found["release"]} == {"outputs", "logs", "leaks", "review"}
    good = answer(*job, "--image", f"sha256:{'1' * 64}", cwd=owner)
    assert {line["rule"]: line["passes"] for line in good["datasets"][0]["rules"]}["algorithms"] is True
    bad = answer(*job, "--image", f"sha256:{'2' * 64}", cwd=owner)
    assert bad["starts"] is False
    raw = answer(*job[:4], "--algorithm", "raw", "--consumer", BOB, cwd=owner)
    assert [line["passes"] for line in raw["datasets"][0]["rules"]] == [None, None, None, False, True, False]
    assert rules["mock"]["text"] == "it has no sample, so that there are no mock runs on it."
    other = answer("policy", "explain", "--dataset", OTHER, *job[4:], cwd=owner)
    assert other["datasets"][0]["rules"][0]["text"] == "no file is about it: the built-in one holds."
    assert cove(*job, cwd=owner).returncode == 0
    for wrong in (("--dataset", "did:op:1"), ("--consumer", "0x1"), ("--env", "none")):
        assert cove(*job, *wrong, cwd=owner).returncode == 2


def test_runs_are_counted_beside_a_running_service(owner: Path) -> None:
    with running("serve", cwd=owner) as service:
        service.line("listening")
        found = answer("policy", "explain", "--dataset", DID, "--algorithm", "raw", "--consumer", ALICE, cwd=owner)
    assert "0 are used" in json.dumps(found)


def test_a_folder_is_judged_as_a_jobs_outputs_would_be(owner: Path) -> None:
    left = owner / "left"
    left.mkdir()
    (left / "a.txt").write_text("42")
    (owner / "printed").write_text("one line\nthe last line\n")
    given = ("policy", "test", "--policy", "policies/table.toml", "--inputs", "policies", "--log", "printed", "left")
    found = answer(*given, cwd=owner)
    assert [(one["path"], one["size"], one["verdict"]) for one in found["files"]] == [
        ("algorithm.log", 14, "released"),
        ("a.txt", 2, "released"),
    ]
    (left / "b.txt").write_text("x" * 2000)
    (left / "c").symlink_to("/etc/passwd")
    found = answer(*given, cwd=owner, code=1)
    assert {one["path"]: one["reason"] for one in found["files"] if one["verdict"] == "refused"} == {
        "b.txt": "too_large",
        "c": "not_a_file",
    }
    assert cove(*given, cwd=owner).returncode == 1
    for wrong in (("--inputs", "nowhere"), ("--log", "nowhere"), ("--policy", "nowhere")):
        assert cove(*given[:2], "--policy", "policies/table.toml", *wrong, "left", cwd=owner).returncode == 2
    assert cove("policy", "test", "--policy", "policies/table.toml", "nowhere", cwd=owner).returncode == 2


async def test_a_folder_that_nobody_looked_into_is_held(owner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cove.wiring.trial.open_inspector", lambda *_: NullInspector(failure="crashed"))
    (owner / "policies" / "table.toml").write_text(POLICY.replace("check = false", "check = true"))
    (owner / "left").mkdir()
    (owner / "left" / "a.txt").write_text("42")
    settings = Settings(state_dir=owner / "state")
    found = await try_outputs(settings, owner / "policies" / "table.toml", [], Left(owner / "left", None))
    assert [(one.held, one.reason) for one in found.verdicts] == [(True, "not_inspected")]
