"""Reviewing, the audit log and receipts from a command line, beside a running service."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.held import holding
from tests.support.programs import cove as run_cove
from tests.support.site import Site, settings

from cove.core.job import Job, Phase
from cove.jobs import steps
from cove.wiring.assembly import open_cove

CODE = (
    "open('/data/outputs/rows.csv', 'w').write('Ann Smith,41\\nBob,42\\n')\n"
    "open('/data/outputs/mean', 'w').write('7')\n"
)
FILES = [{"type": "local", "root": "data", "path": "table"}]


@pytest.fixture(autouse=True)
def policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "review", holding(["rows.csv"]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # runs of another user read what lies below
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table").write_text("1")
    (tmp_path / "cove.toml").write_text('state_dir = "state"\n')
    return tmp_path


@pytest.fixture
async def site(folder: Path) -> AsyncIterator[Site]:
    async with open_cove(settings(folder)) as cove:
        yield Site(cove)


class Desk:
    """Types commands in the owner's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __call__(self, *words: object, code: int = 0) -> Any:
        ended = await asyncio.to_thread(run_cove, *map(str, words), cwd=self.folder)
        assert ended.returncode == code, ended.stderr + ended.stdout
        return ended


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def held(site: Site) -> Job:
    job_id = await site.add(CODE, FILES)
    return await site.until(job_id, lambda job: job.phase is Phase.HELD and job.held_at is not None)


async def test_a_reviewer_looks_decides_and_the_service_goes_on(site: Site, desk: Desk) -> None:
    job = await held(site)
    listed = json.loads((await desk("review", "list", "--json")).stdout)
    assert [(one["job"], one["state"], one["reasons"]) for one in listed] == [(job.id, "open", ["leaked_rows"])]
    shown = (await desk("review", "show", job.id)).stdout
    assert "leaks.fail_rows = 3" in shown
    assert "A** S****,4*" in shown
    assert "Smith" not in shown
    assert "Ann Smith,41" in (await desk("review", "show", job.id, "--plain")).stdout
    assert "rows.csv" in (await desk("review", "show", job.id, "--json")).stdout
    refused = await desk("review", "approve", job.id, "--reason", " ", code=2)
    assert "reason" in refused.stderr.lower()
    await desk("review", "approve", job.id, "nothing.csv", "--reason", "fine", code=5)
    await desk("review", "diff", job.id, "rows.csv", code=5)
    told = await desk("review", "approve", job.id, "rows.csv", "--reason", "two rows are fine", "--as", "anna")
    assert "Decided" in told.stderr
    done = await site.done(job.id)
    assert "rows.csv" in [result.filename for result in done.results]
    again = await desk("review", "reject", job.id, "rows.csv", "--reason", "late", code=3)
    assert "closed" in again.stderr

    second = await held(site)
    compared = await desk("review", "diff", second.id, "rows.csv")
    assert f"attempt 1 of job {job.id}" in compared.stderr
    assert "No difference." in compared.stdout
    await desk("review", "return", second.id, "--reason", "Group them.", "--as", "boris")
    returned = await site.done(second.id)
    assert returned.message.endswith("Group them.")
    assert await _actions(desk) == [
        "policy_in_force", "held", "vote", "released", "released",
        "policy_in_force", "held", "returned", "released",
    ]  # fmt: skip


async def _actions(desk: Desk) -> list[str]:
    lines = (await desk("audit", "export")).stdout.splitlines()
    return [json.loads(json.loads(line)["record"])["action"] for line in lines]


async def test_the_log_is_verified_and_so_is_an_export_of_it(site: Site, desk: Desk) -> None:
    job = await held(site)
    await desk("review", "reject", job.id, "--reason", "secret words", "--as", "anna")
    done = await site.done(job.id)
    found = json.loads((await desk("audit", "verify", "--json")).stdout)
    assert found["problems"] == []
    receipt = json.loads(await site.text(done, "receipt.json"))
    head = json.loads(base64.b64decode(receipt["payload"]))["predicate"]["audit"]
    await desk("audit", "verify", "--head", head, "--head", found["head"])
    exported = (await desk("audit", "export")).stdout
    assert "local:anna" in exported
    assert "secret words" not in exported
    (desk.folder / "log").write_text(exported)
    await desk("audit", "verify", "--file", desk.folder / "log", "--head", head)
    for harmed in (exported.replace("anna", "eva"), "".join(exported.splitlines(keepends=True)[1:]), "x\n"):
        (desk.folder / "log").write_text(harmed)
        await desk("audit", "verify", "--file", desk.folder / "log", code=1)
    (desk.folder / "log").write_text("".join(exported.splitlines(keepends=True)[:2]))
    await desk("audit", "verify", "--file", desk.folder / "log", "--head", found["head"], code=1)


async def test_a_receipt_is_verified_without_the_provider(site: Site, desk: Desk) -> None:
    job = await site.done((await _plain(site)).id)
    provider = site.cove.vault.address
    (desk.folder / "receipt.json").write_text(await site.text(job, "receipt.json"))
    (desk.folder / "mean").write_text("7")
    (desk.folder / "other").write_text("8")
    await desk("verify", "receipt.json")
    found = json.loads((await desk("verify", "receipt.json", "mean", "--provider", provider, "--json")).stdout)
    assert (found["files"], found["problems"], found["provider"]) == ({"mean": "mean"}, [], provider)
    (tar,) = [place for place, result in enumerate(job.results) if result.filename == "outputs.tar"]
    part = await site.cove.jobs.result(None, job.id, tar)
    content = b"".join([chunk async for chunk in site.cove.jobs.read(part, 0, part.size)])
    (desk.folder / "outputs.tar").write_bytes(content)
    assert "mean" in (await desk("verify", "receipt.json", "outputs.tar")).stdout
    await desk("verify", "receipt.json", "other", code=1)
    await desk("verify", "receipt.json", "--provider", "0x" + "1" * 40, code=1)
    await desk("verify", "mean", code=1)
    await desk("verify", "nothing.json", code=1)


async def _plain(site: Site) -> Job:
    return await site.done(await site.add("open('/data/outputs/mean', 'w').write('7')", FILES))
