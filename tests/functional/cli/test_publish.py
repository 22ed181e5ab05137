"""Publishing, trusting, ordering and withdrawing from the command line, on a chain and with a running service."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.functional.cli.conftest import CHECKSUM, House, write_key
from tests.support.programs import RPC_TOKEN, cove

DATASET = """
name = "A table"
description = "One number, and private."
author = "Hospital"
license = "MIT"
provider = "{url}"

[[services]]
type = "compute"
files = [{{ type = "local", root = "data", path = "table.csv" }}]
trusted_algorithms = {trusted}

[price]
{price}
"""
ALGORITHM = """
name = "Forty-two"
description = "Knows the answer."
author = "Somebody"
license = "MIT"
provider = "{url}"
services = [{{ type = "access", files = [{{ type = "local", root = "data", path = "algorithm.py" }}] }}]
price = {{ kind = "free" }}

[algorithm.container]
image = "cove/host"
checksum = "{checksum}"
"""


class Owner:
    """A data owner's folder, with commands that work on the house's chain."""

    def __init__(self, house: House, rpc: str, folder: Path) -> None:
        self.house, self.rpc, self.folder = house, rpc, folder
        write_key(folder / "owner.key", house.ocean.chain.accounts[0].private_key)
        ocean = house.ocean
        (folder / "cove.toml").write_text(
            f'state_dir = "{folder}/state"\n[listen]\npublic_url = "{house.url}"\n[[chains]]\n'
            f'id = {ocean.chain.chain_id}\nrpc = "{rpc}"\nfactory = "{ocean.addresses.factory}"\n'
        )

    def run(self, *arguments: str | Path, key: str = "owner.key", code: int = 0) -> str:
        variables = {"COVE_ACCOUNT_KEY_FILE": key, "COVE_JOURNALS": str(self.folder / "journals")}
        ended = cove(*arguments, cwd=self.folder, **variables)
        assert ended.returncode == code, (ended.stdout, ended.stderr)
        assert RPC_TOKEN not in ended.stdout + ended.stderr
        return ended.stdout if code == 0 else ended.stderr

    def consumer(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        variables = {
            "COVE_URL": self.house.url,
            "COVE_ACCOUNT_KEY_FILE": "consumer.key",
            "COVE_RPC": self.rpc,
            "COVE_JOURNALS": str(self.folder / "journals"),
        }
        ended = cove(*arguments, cwd=self.house.folder, **variables)
        assert RPC_TOKEN not in ended.stdout + ended.stderr
        return ended

    def dataset(self, trusted: str, price: str = 'kind = "free"') -> Path:
        path = self.folder / "dataset.toml"
        path.write_text(DATASET.format(url=self.house.url, trusted=trusted, price=price))
        return path

    def algorithm(self) -> Path:
        path = self.folder / "algorithm.toml"
        path.write_text(ALGORITHM.format(url=self.house.url, checksum=CHECKSUM))
        return path


@pytest.fixture
def owner(house: House, rpc: str, tmp_path: Path) -> Owner:
    return Owner(house, rpc, tmp_path)


def test_from_a_description_to_a_consumers_results(owner: Owner) -> None:
    code = owner.run("publish", "algorithm", owner.algorithm()).strip()
    base = owner.house.ocean.addresses.fee_token
    fixed = f'kind = "fixed"\namount = 3\ntoken = "{base}"'
    table = owner.run("publish", "dataset", owner.dataset(f'["{code}"]', fixed)).strip()
    assert owner.run("publish", "dataset", "dataset.toml").strip() == table  # again: nothing is sent
    shown = json.loads(owner.consumer("order", "--dataset", table, "--algorithm", code, "--dry-run", "--json").stdout)
    functions = [entry["function"].split("(")[0] for entry in shown["transactions"]]
    assert functions == ["approve", "buyDT", "approve", "startOrder", "dispense", "startOrder"]
    assert sum(int(entry["amount"]) for entry in shown["pays"]) > 3 * 10**18
    ended = owner.consumer(
        "submit", "--dataset", table, "--algorithm", code, "--place-orders", "--seconds", "50", "--wait", "--json"
    )
    assert ended.returncode == 0, ended.stderr
    job = json.loads(ended.stdout)
    assert (job["outcome"], job["algoDID"], job["documentId"]) == ("succeeded", code, table)
    assert list((owner.folder / "journals").glob("order-*")) == []


def test_orders_that_are_placed_are_submitted_later(owner: Owner) -> None:
    table = owner.run("publish", "dataset", owner.dataset('["*"]'), "--json")
    did = json.loads(table)["did"]
    placed = owner.consumer("order", "--dataset", did, "--algorithm", owner.house.algorithm.did)
    assert placed.returncode == 1
    assert "nothing on this chain sells it" in placed.stderr  # the house's own algorithm is handed out by its owner
    code = owner.run("publish", "algorithm", owner.algorithm()).strip()
    placed = owner.consumer("order", "--dataset", did, "--algorithm", code, "--seconds", "50")
    assert placed.returncode == 0, placed.stderr
    words = placed.stdout.split()
    assert words[::2] == ["--order", "--algorithm-order"]
    ended = owner.consumer("submit", "--dataset", did, "--algorithm", code, *words, "--wait")
    assert ended.returncode == 0, ended.stderr


def test_who_is_trusted_and_no_more(owner: Owner) -> None:
    table = owner.run("publish", "dataset", owner.dataset("[]")).strip()
    code = owner.run("publish", "algorithm", owner.algorithm()).strip()
    listed = json.loads(owner.run("trust", "list", table, "--json"))
    assert listed == {"everyPublished": False, "algorithms": [], "publishers": []}
    refused = owner.consumer("order", "--dataset", table, "--algorithm", code, "--dry-run")
    assert "not_trusted_algo" in refused.stderr
    assert json.loads(owner.run("trust", "add", table, code, "--dry-run", "--json"))["transactions"]
    assert json.loads(owner.run("trust", "add", table, code, "--json")) == {"did": table, "changed": True}
    assert json.loads(owner.run("trust", "add", table, code, "--json")) == {"did": table, "changed": False}
    (entry,) = json.loads(owner.run("trust", "list", table, "--json"))["algorithms"]
    assert (entry["did"], len(entry["filesChecksum"])) == (code, 64)
    assert owner.consumer("order", "--dataset", table, "--algorithm", code, "--dry-run").returncode == 0
    owner.run("trust", "remove", table, code)
    refused = owner.consumer("order", "--dataset", table, "--algorithm", code, "--dry-run")
    assert "not_trusted_algo" in refused.stderr  # and not: every published one may


def test_what_is_withdrawn_is_gone(owner: Owner) -> None:
    table = owner.run("publish", "dataset", owner.dataset('["*"]')).strip()
    assert json.loads(owner.run("unpublish", table, "--dry-run", "--json"))["gas"] > 0
    assert json.loads(owner.run("unpublish", table, "--json"))["changed"] is True
    said = owner.run("unpublish", table, code=1)
    assert "does not show" in said


def test_a_dry_run_sends_nothing(owner: Owner) -> None:
    for price in ('kind = "none"', 'kind = "free"'):
        path = owner.dataset('["*"]', price)
        shown = json.loads(owner.run("publish", "dataset", path, "--dry-run", "--json"))
        assert [entry["function"].split("(")[0] for entry in shown["transactions"]][1:] == ["setMetaData"]
        assert int(shown["cost"]) > 0
    text = owner.run("publish", "dataset", path, "--dry-run")
    assert "make the NFT" in text
    assert not list(owner.folder.glob(".dataset.toml*"))


def test_mistakes_are_one_sentence(owner: Owner) -> None:
    path = owner.dataset('["did:op:1"]')
    said = owner.run("publish", "dataset", path, code=1)
    assert f"{path}, line 11: services[0].trusted_algorithms" in said
    assert "no algorithm" in owner.run("publish", "dataset", owner.dataset(f'["{owner.house.dataset.did}"]'), code=1)
    path = owner.dataset('["*"]')
    assert "Chain 5 is not in the settings" in owner.run("publish", "dataset", path, "--chain", "5", code=2)
    (owner.folder / "poor.key").touch(0o600)
    (owner.folder / "poor.key").write_text("5c" * 32)
    said = owner.run("publish", "dataset", owner.dataset('["*"]'), key="poor.key", code=1)
    assert "not enough of the chain's coin" in said
    assert "Run the same command again" in said
    answer = owner.consumer("order", "--dataset", owner.house.dataset.did, "--rpc", "nowhere")
    assert (answer.returncode, "--rpc" in answer.stderr) == (2, True)
