"""computeResult over HTTP: who gets what, whole and by range."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.functional.web.conftest import CONTENT

from cove.core.job import ResultFile
from cove.core.policy import OUTPUT
from cove.jobs import tarball

if TYPE_CHECKING:
    from tests.functional.web.conftest import Consumer, Site

RESULT = "/api/services/computeResult"


async def test_a_result_is_sent_as_a_file_that_nothing_renders(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    answer = await site.http.get(RESULT, params=alice.signed(f"{job.id}1", jobId=job.id, index=1))
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert re.match(r"attachment;filename=my_sum\.bin", answer.headers["content-disposition"])
    log = await site.http.get(RESULT, params=alice.signed(f"{job.id}0", jobId=job.id, index=0))
    assert log.headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_broken_download_is_resumed(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)

    async def ask(**headers: str) -> Any:
        params = alice.signed(f"{job.id}1", jobId=job.id, index=1)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await site.http.get(RESULT, params=params, headers=named)

    whole = await ask()
    etag = whole.headers["etag"]
    part = await ask(range="bytes=1500000-", if_range=etag)
    assert (part.status_code, part.content) == (206, CONTENT[1_500_000:])
    assert part.headers["content-range"] == f"bytes 1500000-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert (await ask(range="bytes=5-9")).content == CONTENT[5:10]
    assert (await ask(range="bytes=-3")).content == CONTENT[-3:]
    changed = await ask(range="bytes=5-9", if_range='"other"')
    assert (changed.status_code, len(changed.content)) == (200, len(CONTENT))
    outside = await ask(range=f"bytes={len(CONTENT)}-")
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    assert (await ask(if_none_match=f'W/{etag}, "x"')).status_code == 304


async def test_head_tells_the_size_and_sends_nothing(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    answer = await site.http.head(RESULT, params=alice.signed(f"{job.id}1", jobId=job.id, index=1))
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, str(len(CONTENT)), b"")


async def test_each_thing_that_is_not_there_is_said_truly(
    site: Site, alice: Consumer, bob: Consumer, tmp_path: Path
) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    waiting = await site.add(owner=alice.account.address)

    async def error(who: Consumer, job_id: str, index: int) -> str:
        answer = await site.http.get(RESULT, params=who.signed(f"{job_id}{index}", jobId=job_id, index=index))
        assert answer.status_code == 404
        return str(answer.json()["error"])

    assert await error(bob, job.id, 0) == await error(alice, "0" * 32, 0)
    assert "index 7" in await error(alice, job.id, 7)
    assert "no results yet" in await error(alice, waiting.id, 0)


@pytest.mark.parametrize("index", ["-1", "1.5", "x", "9" * 30, "", "0x1"])
async def test_an_index_that_is_no_number_is_refused(site: Site, alice: Consumer, index: str) -> None:
    job = await site.add(owner=alice.account.address)
    answer = await site.http.get(RESULT, params=alice.signed(f"{job.id}{index}", jobId=job.id, index=index))
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["index"])
    assert await site.cove.nonces.last(alice.account.address) is None


async def test_a_file_that_is_lost_is_no_empty_answer(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    await site.cove.parts.results.delete(job.id)
    answer = await site.http.get(RESULT, params=alice.signed(f"{job.id}1", jobId=job.id, index=1))
    assert answer.status_code == 404
    assert answer.json()["error"]


async def test_a_client_that_goes_away_ends_the_stream(site: Site, alice: Consumer, tmp_path: Path) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    request = site.http.build_request("GET", RESULT, params=alice.signed(f"{job.id}1", jobId=job.id, index=1))
    gone = asyncio.Event()
    sent: list[int] = []

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(len(message.get("body", b"")))
        if message["type"] == "http.response.body":
            gone.set()
            await asyncio.Event().wait()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "GET",
        "path": RESULT,
        "raw_path": RESULT.encode(),
        "query_string": request.url.query,
        "headers": [],
        "scheme": "http",
        "server": ("cove.example", 80),
    }
    app = site.http._transport.app  # type: ignore[attr-defined]
    async with asyncio.timeout(120):
        await app(scope, receive, send)
    assert sum(sent) < len(CONTENT)


async def test_without_an_index_all_outputs_come_in_one_archive(site: Site, tmp_path: Path, alice: Consumer) -> None:
    job = await site.add_finished(tmp_path, owner=alice.account.address)
    first = await site.http.get(RESULT, params=alice.signed(job.id, jobId=job.id))
    assert (first.status_code, first.content) == (200, b"<script>\n")
    size = tarball.total(tarball.plan(job.results, job.created_at))
    archive = ResultFile("outputs.tar", size, OUTPUT, "", "")
    listed = replace(job, results=(*job.results, archive), delete_requested_at=None)
    await site.cove.parts.store.save(listed)
    answer = await site.http.get(RESULT, params=alice.signed(job.id, jobId=job.id))
    assert answer.headers["content-disposition"] == "attachment;filename=outputs.tar"
    assert b"outputs/a/my sum.bin" in answer.content[:2048]
