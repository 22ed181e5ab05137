"""``cove published``: what is kept for assets, and how its owner gets rid of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cove.cli import build_app
from cove.core.ddo import did_of
from cove.crypto.keys import checksum

NFT = "0x" + "ab" * 20
DID = did_of(checksum(NFT), 5)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "cove.toml"
    file.write_text(
        f'state_dir = "{tmp_path}/state"\n[[chains]]\nid = 5\nrpc = "http://127.0.0.1:1"\nfactory = "{NFT}"\n'
    )
    folder = tmp_path / "state" / "published" / NFT
    folder.mkdir(parents=True)
    (folder / "0").write_text("seven")
    (folder / "1").write_text("eight")
    (folder / ".ended").write_text("1700000000")
    return file


def run(settings: Path, *arguments: str) -> tuple[int, str]:
    ended = CliRunner().invoke(build_app(), ["published", *arguments, "--settings", str(settings)])
    return ended.exit_code, ended.output


def test_what_is_kept_is_listed(settings: Path) -> None:
    code, text = run(settings, "list", "--json")
    assert code == 0
    assert json.loads(text) == [{"nft": NFT, "dids": [DID], "files": 2, "size": 10, "endedAt": 1_700_000_000.0}]
    assert DID in run(settings, "list")[1]


@pytest.mark.parametrize("name", [NFT, checksum(NFT), DID])
def test_it_is_removed_by_either_name(settings: Path, name: str) -> None:
    code, text = run(settings, "remove", name)
    assert (code, "Removed 2 files" in text) == (0, True)
    assert list((settings.parent / "state" / "published").iterdir()) == []
    assert run(settings, "remove", name)[0] == 5


def test_what_is_not_there_is_not_removed(settings: Path) -> None:
    code, text = run(settings, "remove", "../..")
    assert (code, "Nothing is kept here" in text) == (5, True)


def test_where_nothing_was_published_nothing_is_listed(settings: Path, tmp_path: Path) -> None:
    settings.write_text(f'state_dir = "{tmp_path}/other"\n')
    assert json.loads(run(settings, "list", "--json")[1]) == []
