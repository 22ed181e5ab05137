"""What a job does while another provider hangs, is gone, or gives something else than before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.http_server import serving
from tests.support.other_provider import OtherProvider
from tests.support.site import DID, INPUT, Site, settings

from cove.core.job import Outcome, PeerFiles
from cove.ports import JobQuery
from cove.wire import status_of
from cove.wiring.assembly import open_cove

READS = f"import os\nopen('/data/outputs/size', 'w').write(str(os.path.getsize('{INPUT}')))\n"
ALGORITHM = "did:op:" + "b" * 64
FILE = {"type": "local", "root": "data", "path": "table"}


@pytest.fixture
def other() -> Iterator[OtherProvider]:
    with serving() as server:
        yield OtherProvider(server, {DID: [b"12345"]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # runs of another user read what lies below
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table").write_text("1")
    return tmp_path


@pytest.fixture
async def site(folder: Path, other: OtherProvider) -> AsyncIterator[Site]:
    async with open_cove(settings(folder, url_files=allowed(other))) as cove:
        yield Site(cove)


def allowed(other: OtherProvider) -> dict[str, object]:
    return {"allowed": (f"127.0.0.1:{other.server.port}",)}


def files(other: OtherProvider) -> PeerFiles:
    return PeerFiles(other.url, "0x" + "1" * 64)


@pytest.mark.parametrize("hangs_in", ["body", "question"])
async def test_a_stop_does_not_wait_for_another_provider(site: Site, other: OtherProvider, hangs_in: str) -> None:
    other.hanging, other.silent = int(hangs_in == "body"), hangs_in == "question"
    job_id = await site.add(READS, files(other))
    assert await asyncio.to_thread(other.hung.wait, 120)
    job = await site.until(job_id, lambda job: job.phase == "provisioning")
    began = time.monotonic()
    await site.cove.jobs.stop(JobQuery(job_id=job_id, owner=job.owner))
    stopped = await site.done(job_id)
    assert time.monotonic() - began < 25
    assert stopped.outcome is Outcome.STOPPED
    assert site.left_behind() == []


async def test_a_download_that_a_crash_interrupted_is_begun_anew(folder: Path, other: OtherProvider) -> None:
    given = settings(folder, url_files=allowed(other))
    other.hanging = 1
    async with open_cove(given) as cove:
        job_id = await Site(cove).add(READS, files(other))
        assert await asyncio.to_thread(other.hung.wait, 120)
    async with open_cove(given) as cove:
        site = Site(cove)
        job = await site.done(job_id)
        assert (job.outcome, await site.text(job, "size")) == (Outcome.SUCCEEDED, "5")
    first, second = (int(asked["nonce"]) for asked in other.downloads)
    assert first < second


@pytest.mark.parametrize(("as_algorithm", "number", "did"), [(False, 31, DID), (True, 32, ALGORITHM)])
async def test_a_provider_that_is_gone(
    site: Site, other: OtherProvider, number: int, did: str, *, as_algorithm: bool
) -> None:
    with serving() as server:
        gone = PeerFiles(OtherProvider(server).url, "0x" + "1" * 64)
    # Its port is the one of the settings no more, and closed: neither an address nor a port may stand in what is told.
    job_id = await (site.add("", [FILE], algorithm=gone) if as_algorithm else site.add(READS, gone))
    job = await site.done(job_id)
    assert status_of(job)[0] == number
    log = await site.text(job, "configuration.log")
    assert did in log
    assert f"{did} is at another provider: " in job.message
    for told in (log, job.message, repr(job)):
        assert "127.0.0.1" not in told
        assert str(server.port) not in told


async def test_a_restart_fetches_again_and_says_what_changed(site: Site, other: OtherProvider) -> None:
    job_id = await site.add(READS, files(other))
    job = await site.done(job_id)
    assert job.outcome is Outcome.SUCCEEDED
    await site.cove.jobs.restart(job.owner, job_id, refresh_inputs=False)
    again = await site.until(job_id, lambda job: job.phase == "done" and job.attempt == 2)
    assert (again.outcome, len(other.downloads)) == (Outcome.SUCCEEDED, 2)
    other.files[DID] = [b"54321", b"more"]
    await site.cove.jobs.restart(job.owner, job_id, refresh_inputs=False)
    changed = await site.until(job_id, lambda job: job.phase == "done" and job.attempt == 3)
    assert (changed.outcome, changed.reason) == (Outcome.PROVIDER_FAILED, "inputs_changed")
    await site.cove.jobs.restart(job.owner, job_id, refresh_inputs=True)
    accepted = await site.until(job_id, lambda job: job.phase == "done" and job.attempt == 4)
    assert accepted.outcome is Outcome.SUCCEEDED
