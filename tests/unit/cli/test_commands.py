from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from cove.cli import build_app, consumer, owner
from cove.cli.app import _ADDING, build, run
from cove.cli.fetch import names, safe_name
from cove.cli.output import neutral
from cove.client import ResultEntry, Signer

DID = "did:op:" + "a" * 64
TX = "0x" + "9" * 64
DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_every_command_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    names = [command.__name__ for command in consumer.COMMANDS] + [name for name, _ in owner.COMMANDS]
    assert [name for name in names if f"`cove {name}" not in text] == []


def names_of(command: str) -> list[str]:
    group = typer.main.get_command(build(command))
    assert isinstance(group, TyperGroup)
    return list(group.commands)


def test_a_command_alone_is_the_same_as_among_all() -> None:
    everything = names_of("")
    assert set(everything) == set(_ADDING)
    assert names_of("no such command") == names_of("--help") == everything
    for name in everything:
        alone = names_of(name)
        assert name in alone
        assert alone == [other for other in everything if other in alone]
        assert {_ADDING[other] for other in alone} == {_ADDING[name]}


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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["status", ""], "the job's id is empty."),
        (["delete", " "], "the job's id is empty."),
        (["status", "ab", "--dataset", "did"], "Give either a JOB or --dataset."),
        (["status", "--key-file", "/not/there"], "The key file /not/there cannot be read: No such file or directory."),
        (["environments", "--url", "here"], "'here' is no URL of a server."),
        (["environments", "--url", "http://me:word@h:99999"], "'http://h:99999' is no URL of a server."),
        (["environments", "--url", "http://h/?a=b"], "'http://h/?a=b' is no URL of a server."),
        (["submit", "--dataset", DID, "--raw", __file__], "Give one --order for each --dataset"),
        (["submit", "--dataset", DID, "--raw", __file__, "--mock", "--order", TX], "--mock runs on samples"),
        (["submit", "--dataset", DID, "--raw", __file__, "--mock", "--place-orders"], "--mock runs on samples"),
        (["submit", "--dataset", DID, "--order", TX], "Give either --algorithm DID or --raw FILE."),
        (["submit", "--dataset", DID, "--order", TX, "--algorithm", DID], "needs its --algorithm-order"),
        (["submit", "--dataset", DID, "--order", TX, "--raw", "/not/there"], "The code /not/there cannot be read"),
        (["submit", "--dataset", "did:op:1"], "'did:op:1' is no DID"),
        (["nothing"], "No such command 'nothing'"),
        (["submit"], "Missing option '--dataset'."),
        (["submit", "nothing"], "Missing option '--dataset'."),
        (["stop"], "Missing argument 'JOB'."),
    ],
)
def test_wrong_usage_is_one_sentence_and_one_document(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVE_URL", "http://127.0.0.1:1")
    assert run([*arguments, "--json"]) == 2
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert sentence in found["error"]
    assert shown.err.splitlines() == [
        f"Error: {found['error']}",
        *([f"Hint: {found['hint']}"] if found["hint"] else []),
    ]


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("cove ")
    assert run(["submit", "-h"]) == 0
    assert "startOrder" in capsys.readouterr().out
    assert run([]) == 2
    assert "For consumers" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        (["a", "a/b", "a/b"], ["a", "b", "2-b"]),
        (["A", "a", "a/c"], ["A", "1-a", "c"]),
        (["a/b", "a"], ["a/b", "1-a"]),
        ([".x", "_x", "-x", "~x"], ["_x", "1-_x", "2-_x", "3-_x"]),
        (["1-a", "a", "a"], ["1-a", "a", "2-a"]),
        (["b", "1-b", "b", "2-b", "2-b"], ["b", "1-b", "2-b", "3-2-b", "4-2-b"]),
        (["../a", "/a", "x/../../a"], ["a", "1-a", "x/a"]),
        (["x/" * 4000 + "y"], ["/".join(["x"] * 14 + ["y"])]),
    ],
)
def test_no_file_takes_the_place_of_another(given: list[str], paths: list[str]) -> None:
    entries = [ResultEntry(filename=name, filesize=0, type="output", index=place) for place, name in enumerate(given)]
    assert [str(path) for path in names(entries)] == paths


def test_a_file_that_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["verify", "receipt.json"]) == 1
    assert capsys.readouterr().err == "Error: There is no receipt.json: check the path.\n"
