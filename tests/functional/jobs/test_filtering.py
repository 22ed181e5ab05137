"""What of a run reaches its consumer under a release policy, with real runs in the sandbox."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.inspectors import NullInspector
from tests.support.policies import UNCHECKED
from tests.support.site import DID, Site, settings

from cove.core.job import Job, Phase
from cove.core.releasepolicy import LeakRules, LogMode, LogRules, ReleasePolicy, ReviewMode, ReviewRules
from cove.ports import JobQuery
from cove.web import status
from cove.wiring.assembly import open_cove

FILE = {"type": "local", "root": "data", "path": "people.csv"}
FOLDER = {"type": "local", "root": "data", "path": "more"}
WRITES = """import os
open(os.environ["OUTPUTS"] + "/answer.txt", "w").write("42")
open(os.environ["LOGS"] + "/notes.log", "w").write("noted")
print("first line")
print("last line")
"""
CHECKED = ReleasePolicy()


def kept(**rules: object) -> ReleasePolicy:
    return replace(UNCHECKED, **rules)  # type: ignore[arg-type]


def prepare(folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "data" / "more").mkdir(parents=True)
    (folder / "data" / "people.csv").write_text("name\nAda\n")
    (folder / "data" / "more" / "a.csv").write_text("name\nBob\n")


@contextlib.asynccontextmanager
async def site_with(folder: Path, monkeypatch: pytest.MonkeyPatch, inspector: NullInspector) -> AsyncIterator[Site]:
    prepare(folder)
    monkeypatch.setattr("cove.wiring.assembly.open_inspector", lambda *_: inspector)
    async with open_cove(settings(folder)) as cove:
        yield Site(cove)


async def run(site: Site, policy: ReleasePolicy, code: str = WRITES) -> Job:
    return await site.done(await site.add(code, [FILE], policy=policy))


def released(job: Job) -> set[str]:
    return {result.filename for result in job.results if result.sha256} - {"configuration.log", "receipt.json"}


async def test_an_inspector_is_asked_about_everything_that_may_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = NullInspector()
    policy = replace(CHECKED, leaks=LeakRules(fail_rows=7, canaries=frozenset({"bird"})))
    async with site_with(tmp_path, monkeypatch, inspector) as site:
        job = await site.done(await site.add(WRITES, [FILE, FOLDER], policy=policy))
        assert released(job) == {"answer.txt", "notes.log", "algorithm.log"}
    (request,) = inspector.requests
    assert (request.leaks, request.counts) == (policy.leaks, policy.counts)
    assert [(file.path, file.type, file.size) for file in request.files] == [
        ("algorithm.log", "algorithmLog", 21),
        ("notes.log", "algorithmLog", 5),
        ("answer.txt", "output", 2),
    ]
    assert request.files[2].sha256 == hashlib.sha256(b"42").hexdigest()
    people, more = request.inputs
    assert (people.dataset, people.place, people.name) == (DID, tmp_path / "data" / "people.csv", "people.csv")
    assert (more.dataset, more.place, more.name) == (DID, tmp_path / "data" / "more", "more")
    assert inspector.prepared == [request.inputs]


async def test_the_name_of_an_inputs_content_changes_with_it_deep_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = NullInspector()
    async with site_with(tmp_path, monkeypatch, inspector) as site:
        for text in ("name\nBob\n", "name\nBob\n", "name\nBea\n"):
            place = tmp_path / "data" / "more" / "a.csv"
            if place.read_text() != text:
                place.write_text(text)
            await site.done(await site.add(WRITES, [FOLDER], policy=CHECKED))
    first, again, changed = [inputs[0].digest for inputs in inspector.prepared]
    assert first == again != changed


@pytest.mark.parametrize("inspector", [NullInspector(failure="crashed"), NullInspector(rows=((DID, 3),))])
async def test_without_a_clean_inspection_nothing_of_the_algorithms_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inspector: NullInspector
) -> None:
    async with site_with(tmp_path, monkeypatch, inspector) as site:
        job_id = await site.add(WRITES, [FILE], policy=replace(CHECKED, review=ReviewRules(ReviewMode.NONE)))
        job = await site.done(job_id)
    assert released(job) == set()
    reasons = {verdict.reason for verdict in job.verdicts if not verdict.released}
    assert reasons == ({"leaked_elsewhere"} if inspector.rows else {"not_inspected"})


async def test_outputs_whose_inputs_are_not_known_any_more_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = NullInspector()
    code = (
        "import os, time\nwhile os.path.getsize(os.environ['INPUTS'] + '/' + 'a' * 64 + '/0') < 10: time.sleep(0.01)\n"
    )
    async with site_with(tmp_path, monkeypatch, inspector) as site:
        job_id = await site.add(code + WRITES, [FILE], policy=replace(CHECKED, review=ReviewRules(ReviewMode.NONE)))
        await site.until(job_id, lambda job: job.phase is Phase.RUNNING)
        (site.cove.parts.workspace(job_id) / "inputs.json").unlink()
        (tmp_path / "data" / "people.csv").write_text("name\nAda\nBob\n")
        job = await site.done(job_id)
    assert released(job) == set()
    assert not inspector.requests


@pytest.mark.parametrize(("logs", "names", "log"), [
    (LogRules(LogMode.FULL, 9), {"answer.txt", "notes.log", "algorithm.log"}, "first line\nlast line\n"),
    (LogRules(LogMode.TAIL, 12), {"answer.txt", "algorithm.log"}, "last line\n"),
    (LogRules(LogMode.TAIL, 10), {"answer.txt", "algorithm.log"}, "last line\n"),
    (LogRules(LogMode.TAIL, 9), {"answer.txt", "algorithm.log"}, ""),
    (LogRules(LogMode.TAIL, 100), {"answer.txt", "algorithm.log"}, "first line\nlast line\n"),
    (LogRules(LogMode.OFF, 9), {"answer.txt"}, None),
])  # fmt: skip
async def test_of_the_log_as_much_leaves_as_its_mode_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: LogRules, names: set[str], log: str | None
) -> None:
    inspector = NullInspector()
    async with site_with(tmp_path, monkeypatch, inspector) as site:
        job = await run(site, replace(CHECKED, logs=logs))
        assert released(job) == names
        if log is not None:
            assert await site.text(job, "algorithm.log") == log
            (looked,) = [file for file in inspector.requests[0].files if file.path == "algorithm.log"]
            assert (looked.size, looked.sha256) == (len(log), hashlib.sha256(log.encode()).hexdigest())
    assert site.left_behind() == []


SECRET = "Ada-Lovelace-1815"
TELLS = f"""import os, sys
open(os.environ["OUTPUTS"] + "/{SECRET}.txt", "w").write("{SECRET}")
os.symlink("/etc/passwd", os.environ["OUTPUTS"] + "/link-{SECRET}")
os.mkdir(os.environ["LOGS"] + "/{SECRET}")
open(os.environ["LOGS"] + "/{SECRET}/{SECRET}.log", "w").write("{SECRET}")
print("{SECRET}", flush=True)
print("{SECRET}", file=sys.stderr, flush=True)
"""
ENDS = {
    "exit": "sys.exit(7)",
    "exception": f"raise SystemExit('{SECRET}')",
    "signal": "os.kill(os.getpid(), 9)",
    "memory": "held = []\nwhile True: held.append(bytearray(1 << 20))",
    "good": "",
    "renamed": f"import ctypes; ctypes.CDLL(None).prctl(15, b'{SECRET[:15]}', 0, 0, 0); os.abort()",
}


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_that_was_not_released_is_said_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    """Neither in a status, nor in a message, nor in a log of the service's or the job's."""
    inspector = NullInspector(failure="crashed")
    with caplog.at_level(logging.DEBUG):
        async with site_with(tmp_path, monkeypatch, inspector) as site:
            job = await run(site, replace(CHECKED, review=ReviewRules(ReviewMode.NONE)), TELLS + ENDS[end])
            (view,) = await site.cove.jobs.find(JobQuery(job_id=job.id))
            shown = [status.full(view, 1.0), status.reduced(view, "handle"), status.moved(view.job)]
            texts = [await site.text(job, result.filename) for result in job.results]
    assert released(job) == set()
    said = json.dumps([shown, texts]) + caplog.text
    assert SECRET[:15] not in said
    assert "passwd" not in said
    wanted = {
        "exit": "exit_code_7",
        "exception": "exit_code_1",
        "signal": "signal_9",
        "good": "",
        "renamed": "signal_6",
    }
    assert job.reason == wanted.get(end, job.reason)
