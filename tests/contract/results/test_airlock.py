"""What every airlock must do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.held import digest, held
from tests.support.outputs import written

from cove.core.errors import NotFound, StaleWrite
from cove.core.job import JobId
from cove.ports import Airlock
from cove.results import AIRLOCKS

JOB = JobId("0123456789abcdef" * 2)
OTHER = JobId("f" * 32)


@pytest.fixture(params=sorted(AIRLOCKS))
def airlock(request: pytest.FixtureRequest, tmp_path: Path) -> Airlock:
    makers = {"disk": lambda: AIRLOCKS["disk"](tmp_path / "airlock")}
    return makers[request.param]()


def put(airlock: Airlock, folder: Path, name: str, content: bytes, job: JobId = JOB) -> None:
    place = written(folder / "run" / "source", content)
    airlock.put(job, held(name, content), lambda: place)


async def read(airlock: Airlock, name: str, offset: int = 0, length: int = 1 << 40, job: JobId = JOB) -> bytes:
    return b"".join([chunk async for chunk in airlock.read(job, "output", name, offset, length)])


@pytest.mark.parametrize("name", ["a", "../../etc/passwd", "\udcff\0\n", "x" * 5000])
async def test_a_file_comes_back_whatever_it_is_called(airlock: Airlock, tmp_path: Path, name: str) -> None:
    content = bytes(range(251)) * 20_000
    put(airlock, tmp_path, name, content)
    airlock.settle(JOB)
    assert await read(airlock, name) == content
    assert await read(airlock, name, 5, 3) == content[5:8]
    assert airlock.look(JOB, "output", name) == (len(content), digest(content))
    assert airlock.place(JOB, "output", name).read_bytes() == content


async def test_a_put_may_be_repeated_when_its_source_is_gone(airlock: Airlock, tmp_path: Path) -> None:
    put(airlock, tmp_path, "a", b"one")
    airlock.put(JOB, held("a", b"one"), lambda: tmp_path / "gone")
    assert await read(airlock, "a") == b"one"


async def test_other_bytes_than_those_judged_are_refused(airlock: Airlock, tmp_path: Path) -> None:
    for found in (b"two", b"longer", b""):
        place = written(tmp_path / "run" / "source", found)
        with pytest.raises(StaleWrite):
            airlock.put(JOB, held("a", b"one"), lambda place=place: place)  # type: ignore[misc]
    with pytest.raises(StaleWrite):
        airlock.put(JOB, held("a", b"one"), lambda: tmp_path / "not there")
    (tmp_path / "link").symlink_to(written(tmp_path / "secret", b"one"))
    with pytest.raises(StaleWrite):
        airlock.put(JOB, held("a", b"one"), lambda: tmp_path / "link")
    assert list(await airlock.jobs()) == []


async def test_what_is_not_there_is_not_found(airlock: Airlock) -> None:
    with pytest.raises(NotFound):
        airlock.look(JOB, "output", "a")
    with pytest.raises(NotFound):
        await read(airlock, "a")
    airlock.settle(JOB)


async def test_what_changed_since_is_seen(airlock: Airlock, tmp_path: Path) -> None:
    put(airlock, tmp_path, "a", b"one")
    airlock.place(JOB, "output", "a").write_bytes(b"other")
    assert airlock.look(JOB, "output", "a") == (5, digest(b"other"))


async def test_jobs_are_kept_apart_and_deleted_whole(airlock: Airlock, tmp_path: Path) -> None:
    for job in (JOB, OTHER):
        put(airlock, tmp_path, "a", job.encode(), job)
    assert list(await airlock.jobs()) == [JOB, OTHER]
    await airlock.delete(JOB)
    await airlock.delete(JOB)
    await airlock.delete(JobId("../run"))
    assert list(await airlock.jobs()) == [OTHER]
    assert await read(airlock, "a", job=OTHER) == OTHER.encode()
