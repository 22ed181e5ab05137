"""computeLogs over a real connection, of jobs in the real sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.functional.web.conftest import Consumer
from tests.support.policies import UNCHECKED
from tests.support.site import INPUT, Site, settings

from cove.cli.server import run_server
from cove.client import CoveClient, NotThere, Signer
from cove.core.job import JobId, Phase, run_id
from cove.core.releasepolicy import LogMode, LogRules, ReleasePolicy
from cove.wiring.assembly import open_cove

LOGS = "/api/services/computeLogs"
#: Writes a line, waits until the dataset has grown, writes what would be events, and ends.
WAITS = f"""import os, time
print("one \u00fc", flush=True)
while os.path.getsize({INPUT!r}) < 2:
    time.sleep(0.02)
print("two\\n\\nevent: end\\ndata: {{}}\\n", flush=True)
"""
WRITTEN = "one \u00fc\ntwo\n\nevent: end\ndata: {}\n\n"
LIVE = replace(UNCHECKED, logs=LogRules(LogMode.LIVE))
TABLE = {"type": "local", "root": "data", "path": "table"}


@dataclass
class Live:
    site: Site
    http: httpx2.AsyncClient
    folder: Path
    stop: asyncio.Event
    server: asyncio.Task[None]
    policy: ReleasePolicy = LIVE

    async def add(self, consumer: Consumer, code: str = WAITS) -> str:
        return await self.site.add(code, [TABLE], owner=consumer.account.address, policy=self.policy)

    async def written(self, job_id: JobId) -> None:
        """Return once the algorithm has written its first line."""
        engine = self.site.cove.parts.engines["sandbox"]
        async with asyncio.timeout(120):
            while not await engine.logs(run_id(job_id, 1), 0, 9):
                await self.site.cove.jobs.wait_change(job_id, 0.05)

    def go_on(self) -> None:
        (self.folder / "data" / "table").write_text("22")

    @contextlib.asynccontextmanager
    async def follow(self, consumer: Consumer, job_id: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        async with self.http.stream("GET", LOGS, params=consumer.signed(job_id, jobId=job_id)) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            yield events(answer)

    async def status(self, consumer: Consumer, job_id: str) -> tuple[int, dict[str, Any]]:
        """Give the status of a refusal, and its body."""
        answer = await self.http.get(LOGS, params=consumer.signed(job_id, jobId=job_id))
        return answer.status_code, answer.json()


async def events(answer: httpx2.Response) -> AsyncIterator[tuple[str, Any]]:
    """Give the events of an answer, comments as such."""
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            yield "comment", line
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def prepare(folder: Path) -> None:
    folder.chmod(0o755)  # runs of another user read what lies below
    (folder / "data").mkdir()
    (folder / "data" / "table").write_text("1")


@contextlib.asynccontextmanager
async def serving(folder: Path, *, live: bool = True, **changes: Any) -> AsyncIterator[Live]:
    prepare(folder)
    async with open_cove(settings(folder, environment={"live_logs": live}, **changes)) as cove:
        stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
        server = asyncio.create_task(run_server(cove, "127.0.0.1", 0, started=url.set_result, stop=stop))
        async with httpx2.AsyncClient(base_url=await url, timeout=20) as http:
            yield Live(Site(cove), http, folder, stop, server)
        stop.set()
        await server


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(tmp_path) as found:
        yield found


async def test_a_log_is_shown_while_the_job_runs_and_to_its_end(live: Live, alice: Consumer) -> None:
    job_id = await live.add(alice)
    texts: list[str] = []
    async with live.follow(alice, job_id) as found:
        async for name, content in found:
            if name == "log":
                assert (content["attempt"], content["offset"]) == (1, len("".join(texts).encode()))
                texts.append(content["text"])
                if len(texts) == 1:
                    assert (await live.site.until(job_id, lambda _: True)).phase is Phase.RUNNING
                    live.go_on()
            elif name == "end":
                end = content
    assert "".join(texts) == WRITTEN
    assert (end["jobId"], end["status"], end["outcome"]) == (job_id, 70, "succeeded")
    assert end["results"]
    assert end["algorithmLogUrl"] is None


async def test_the_log_of_a_job_that_is_done_is_given_whole(live: Live, alice: Consumer) -> None:
    live.go_on()
    job_id = await live.add(alice)
    await live.site.done(job_id)
    async with live.follow(alice, job_id) as found:
        got = [(name, content) async for name, content in found if name != "comment"]
    assert [name for name, _ in got] == ["log", "end"]
    assert got[0][1]["text"] == WRITTEN


async def test_a_deleted_job_ends_its_log(live: Live, alice: Consumer) -> None:
    job_id = await live.add(alice)
    async with live.follow(alice, job_id) as found:
        async for name, content in found:
            if name == "log":
                await live.http.request("DELETE", "/api/services/compute", json=alice.signed(job_id, jobId=job_id))
            elif name == "end":
                end = content
    assert end == {"jobId": job_id, "removed": 1}


async def test_nobody_else_reads_a_log(live: Live, alice: Consumer, bob: Consumer) -> None:
    job_id = await live.add(alice)
    status, body = await live.status(bob, job_id)
    assert (status, body) == await live.status(bob, "0" * 32)
    assert (status, body["error"]) == (404, "There is no such job.")
    fields = alice.signed(job_id, jobId=job_id)
    for spoiled in ({"signature": "0x00"}, {"nonce": "99"}, {"signature": None}, {"nonce": None}):
        given = {name: value for name, value in (fields | spoiled).items() if value is not None}
        assert (await live.http.get(LOGS, params=given)).status_code == 400
    live.go_on()
    await live.site.done(job_id)
    assert (await live.http.get(LOGS, params=fields)).status_code == 200
    assert (await live.http.get(LOGS, params=fields)).status_code == 400


async def test_a_token_opens_its_accounts_logs(live: Live, alice: Consumer) -> None:
    live.go_on()
    job_id = await live.add(alice)
    await live.site.done(job_id)
    token = live.site.cove.tokens.make(alice.account.address, int(time.time()) + 60)
    fields = {name: value for name, value in alice.signed("", jobId=job_id).items() if name != "signature"}
    answer = await live.http.get(LOGS, params=fields, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, "two" in answer.text) == (200, True)


@pytest.mark.parametrize(("environment", "mode"), [(False, LogMode.LIVE), (True, LogMode.FULL), (True, LogMode.TAIL)])
async def test_where_one_of_the_two_says_no_system_events_come_live_and_the_log_at_the_end(
    tmp_path: Path, alice: Consumer, environment: Any, mode: LogMode
) -> None:
    async with serving(tmp_path, live=environment) as closed:
        closed.policy = replace(UNCHECKED, logs=LogRules(mode, 100))
        job_id = await closed.add(alice)
        seen: list[tuple[str, Any]] = []
        async with closed.follow(alice, job_id) as found:
            async for name, content in found:
                if name != "comment":
                    seen.append((name, content))
                if name == "phase" and content["phase"] == "running":
                    await closed.written(JobId(job_id))
                    closed.go_on()
        names = [name for name, _ in seen]
        assert names[-2:] == ["log", "end"]
        assert set(names[:-2]) == {"phase"}
        assert seen[-2][1]["text"] == WRITTEN
        assert {"attempt": 1, "phase": "running", "status": 40, "statusText": "Running algorithm"} in [
            c for _, c in seen
        ]


async def test_a_log_that_is_off_is_shown_to_nobody_and_its_end_is_told(tmp_path: Path, alice: Consumer) -> None:
    async with serving(tmp_path) as closed:
        closed.policy = replace(UNCHECKED, logs=LogRules(LogMode.OFF))
        closed.go_on()
        job_id = await closed.add(alice, "print('secret', flush=True)\nraise SystemExit(7)")
        async with closed.follow(alice, job_id) as found:
            seen = [(name, content) async for name, content in found if name != "comment"]
        assert "secret" not in json.dumps(seen)
        assert {name for name, _ in seen} == {"phase", "end"}
        assert (seen[-1][1]["exitCode"], seen[-1][1]["reason"]) == (7, "exit_code_7")


async def test_no_more_is_shown_than_may_leave(tmp_path: Path, alice: Consumer) -> None:
    async with serving(tmp_path, release={"max_log": 3}) as small:
        job_id = await small.add(alice)
        texts = []
        async with small.follow(alice, job_id) as found:
            async for name, content in found:
                if name == "log":
                    texts.append(content["text"])
                    small.go_on()
        assert "".join(texts) == "one"


async def test_a_client_that_goes_frees_its_place(tmp_path: Path, alice: Consumer, bob: Consumer) -> None:
    async with serving(tmp_path, limits={"log_streams": 1}) as live:
        job_id, other = await live.add(alice), await live.add(bob)
        async with live.follow(alice, job_id) as found:
            assert await anext(found)
            status, body = await live.status(alice, job_id)
            assert (status, body["code"]) == (429, "too_many_requests")
            async with live.follow(bob, other) as also:
                assert await anext(also)
        async with asyncio.timeout(120):
            while True:
                with contextlib.suppress(AssertionError):
                    async with live.follow(alice, job_id):
                        break


async def test_the_client_follows_a_log(live: Live, alice: Consumer, bob: Consumer) -> None:
    job_id = await live.add(alice)

    def follow(key: str) -> str:
        with CoveClient(str(live.http.base_url), Signer(key)) as client:
            texts = []
            for text in client.follow_log(job_id):
                texts.append(text)
                live.go_on()
            return "".join(texts)

    assert await asyncio.to_thread(follow, "01" * 32) == WRITTEN
    with pytest.raises(NotThere):
        await asyncio.to_thread(follow, "02" * 32)


async def test_a_service_that_stops_ends_its_logs(live: Live, alice: Consumer) -> None:
    async with live.follow(alice, await live.add(alice)) as found:
        names = []
        async for name, _ in found:
            names.append(name)
            live.stop.set()
        assert "end" not in names
        async with asyncio.timeout(3):  # before the server cuts off what does not end
            await live.server


async def test_silence_is_kept_alive(live: Live, alice: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cove.web.routes.livelogs.KEEP_ALIVE_SECONDS", 0.0)
    job_id = await live.add(alice)
    async with live.follow(alice, job_id) as found:
        comments = 0
        async for name, _ in found:
            comments += name == "comment"
            if comments == 3:
                break
    assert comments == 3
