"""``cove settings``: every setting with where it came from, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.programs import cove

from cove.settings import Settings

KEY = "5e7f3f9dcd71f3a1c8a3d1b2c7e1b0d9" * 2
SECRETS = {KEY, "rpc-token", "database-word", "cache-word", "cache-token"}
FILE = f"""
key = "{KEY}"
database_url = "postgresql://cove:database-word@db.example/cove"
[listen]
host = "127.0.0.2"
[[chains]]
id = 8996
rpc = "https://node.example/v3/rpc-token"
factory = "0x1111111111111111111111111111111111111111"
metadata = "https://user:cache-word@cache.example/api?token=cache-token"
[images."team/python"]
kind = "host"
"""


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    (tmp_path / "cove.toml").write_text(FILE)
    return tmp_path


def test_every_setting_has_its_origin(owner: Path) -> None:
    ended = cove(
        "settings", "--json", cwd=owner, COVE_LISTEN='{"port": 8041}', COVE_LISTEN__PUBLIC_URL="https://cove.example",
        COVE_LOCAL__TABLES__PATH="/data",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert {name.split(".")[0] for name in found} == set(Settings.model_fields)
    assert {name: found[name]["origin"] for name in (
        "key", "listen.host", "listen.port", "listen.public_url", "listen.cors_origins", "chains.0.id",
        "chains.0.start_block", "images.team/python.kind", "images.team/python.checksum", "local.tables.path",
        "environments.0.id", "poll_seconds",
    )} == {
        "key": "file cove.toml",
        "listen.host": "file cove.toml",
        "listen.port": "environment COVE_LISTEN",
        "listen.public_url": "environment COVE_LISTEN__PUBLIC_URL",
        "listen.cors_origins": "default",
        "chains.0.id": "file cove.toml",
        "chains.0.start_block": "default",
        "images.team/python.kind": "file cove.toml",
        "images.team/python.checksum": "default",
        "local.tables.path": "environment COVE_LOCAL__TABLES__PATH",
        "environments.0.id": "default",
        "poll_seconds": "default",
    }  # fmt: skip
    assert found["listen.port"]["value"] == 8041
    assert found["listen.cors_origins"]["value"] == ["*"]
    assert found["environments.0.memory"]["value"] == 1 << 30


def test_a_list_of_the_environment_stands_for_the_whole_list(owner: Path) -> None:
    chains = [{"id": 1, "rpc": "https://node.example/rpc-token", "factory": "0x" + "2" * 40}]
    found = json.loads(cove("settings", "--json", cwd=owner, COVE_CHAINS=json.dumps(chains)).stdout)
    assert found["chains.0.id"] == {"value": 1, "origin": "environment COVE_CHAINS"}
    assert found["chains.0.metadata"] == {"value": "onchain", "origin": "default"}


@pytest.mark.parametrize("form", ["--json", None])
def test_no_secret_is_shown(owner: Path, form: str | None) -> None:
    ended = cove("settings", *([form] if form else []), cwd=owner)
    assert ended.returncode == 0, ended.stderr
    assert [secret for secret in SECRETS if secret in ended.stdout + ended.stderr] == []
    assert ended.stdout.count("(set, hidden)") == 3
    assert "https://(hidden)@cache.example/api?(hidden)" in ended.stdout


def test_the_table_is_for_people(owner: Path) -> None:
    lines = cove("settings", cwd=owner).stdout.splitlines()
    (port,) = [line for line in lines if "listen.port" in line]
    assert [cell.strip() for cell in port.split("│")[1:4]] == ["listen.port", "8030", "default"]


def test_wrong_settings_are_one_document_with_json(tmp_path: Path) -> None:
    (tmp_path / "cove.toml").write_text("[listen]\nprot = 1\n")
    ended = cove("settings", "--json", cwd=tmp_path)
    assert ended.returncode == 2
    assert json.loads(ended.stdout) == {
        "error": "There is no setting listen.prot.", "code": "settings", "fields": {}, "hint": "Did you mean port?",
    }  # fmt: skip


def test_a_misspelt_variable_is_pointed_out(owner: Path) -> None:
    ended = cove("settings", "--json", cwd=owner, COVE_LISTN__PORT="1", COVE_SERVICE_HOST="10.0.0.1", COVE_LOGLEVEL="x")
    assert json.loads(ended.stdout)["listen.port"]["origin"] == "default"
    assert ended.stderr.splitlines() == [
        "Warning: the variable COVE_LISTN__PORT sets nothing: there is no such setting.",
        "Warning: the variable COVE_LOGLEVEL sets nothing: there is no such setting.",
    ]
