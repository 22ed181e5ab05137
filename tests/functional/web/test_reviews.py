"""Reviews over HTTP: who may, what they see, and what their votes do."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.functional.web.conftest import Consumer, Site
from tests.support.held import FINDINGS, digest, held
from tests.support.jobs import ENVIRONMENT, a_job
from tests.support.outputs import released, written

from cove.core import airlock
from cove.core.job import Job, Phase, ResultFile
from cove.core.releasepolicy import ReviewRules
from cove.crypto.keys import Account
from cove.jobs.reconciler import Reconciler
from cove.jobs.service import JobService
from cove.settings import ReviewSettings, Settings
from cove.web.app import create_app
from cove.wiring.assembly import open_cove

REVIEWS, FILE, VOTE = (f"/api/services/{name}" for name in ("reviews", "reviewFile", "reviewVote"))
CONTENT = {"rows.csv": b"Ann,41\nBob,42\n", "page.html": b"<script>alert(1)</script>\x1b[2J", "\udcff": b"\0\1"}


@pytest.fixture
def carol() -> Consumer:
    """Reviews."""
    return Consumer(Account(b"\x03" * 32))


@pytest.fixture
def dora() -> Consumer:
    """Reviews, too."""
    return Consumer(Account(b"\x04" * 32))


@pytest.fixture
async def site(tmp_path: Path, carol: Consumer, dora: Consumer, alice: Consumer) -> AsyncIterator[Site]:
    people = tuple(one.account.address for one in (carol, dora, alice))
    given = Settings(
        state_dir=tmp_path / "state", key="11" * 32, environments=(), review=ReviewSettings(reviewers=people)
    )
    async with open_cove(given, loop=False) as house:
        parts = replace(house.parts, environments={ENVIRONMENT.id: ENVIRONMENT})
        loop = Reconciler(parts)
        cove = replace(house, parts=parts, environments=(ENVIRONMENT,), jobs=JobService(parts, loop))
        transport = httpx2.ASGITransport(create_app(cove), raise_app_exceptions=True)
        async with httpx2.AsyncClient(transport=transport, base_url="http://cove.example") as http:
            yield Site(cove, http)
        await loop.close()


async def waiting(site: Site, folder: Path, owner: Consumer, *, reviewers: int = 1) -> Job:
    verdicts = tuple(held(name, content) for name, content in CONTENT.items())
    job = a_job(owner=owner.account.address, phase=Phase.HELD, held_at=1.0, verdicts=verdicts)
    for verdict in verdicts:
        place = written(folder / "source", CONTENT[verdict.path])
        site.cove.parts.airlock.put(job.id, verdict, lambda place=place: place)  # type: ignore[misc]
    await site.cove.parts.store.add(job, b"package")
    lines = [("leaked_rows", "leaks.fail_rows = 3")]
    rules = ReviewRules(reviewers=reviewers)
    await site.cove.parts.reviews.add(airlock.opened(job, rules, lines, FINDINGS, time.time()))
    return job


async def show(site: Site, who: Consumer, job_id: str = "", file: str = "", **more: str) -> httpx2.Response:
    named = {name: value for name, value in (("jobId", job_id), ("file", file)) if value}
    return await site.http.get(REVIEWS, params=who.signed(f"reviews{job_id}{file}", **named, **more))


async def vote(  # noqa: PLR0917 - in the order of what is signed
    site: Site, who: Consumer, job: Job, file: str, sha256: str, decision: str, reason: str
) -> Any:
    who.nonce += 1
    address = who.account.address
    text = f"{address}reviewVote{job.id}{file}{sha256}{decision}{reason}\n{who.nonce}"
    return await site.http.post(VOTE, json={
        "consumerAddress": address, "nonce": str(who.nonce), "signature": who.account.sign_text(text),
        "jobId": job.id, "file": file, "sha256": sha256, "decision": decision, "reason": reason,
    })  # fmt: skip


def key_of(path: str) -> str:
    return airlock.file_key("output", path)


async def test_a_reviewer_sees_what_is_held_and_why(site: Site, tmp_path: Path, carol: Consumer, bob: Consumer) -> None:
    job = await waiting(site, tmp_path, bob)
    (listed,) = (await show(site, carol)).json()
    assert (listed["jobId"], listed["state"], listed["needed"]) == (job.id, "open", 1)
    assert {file["preview"] for file in listed["files"]} == {None}
    answer = await show(site, carol, job.id)
    files = {file["path"]: file for file in answer.json()[0]["files"]}
    rows = files["rows.csv"]
    assert (rows["key"], rows["sha256"]) == (key_of("rows.csv"), digest(CONTENT["rows.csv"]))
    assert (rows["reason"], rows["rule"], rows["contentType"]) == ("leaked_rows", "leaks.fail_rows = 3", "text/csv")
    assert rows["matches"] == [{"dataset": "did:op:1", "rows": 5, "where": "", "examples": ["A***,4*"]}]
    assert rows["preview"] == {"kind": "text", "text": "Ann,41\nBob,42\n", "whole": True}
    assert files["page.html"]["preview"]["text"].endswith("</script>\\x1b[2J")
    assert files["\udcff"]["preview"] == {"kind": "binary", "text": "", "whole": False}
    assert answer.headers["content-type"] == "application/json"


async def test_a_held_file_comes_as_bytes_that_no_browser_runs(
    site: Site, tmp_path: Path, carol: Consumer, bob: Consumer
) -> None:
    job = await waiting(site, tmp_path, bob)
    for name, content in CONTENT.items():
        asked = carol.signed(f"reviews{job.id}{key_of(name)}", jobId=job.id, file=key_of(name))
        answer = await site.http.get(FILE, params=asked)
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "html" not in answer.headers["content-type"]
        assert answer.headers["content-security-policy"] == "sandbox"


async def test_only_reviewers_and_never_the_jobs_owner(
    site: Site, tmp_path: Path, alice: Consumer, bob: Consumer, carol: Consumer
) -> None:
    job = await waiting(site, tmp_path, alice)
    key, sha256 = key_of("rows.csv"), digest(CONTENT["rows.csv"])
    for who in (alice, bob):
        assert (await show(site, who, job.id)).status_code == 403
        asked = who.signed(f"reviews{job.id}{key}", jobId=job.id, file=key)
        assert (await site.http.get(FILE, params=asked)).status_code == 403
        for decision in ("approve", "reject", "return"):
            assert (await vote(site, who, job, key, sha256, decision, "mine")).status_code == 403
    assert (await show(site, bob)).status_code == 403
    assert (await show(site, alice)).json()[0]["files"] == []
    forged = carol.signed(f"reviews{job.id}", jobId=job.id) | {"nonce": "999"}
    assert (await site.http.get(REVIEWS, params=forged)).status_code == 400
    assert (await site.http.get(REVIEWS)).status_code == 400
    assert (await site.cove.parts.reviews.get(job.id)).version == 1  # type: ignore[union-attr]


async def test_two_people_decide_and_the_loop_hears_of_it(
    site: Site, tmp_path: Path, carol: Consumer, dora: Consumer, bob: Consumer
) -> None:
    job = await waiting(site, tmp_path, bob, reviewers=2)
    for who in (carol, dora):
        for name in ("rows.csv", "page.html"):
            answer = await vote(site, who, job, key_of(name), digest(CONTENT[name]), "approve", "1 looks fine: 2")
            assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "open"
    answer = await vote(site, carol, job, key_of("\udcff"), digest(CONTENT["\udcff"]), "reject", "What is it?")
    body = answer.json()
    assert (body["state"], body["closedBy"]) == ("released", carol.account.address.lower())
    assert [file["decision"] for file in body["files"]] == ["approved", "approved", "rejected"]
    assert list(await site.cove.parts.reviews.due(time.time())) == [job.id]
    late = await vote(site, dora, job, key_of("rows.csv"), digest(CONTENT["rows.csv"]), "reject", "late")
    assert (late.status_code, late.json()["error"]) == (400, {"review": "closed"})
    assert (await show(site, carol)).json() == []
    assert len((await show(site, carol, state="all")).json()) == 1


async def test_a_file_that_changes_loses_its_votes(
    site: Site, tmp_path: Path, carol: Consumer, dora: Consumer, bob: Consumer
) -> None:
    job = await waiting(site, tmp_path, bob, reviewers=2)
    key, sha256 = key_of("rows.csv"), digest(CONTENT["rows.csv"])
    assert (await vote(site, carol, job, key, sha256, "approve", "fine")).status_code == 200
    site.cove.parts.airlock.place(job.id, "output", "rows.csv").write_bytes(b"other")
    refused = await vote(site, dora, job, key, sha256, "approve", "fine")
    assert (refused.status_code, refused.json()["error"]) == (400, {"sha256": "changed"})
    (review,) = (await show(site, carol, job.id)).json()
    file = next(one for one in review["files"] if one["key"] == key)
    assert (file["votes"], file["sha256"], file["preview"]["text"]) == ([], digest(b"other"), "other")
    answer = await vote(site, dora, job, key, digest(b"other"), "approve", "fine")
    assert [one["approve"] for one in answer.json()["files"][0]["votes"]] == [True]


async def test_a_job_is_returned_with_a_reason(site: Site, tmp_path: Path, carol: Consumer, bob: Consumer) -> None:
    job = await waiting(site, tmp_path, bob)
    assert (await vote(site, carol, job, "", "", "return", " ")).status_code == 400
    answer = await vote(site, carol, job, "", "", "return", "Group by region.")
    assert (answer.json()["state"], answer.json()["note"]) == ("returned", "Group by region.")


async def test_a_difference_is_shown_masked(site: Site, tmp_path: Path, carol: Consumer, bob: Consumer) -> None:
    job = await waiting(site, tmp_path, bob)
    key = key_of("rows.csv")
    assert (await show(site, carol, job.id, key)).json()[0]["files"][0]["difference"] is None
    place = written(tmp_path / "before", b"Ann,40\nBob,42\n")
    output = released("rows.csv", b"Ann,40\nBob,42\n")
    other = a_job(phase=Phase.DONE, dataset_dids=job.dataset_dids)
    stored = site.cove.parts.results.put(other.id, 1, output, lambda: place)
    result = ResultFile("rows.csv", 14, "output", output.sha256, stored)
    await site.cove.parts.store.add(replace(other, results=(result,)), b"")
    shown = (await show(site, carol, job.id, key)).json()[0]["files"][0]["difference"]
    assert "-A**,4*" in shown
    assert "+A**,4*" in shown
    assert "Ann" not in shown


@pytest.mark.parametrize("job_id", ["0" * 32, "nothing"])
async def test_what_is_not_there_is_said(site: Site, carol: Consumer, job_id: str) -> None:
    answer = await show(site, carol, job_id)
    assert answer.status_code == (404 if len(job_id) == 32 else 400)
