"""``cove doctor``: every part is looked at, whatever else is missing, and each finding says what to do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.chain import Ocean
from tests.functional.cli.conftest import PROVIDER_KEY, settings_text, write_key
from tests.support.programs import RPC_TOKEN, cove, running

#: What only the host can change; the rest must be well in these tests.
OF_THE_HOST = {"cgroups memory", "cgroups pids", "cgroups cpu", "sandbox", "seccomp"}


@pytest.fixture
def owner(ocean: Ocean, rpc: str, tmp_path: Path) -> Path:
    """Give a folder in which all is well."""
    (tmp_path / "data").mkdir()
    (tmp_path / "cove.toml").write_text(settings_text(ocean, rpc, tmp_path))
    write_key(tmp_path / "provider.key", PROVIDER_KEY)
    return tmp_path


def _findings(ended: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """Give the findings by their part; of two on one part the one that is not well."""
    found = sorted(json.loads(ended.stdout), key=lambda one: not one["ok"])
    assert ended.returncode == (0 if all(one["ok"] for one in found) else 1)
    assert [one for one in found if not one["ok"] and not one["advice"]] == []
    assert RPC_TOKEN not in ended.stdout + ended.stderr
    return {one["part"]: one for one in found}


def _bad(ended: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {part: one for part, one in _findings(ended).items() if not one["ok"] and part not in OF_THE_HOST}


def test_where_all_is_well_nothing_is_left_to_do_and_nothing_was_made(owner: Path) -> None:
    before = sorted(owner.iterdir())
    ended = cove("doctor", "--json", cwd=owner)
    found = _findings(ended)
    assert _bad(ended) == {}
    wanted = {"settings", "key", "state folder", "sandbox", "seccomp", "users", "database", "disk", "chain 8996"}
    assert wanted | OF_THE_HOST <= set(found)
    assert sorted(owner.iterdir()) == before


def test_a_running_service_is_no_trouble(owner: Path) -> None:
    with running("serve", cwd=owner) as service:
        service.line("listening")
        ended = cove("doctor", "--json", cwd=owner)
        assert _bad(ended) == {}
        assert "a Cove is running on it" in _findings(ended)["state folder"]["seen"]


def test_each_thing_that_is_missing_is_found_beside_the_others(owner: Path) -> None:
    ended = cove(
        "doctor", "--json", cwd=owner, COVE_KEY_FILE="none.key", COVE_STATE_DIR="cove.toml/state",
        COVE_CHAINS=json.dumps([
            {"id": 1, "rpc": f"http://127.0.0.1:1/{RPC_TOKEN}", "factory": "0x" + "1" * 40},
        ]),
        COVE_LISTN__PORT="1",
    )  # fmt: skip
    found = _bad(ended)
    assert {part: one["seen"] for part, one in found.items()} == {
        "environment": "The variable COVE_LISTN__PORT sets nothing.",
        "key": "The key file none.key cannot be read: No such file or directory.",
        "state folder": "The state folder cove.toml/state cannot be made: Not a directory.",
        "chain 1": "chain 1 does not answer: RPC 1 of 1 cannot be reached",
    }
    assert {"sandbox", "database"} <= set(_findings(ended))


def test_no_key_and_no_chain_have_their_advice(tmp_path: Path) -> None:
    ended = cove("doctor", cwd=tmp_path, COLUMNS="300")
    assert ended.returncode == 1
    (key,) = [line for line in ended.stdout.splitlines() if "The provider has no key." in line]
    (chains,) = [line for line in ended.stdout.splitlines() if "No chain is set." in line]
    assert "NOT OK" in key
    assert "cove keygen" in key
    assert "Add [[chains]]" in chains
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (("id = 8996", "id = 1"), "serves chain 8996"),
        (("factory = ", 'factory = "0x' + "7" * 40 + '" # '), "There is no contract at the factory's address"),
    ],
)
def test_a_chain_that_is_another_is_found(owner: Path, change: tuple[str, str], seen: str) -> None:
    file = owner / "cove.toml"
    file.write_text(file.read_text().replace(*change))
    (found,) = _bad(cove("doctor", "--json", cwd=owner)).values()
    assert seen in found["seen"]


def test_each_node_of_a_chain_is_shown_by_its_place(owner: Path, rpc: str) -> None:
    file = owner / "cove.toml"
    file.write_text(file.read_text().replace(f'"{rpc}"', f'["http://127.0.0.1:1/{RPC_TOKEN}", "{rpc}"]'))
    ended = cove("doctor", "--json", cwd=owner)
    bad = _bad(ended)
    assert list(bad) == ["chain 8996, RPC 1 of 2"]
    assert bad["chain 8996, RPC 1 of 2"]["seen"] == "RPC 1 of 2 cannot be reached."
    found = _findings(ended)
    assert found["chain 8996"]["ok"]
    assert found["chain 8996, RPC 2 of 2"]["seen"].startswith("answers, newest block ")


def test_a_dead_database_hides_nothing_else(owner: Path) -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL needs: pip install 'cove[postgresql]'")
    ended = cove("doctor", "--json", cwd=owner, COVE_DATABASE_URL="postgresql://cove:word@127.0.0.1:1/cove")
    assert set(_bad(ended)) == {"database"}
    assert {"chain 8996", "sandbox", "disk"} <= set(_findings(ended))
    assert "word" not in ended.stdout + ended.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_state_folder_of_somebody_else_is_found(owner: Path) -> None:
    (owner / "state").mkdir(0o500)
    assert set(_bad(cove("doctor", "--json", cwd=owner))) == {"state folder"}


def test_wrong_settings_are_the_one_finding(tmp_path: Path) -> None:
    (tmp_path / "cove.toml").write_text("[listen]\nport = 'x'\n")
    ended = cove("doctor", "--json", cwd=tmp_path)
    assert ended.returncode == 1
    (found,) = json.loads(ended.stdout)
    assert (found["part"], found["ok"]) == ("settings", False)
    assert "listen.port" in found["seen"]
