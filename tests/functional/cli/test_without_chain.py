"""A Cove without a chain from the command line: the example of the how-to page, and what goes wrong."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from tests.support.programs import COVE, cove, environment

EXAMPLE = Path(__file__).parents[3] / "examples" / "without-a-chain"
PAGES = Path(__file__).parents[3] / "docs" / "howto"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    variables = environment(PORT=str(free_port())) | {"PATH": f"{COVE.parent}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["sh", EXAMPLE / "run.sh"],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, (ended.stdout, ended.stderr, (tmp_path / "serve.log").read_text())
    assert ended.stdout.startswith('{"mean": 71.0}')
    assert ended.stdout.count("1 of 1") == 2
    assert json.loads((tmp_path / "table.grant").read_text())["typedData"]["primaryType"] == "Grant"


def test_the_page_shows_the_files_of_the_example() -> None:
    page = (PAGES / "without-a-chain.md").read_text("utf-8")
    for name in ("cove.toml", "table.toml", "mean.toml"):
        assert (EXAMPLE / name).read_text("utf-8").strip() in page, name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site that publishes without a chain, and has published nothing."""
    for name in ("provider", "owner", "other"):
        assert cove("keygen", f"{name}.key", cwd=tmp_path).returncode == 0
    (tmp_path / "cove.toml").write_text('key_file = "provider.key"\n[catalog]\nfolder = "catalogue"\n')
    text = (EXAMPLE / "table.toml").read_text().replace('["ALGORITHM"]', '["*"]')
    (tmp_path / "table.toml").write_text(text)
    return tmp_path


def run(folder: Path, *arguments: str, code: int = 0, key: str = "owner.key") -> str:
    ended = cove(*arguments, cwd=folder, COVE_ACCOUNT_KEY_FILE=key)
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    return ended.stdout if code == 0 else ended.stderr


def test_publishing_again_changes_the_same_asset(folder: Path) -> None:
    assert (
        "Nothing was written"
        in cove(
            "publish", "dataset", "table.toml", "--local", "--dry-run", cwd=folder, COVE_ACCOUNT_KEY_FILE="owner.key"
        ).stderr
    )
    did = run(folder, "publish", "dataset", "table.toml", "--local").strip()
    (file,) = (folder / "catalogue").iterdir()
    before = file.read_bytes()
    assert run(folder, "publish", "dataset", "table.toml", "--local").strip() == did
    assert file.read_bytes() == before
    assert b"table.csv" not in before  # the file list is encrypted here, too
    (folder / "table.toml").write_text((folder / "table.toml").read_text().replace("Three", "Four"))
    assert run(folder, "publish", "dataset", "table.toml", "--local").strip() == did
    assert json.loads(file.read_text())["ddo"]["metadata"]["name"] == "Four patients"
    assert "another account" in run(folder, "publish", "dataset", "table.toml", "--local", key="other.key", code=1)
    file.unlink()  # as after a crash between the journal and the file
    journal = folder / ".table.toml.local.json"
    kept = json.loads(journal.read_text())
    del kept["facts"]["document"]
    journal.write_text(json.dumps(kept))
    assert run(folder, "publish", "dataset", "table.toml", "--local").strip() == did
    assert file.exists()


def test_without_the_providers_key_nothing_is_published_and_what_to_do_is_said(folder: Path) -> None:
    (folder / "cove.toml").write_text('[catalog]\nfolder = "catalogue"\n')
    said = run(folder, "publish", "dataset", "table.toml", "--local", code=2)
    assert "The provider has no key." in said
    assert "cove keygen" in said
    assert not (folder / "catalogue").exists()
    assert [path.name for path in folder.glob(".*.json")] == []


def test_the_owner_alone_grants_withdraws_and_trusts(folder: Path, tmp_path: Path) -> None:
    did = run(folder, "publish", "dataset", "table.toml", "--local").strip()
    who = "0x" + "1" * 40
    for words in (
        ["grant", "create", did, "--consumer", who],
        ["unpublish", did, "--local"],
        ["trust", "remove", did, did, "--local"],
    ):
        assert "belongs to" in run(folder, *words, key="other.key", code=3)
    grant = run(folder, "grant", "create", did, "--consumer", who, "--runs", "3", "--days", "1").strip()
    (listed,) = json.loads(run(folder, "grant", "list", "--json"))
    assert (listed["grant"], listed["runs"], listed["used"], listed["state"]) == (grant, 3, 0, "good")
    run(folder, "grant", "revoke", grant)
    assert "taken back" in run(folder, "grant", "list")
    assert json.loads(run(folder, "trust", "list", did, "--local", "--json"))["everyPublished"] is True
    assert "begins a list" in run(folder, "trust", "remove", did, did, "--local", code=2)
    run(folder, "unpublish", did, "--local")
    (file,) = (folder / "catalogue").iterdir()
    assert json.loads(file.read_text())["state"] == 3


def test_the_doctor_knows_a_house_without_a_chain(folder: Path) -> None:
    found = {one["part"]: one for one in json.loads(cove("doctor", "--json", cwd=folder).stdout)}
    assert "chains" not in found
    assert found["catalogue"]["ok"] is False  # it is not there yet
    did = run(folder, "publish", "dataset", "table.toml", "--local").strip()
    found = {one["part"]: one for one in json.loads(cove("doctor", "--json", cwd=folder).stdout)}
    assert (found["catalogue"]["ok"], found["catalogue"]["seen"][:8]) == (True, "1 assets")
    (file,) = (folder / "catalogue").iterdir()
    file.write_text("{}")
    found = {one["part"]: one for one in json.loads(cove("doctor", "--json", cwd=folder).stdout)}
    assert did in found["catalogue"]["seen"]


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["grant", "create", "did:op:" + "1" * 64, "--consumer", "0x" + "1" * 40], "no such asset", 5),
        (["grant", "create", "did:op:1", "--consumer", "0x" + "1" * 40], "is no DID", 2),
        (["grant", "revoke", "0x12"], "no such grant", 5),
        (["publish", "dataset", "table.toml"], "No chain was chosen", 2),
        (["publish", "algorithm", "table.toml", "--local"], "algorithm: is missing", 1),
    ],
)
def test_mistakes_are_one_sentence(folder: Path, arguments: list[str], said: str, code: int) -> None:
    (folder / "catalogue").mkdir()
    assert said in run(folder, *arguments, code=code)


def test_a_chain_id_of_a_real_chain_is_refused(folder: Path) -> None:
    chain = '[[chains]]\nid = 5\nrpc = "http://127.0.0.1:1"\nfactory = "0x' + "1" * 40 + '"\n'
    (folder / "cove.toml").write_text(f'{chain}[catalog]\nfolder = "x"\nchain_id = 5\n')
    assert "catalog: chain_id should be that of none of the chains" in run(folder, "settings", code=2)
