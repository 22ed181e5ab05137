"""``cove serve`` as an owner meets it: it starts, answers, stops, and says in one sentence what keeps it from starting."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import urllib.request
from pathlib import Path

import pytest
from tests.support.ports import free_port
from tests.support.programs import Running, cove, running

SECRET = "5e7f3f9dcd71f3a1c8a3d1b2c7e1b0d9" * 2
LISTENING = r"^Cove is listening on (http://127\.0\.0\.1:(\d+))$"


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    """Give a folder with a settings file and a key."""
    assert cove("keygen", tmp_path / "provider.key").returncode == 0
    (tmp_path / "cove.toml").write_text('state_dir = "state"\nkey_file = "provider.key"\n[listen]\nport = 0\n')
    return tmp_path


def _health(service: Running) -> object:
    with urllib.request.urlopen(service.line(LISTENING)[1] + "/health", timeout=120) as answer:  # noqa: S310 - ours
        return json.load(answer)


def _processor_seconds(service: Running) -> float:
    """Say how much work a process had: how long it took depends on what else this machine does."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_it_answers_soon_where_the_environment_says_and_stops_in_order(owner: Path) -> None:
    port = free_port()
    with running("serve", cwd=owner, COVE_LISTEN__PORT=str(port)) as service:
        assert service.line(LISTENING)[2] == str(port)
        assert _health(service) == {"status": "ok", "index": {}}
        assert _processor_seconds(service) < 5  # 1 s, which is what it takes on a quiet machine
        service.signal(signal.SIGTERM)
        assert service.end() == 0
        assert "Cove has stopped" in service.words


def test_a_signal_before_it_listens_ends_it_without_a_traceback(owner: Path) -> None:
    with running("serve", cwd=owner, COVE_LISTN__PORT="1") as service:
        service.line("sets nothing", service.err)  # the first that it says, before it opens anything
        service.signal(signal.SIGINT)
        assert service.end() in {0, 130}
        assert "Warning: the variable COVE_LISTN__PORT sets nothing: there is no such setting.\n" in service.words


def test_a_second_one_on_the_same_folder_or_port_says_so(owner: Path) -> None:
    with running("serve", cwd=owner) as service:
        port = service.line(LISTENING)[2]
        second = cove("serve", cwd=owner)
        assert (second.returncode, second.stdout) == (2, "")
        assert second.stderr.splitlines() == [
            f"Error: Another Cove is running on the state folder {owner / 'state'}.",
            "Hint: Stop it, or set another state_dir.",
        ]
        taken = cove("serve", cwd=owner, COVE_STATE_DIR="other", COVE_LISTEN__PORT=port)
        assert (taken.returncode, taken.stdout) == (2, "")
        assert taken.stderr.startswith(f"Error: 127.0.0.1:{port} cannot be listened on: Address already in use.\n")
        assert _health(service) == {"status": "ok", "index": {}}  # the first one did not notice
        service.signal(signal.SIGINT)
        assert service.end() == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("key = ", "The settings file cove.toml is not valid TOML: Invalid value (at end of document)."),
        (f'[listen]\nport = "{SECRET}"', "Setting listen.port: should be a valid integer, unable to parse string as an integer."),
        (f'key = "{SECRET}"\nstate_dir = "cove.toml/state"', "The state folder cove.toml/state cannot be made: Not a directory."),
        (f'key = "{SECRET}"\n[sandbox]\nuids = 1', "sandbox.uids is 1, and environments run up to 2 jobs at a time (max_jobs)."),
        (
            f'key = "{SECRET}"\n[engines.sandbox]\nuids = 5',
            "engines.sandbox.uids is not a setting: what the sandbox can be told stands in the table [sandbox].",
        ),
        ('[sandbox]\ncgroup = "../cove"', "Setting sandbox.cgroup: should be a name, or names with / between them."),
    ],
)  # fmt: skip
def test_wrong_settings_are_one_sentence_that_quotes_no_secret(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "cove.toml").write_text(text)
    ended = cove("serve", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[0] == f"Error: {sentence}"
    assert len(ended.stderr.splitlines()) <= 2
    assert SECRET not in ended.stderr


def test_wrong_variables_are_named(owner: Path) -> None:
    ended = cove("serve", cwd=owner, COVE_LISTEN__PORT="secret-number")
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: Setting listen.port (from COVE_LISTEN__PORT): should be a valid integer")
    assert "secret-number" not in ended.stderr
    ended = cove("serve", cwd=owner, COVE_CHAINS="secret-text")
    assert ended.stderr.splitlines() == [
        "Error: COVE_CHAINS cannot be read.", "Hint: Lists and tables are given as JSON."
    ]  # fmt: skip


def test_a_database_that_does_not_answer_is_worth_another_try(owner: Path) -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL needs: pip install 'cove[postgresql]'")
    ended = cove("serve", cwd=owner, COVE_DATABASE_URL=f"postgresql://cove:{SECRET}@127.0.0.1:1/cove")
    assert ended.returncode == 4
    assert ended.stderr.startswith("Error: The PostgreSQL database at 127.0.0.1 does not answer.\n")
    assert SECRET not in ended.stderr


def test_a_damaged_database_is_one_sentence(owner: Path) -> None:
    (owner / "state").mkdir(0o700)
    (owner / "state" / "cove.db").write_bytes(b"this is no database, whatever it may be called" * 100)
    ended = cove("serve", cwd=owner)
    assert ended.returncode == 2
    assert "cove.db" in ended.stderr.splitlines()[0]
    with pytest.raises(sqlite3.DatabaseError):  # and it was left as it is
        sqlite3.connect(owner / "state" / "cove.db").execute("SELECT * FROM sqlite_master")


def test_a_proxy_that_is_not_named_is_pointed_out(owner: Path) -> None:
    with running("serve", cwd=owner, COVE_LISTEN__PUBLIC_URL="https://cove.example") as service:
        service.line(LISTENING)
        assert "Warning: listen.public_url is set and listen.trusted_proxies names no proxy" in service.words
    proxied = {"COVE_LISTEN__PUBLIC_URL": "https://cove.example", "COVE_LISTEN__TRUSTED_PROXIES": '["127.0.0.1"]'}
    with running("serve", cwd=owner, **proxied) as service:
        service.line(LISTENING)
        assert "Warning" not in service.words
