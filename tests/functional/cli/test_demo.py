"""The first thing a stranger runs: it works, and however it ends, nothing is left."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import urllib.request
from pathlib import Path

import pytest
from eth_account import Account
from tests.chain import Ocean
from tests.support.programs import RPC_TOKEN, Running, cove, left_behind, running

ANVIL_WORDS = "test test test test test test test test test test test junk"


def test_the_demo_does_the_whole_job_and_leaves_nothing(tmp_path: Path) -> None:
    ended = cove("demo", TMPDIR=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert "70 Job completed" in ended.stdout
    assert "mean systolic pressure of 10000 patients: 130.081" in ended.stdout
    assert "statistics.json" in ended.stdout
    assert float(re.findall(r"all\W+([0-9.]+)", ended.stdout)[-1]) < 60
    assert left_behind(tmp_path, _jobs(ended.stdout)) == []


def test_the_demo_without_a_chain_does_the_same_job(tmp_path: Path) -> None:
    ended = cove("demo", "--no-chain", TMPDIR=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert "mean systolic pressure of 10000 patients: 130.081" in ended.stdout
    assert "pays for 10 runs" in ended.stdout
    assert float(re.findall(r"all\W+([0-9.]+)", ended.stdout)[-1]) < 60
    assert left_behind(tmp_path, _jobs(ended.stdout)) == []
    assert cove("demo", "--no-chain", "--rpc", "http://127.0.0.1:1").returncode == 2


@pytest.mark.parametrize(
    ("line", "number", "code"),
    [
        ("Starting a chain", signal.SIGINT, 130),
        ("Starting the job", signal.SIGINT, 130),
        ("Watching the job", signal.SIGTERM, 143),
        ("Downloading", signal.SIGHUP, 129),
    ],
)
def test_ctrl_c_at_any_moment_leaves_nothing(tmp_path: Path, line: str, number: signal.Signals, code: int) -> None:
    with running("demo", TMPDIR=str(tmp_path)) as demo:
        demo.line(line)
        demo.signal(number)
        demo.signal(number)  # who is impatient presses it twice
        assert demo.end() == code
        assert demo.words == "Cleaning up ...\n"
        assert left_behind(tmp_path, _jobs(demo.text)) == []


def test_a_chain_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    ended = cove("demo", "--rpc", "http://127.0.0.1:1/secret-token", TMPDIR=str(tmp_path))
    assert ended.returncode == 4
    sentence, hint = ended.stderr.splitlines()
    assert sentence == "Error: No chain answers at the URL of --rpc."
    assert "anvil" in hint
    assert "secret-token" not in ended.stdout + ended.stderr
    assert left_behind(tmp_path) == []


def test_another_chain_does_once_its_accounts_have_coin(tmp_path: Path, ocean: Ocean, rpc: str) -> None:
    poor = cove("demo", "--rpc", rpc, TMPDIR=str(tmp_path))
    assert poor.returncode == 1
    sentence, hint = poor.stderr.splitlines()
    assert sentence.startswith("Error: The account has not enough of the chain's coin to pay for gas")
    assert "mnemonic" in hint
    Account.enable_unaudited_hdwallet_features()
    for number in range(2):
        rich = Account.from_mnemonic(ANVIL_WORDS, account_path=f"m/44'/60'/0'/0/{number}").address
        asyncio.run(ocean.publisher.send(rich, b"", value=10**18))
    ended = cove("demo", "--rpc", rpc, TMPDIR=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert "70 Job completed" in ended.stdout
    assert RPC_TOKEN not in ended.stdout + ended.stderr
    assert left_behind(tmp_path, _jobs(ended.stdout)) == []


@pytest.mark.parametrize(
    ("options", "last"),
    [((), "The orders above pay"), (("--no-chain",), "Each grant above pays")],
    ids=["chain", "none"],
)
def test_what_keep_prints_works_when_it_is_typed(tmp_path: Path, options: tuple[str, ...], last: str) -> None:
    service, hand = tmp_path / "service", tmp_path / "hand"
    service.mkdir()
    hand.mkdir()
    with running("demo", "--keep", *options, TMPDIR=str(service)) as demo:
        demo.line(last)
        variables = dict(part.split("=", 1) for part in demo.line(r"export (COVE_URL=.*)")[1].split())
        assert variables["COVE_ACCOUNT_KEY"] in demo.line("consumer +0x.*")[0]
        commands = {words[1]: words[1:] for words in _commands(demo)}
        assert list(commands) == ["environments", "status", "logs", "results", "restart", "submit", "stop", "delete"]
        for name, words in commands.items():
            ended = cove(*words, cwd=hand, **variables)
            assert ended.returncode == 0, (name, ended.stderr)
            if name == "restart":
                job = cove("status", words[1], "--watch", "--json", **variables)
                assert json.loads(job.stdout)["attempt"] == 2
        assert json.loads((hand / "results" / "statistics.json").read_text())["rows"] == 10_000
        asked = demo.line(r"curl '(http.*)'")[1]
        with urllib.request.urlopen(asked) as answer:  # noqa: S310 - the service's own URL
            assert json.load(answer) == []  # it was deleted
        (left,) = json.loads(cove("status", "--json", **variables).stdout)
        assert (left["outcome"], left["attempt"]) == ("succeeded", 1)  # what submit started
        demo.signal(signal.SIGINT)
        assert demo.end() == 130
        assert left_behind(service, _jobs(demo.text)) == []


def _jobs(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"job ([0-9a-f]{32})", text))


def _commands(demo: Running) -> list[list[str]]:
    return [shlex.split(line) for line in demo.out if re.match(r"  \S*cove ", line)]
