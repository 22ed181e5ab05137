"""How jobs end when something is missing or full: the right outcome, a log that says what, and a service that goes on."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.answering import Answer, answering
from tests.support.ports import closed_port
from tests.support.site import INPUT, Site, settings

from cove.core.errors import NoSpace
from cove.core.job import Container, Outcome
from cove.ports import JobQuery
from cove.wire import status_of
from cove.wiring.assembly import open_cove

READS = f"import os\nopen('/data/outputs/size', 'w').write(str(os.path.getsize('{INPUT}')))\n"
SECRET_PATH = "/patients.csv?token=geheim"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root may mount a small disk: run as root")


@pytest.fixture
def closed() -> Iterator[str]:
    """Give an address that refuses connections."""
    with socket.socket() as holder:
        yield f"127.0.0.1:{closed_port(holder)}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # runs of another user read what lies below
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table").write_text("1")
    return tmp_path


@pytest.fixture
async def site(folder: Path, closed: str) -> AsyncIterator[Site]:
    async with open_cove(settings(folder, url_files={"allowed": (closed,)})) as cove:
        yield Site(cove)


def url_file(address: str) -> dict[str, object]:
    return {"type": "url", "url": f"http://{address}{SECRET_PATH}", "method": "GET"}


async def test_unreachable_data_ends_with_31_and_a_log_without_the_url(site: Site, closed: str) -> None:
    job = await site.done(await site.add(READS, [url_file(closed)]))
    assert (job.outcome, job.reason, status_of(job)[0]) == (Outcome.PROVIDER_FAILED, "data_unavailable", 31)
    assert job.finished_at is not None
    log = await site.text(job, "configuration.log")
    assert log.startswith(f"{INPUT}: ")
    for told in (log, job.message, repr(job)):
        assert closed not in told
        assert "geheim" not in told
    assert [result.type for result in job.results] == ["configurationLog", "publishLog"]
    assert site.left_behind() == []


async def test_an_unreachable_algorithm_ends_with_32(site: Site, closed: str) -> None:
    file = {"type": "local", "root": "data", "path": "table"}
    job = await site.done(await site.add("", [file], algorithm=[url_file(closed)]))
    assert (job.outcome, job.reason, status_of(job)[0]) == (Outcome.ALGORITHM_FAILED, "algorithm_unavailable", 32)
    log = await site.text(job, "configuration.log")
    assert "/data/transformations/algorithm: " in log
    assert "geheim" not in log + job.message


async def test_the_file_that_is_missing_is_named(site: Site) -> None:
    missing = {"type": "local", "root": "data", "path": "not-there"}
    job = await site.done(await site.add(READS, [{"type": "local", "root": "data", "path": "table"}, missing]))
    assert status_of(job)[0] == 31
    assert f"{INPUT[:-1]}1: " in await site.text(job, "configuration.log")


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    place = folder / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "none", str(place)], check=True)
    try:
        yield place / "state"
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@needs_root
async def test_a_full_disk_ends_the_job_and_not_the_service(folder: Path, small_disk: Path) -> None:
    with answering(lambda asked: Answer(b"x" * (20_000_000 if "large" in asked.path else 1000))) as url:
        address = url.removeprefix("http://")
        given = settings(folder, state_dir=small_disk, url_files={"allowed": (address,)})
        async with open_cove(given) as cove:
            site = Site(cove)
            large = {"type": "url", "url": f"{url}/large", "method": "GET"}
            small = {"type": "url", "url": f"{url}/small", "method": "GET"}
            job = await site.done(await site.add(READS, [large]))
            assert (job.outcome, job.reason) == (Outcome.PROVIDER_FAILED, "no_space")
            assert site.left_behind() == []
            writes = "import os\nopen('/data/outputs/large', 'wb').write(os.urandom(20_000_000))\n"
            job = await site.done(await site.add(writes, [small]))
            assert (job.outcome, job.reason) == (Outcome.PROVIDER_FAILED, "no_space")
            assert site.left_behind() == []
            job = await site.done(await site.add(READS, [small]))
            assert job.outcome is Outcome.SUCCEEDED
            assert await site.text(job, "size") == "1000"


@needs_root
async def test_a_note_for_which_there_is_no_space_is_no_mistake_of_ours(folder: Path, small_disk: Path) -> None:
    async with open_cove(settings(folder, state_dir=small_disk), loop=False) as cove:
        job_id = await Site(cove).add(READS, container=Container("cove/none", "", "", "python3 $ALGO"))
        job = await cove.parts.store.get(job_id)
        assert job is not None
        with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(bytes(1 << 12)):
                pass
        with pytest.raises(NoSpace):
            await cove.reconciler.steps.provision(job)
        (small_disk / "ballast").unlink()


@needs_root
async def test_a_run_that_fills_its_own_disk_harms_nobody(site: Site) -> None:
    files = [{"type": "local", "root": "data", "path": "table"}]
    fills = (
        "import errno\n"
        "try:\n"
        "    with open('/data/outputs/large', 'wb') as file:\n"
        "        while True: file.write(bytes(1 << 20))\n"
        "except OSError as problem:\n"
        "    print(errno.errorcode[problem.errno])\n"
        "    raise SystemExit(4)\n"
    )
    job = await site.done(await site.add(fills, files))
    assert (job.outcome, job.reason, job.exit_code) == (Outcome.ALGORITHM_FAILED, "exit_code_4", 4)
    assert await site.text(job, "algorithm.log") == "ENOSPC\n"


async def test_no_more_run_at_a_time_than_allowed_and_in_the_order_in_which_they_came(folder: Path) -> None:
    files = [{"type": "local", "root": "data", "path": "table"}]
    says = (
        "import json, time\nbegan = time.time()\nsum(range(1_000_000))\n"
        "json.dump([began, time.time()], open('/data/outputs/times', 'w'))\n"
    )
    async with open_cove(settings(folder, environment={"max_jobs": 1})) as cove:
        site = Site(cove)
        ids = [await site.add(says, files) for _ in range(6)]
        jobs = [await site.done(job_id) for job_id in ids]
        times = [json.loads(await site.text(job, "times")) for job in jobs]
    assert all(job.outcome is Outcome.SUCCEEDED for job in jobs)
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(times))


async def test_a_job_that_is_ready_and_waits_can_be_stopped(folder: Path) -> None:
    files = [{"type": "local", "root": "data", "path": "table"}]
    async with open_cove(settings(folder, environment={"max_jobs": 1})) as cove:
        site = Site(cove)
        long = await site.add("import time\ntime.sleep(300)", files)
        await site.until(long, lambda job: job.phase == "running")
        waiting = await site.add(READS, files)
        await site.until(waiting, lambda job: job.phase == "submitting")
        job = await cove.parts.store.get(waiting)
        assert job is not None
        await cove.jobs.stop(JobQuery(job_id=waiting, owner=job.owner))
        stopped = await site.done(waiting)
        assert (stopped.outcome, stopped.started_at) == (Outcome.STOPPED, None)
        await cove.jobs.stop(JobQuery(job_id=long, owner=job.owner))
        ended = await site.done(long)
        assert (ended.outcome, ended.reason) == (Outcome.STOPPED, "stopped")
        assert site.left_behind() == []
