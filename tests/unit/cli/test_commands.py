from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cove.cli import build_app, consumer, owner
from cove.cli.fetch import safe_name
from cove.cli.output import neutral
from cove.client import Signer

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_every_command_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    names = [command.__name__ for command in consumer.COMMANDS] + [name for name, _ in owner.COMMANDS]
    assert [name for name in names if f"`cove {name}" not in text] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["status", "--watch"],
        ["submit", "--dataset", "did:op:1"],
        ["submit", "--dataset", "did:op:" + "a" * 64],
        ["submit", "--dataset", "did:op:" + "a" * 64, "--raw", "/not/there"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(build_app(), arguments).exit_code == 2


def test_nobody_there_exits_with_4() -> None:
    assert CliRunner().invoke(build_app(), ["environments", "--url", "http://127.0.0.1:1"]).exit_code == 4


def test_keygen_makes_a_private_file_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    first = CliRunner().invoke(build_app(), ["keygen", str(path)])
    assert first.stdout.strip() == Signer.from_file(path).address
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert CliRunner().invoke(build_app(), ["keygen", str(path)]).exit_code == 2


def test_hostile_text_is_made_visible() -> None:
    assert neutral("a\x1b]0;x\x07\u202eb\tc\n") == "a\\x1b]0;x\\x07\\u202eb\tc\n"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a/b.csv", "a/b.csv"),
        ("../../etc/x", "etc/x"),
        ("/.bashrc", "_bashrc"),
        ("..", "result-3"),
        ("a\\..\\b", "a/b"),
    ],
)
def test_file_names_stay_inside(name: str, safe: str) -> None:
    assert str(safe_name(name, 3)) == safe
