"""What every result store must do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.outputs import released, written

from cove.core.errors import NotFound, StaleWrite
from cove.core.job import JobId
from cove.core.policy import ALGORITHM_LOG
from cove.ports import ResultStore
from cove.results import RESULTS

JOB = JobId("0123456789abcdef" * 2)
OTHER = JobId("f" * 32)


@pytest.fixture(params=sorted(RESULTS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ResultStore:
    makers = {"disk": lambda: RESULTS["disk"](tmp_path / "results")}
    return makers[request.param]()


async def read(store: ResultStore, key: str, offset: int = 0, length: int = 1 << 40) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, offset, length)])


async def put(
    store: ResultStore, folder: Path, name: str, content: bytes, *, job: JobId = JOB, attempt: int = 1
) -> str:
    place = written(folder / "outputs" / "source", content)
    return store.put(job, attempt, released(name, content), lambda: place)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_500_000])
async def test_a_file_comes_back_byte_for_byte(store: ResultStore, tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    key = await put(store, tmp_path, "a/b.bin", content[:size])
    assert await read(store, key) == content[:size]
    assert await read(store, key, 0, size) == content[:size]


async def test_parts_come_in_bounded_chunks(store: ResultStore, tmp_path: Path) -> None:
    content = bytes(range(250)) * 80_000
    key = await put(store, tmp_path, "a", content)
    chunks = [chunk async for chunk in store.read(key, 5, 19_000_000)]
    assert b"".join(chunks) == content[5:19_000_005]
    assert all(0 < len(chunk) <= 1 << 22 for chunk in chunks)
    assert await read(store, key, 19_999_990, 100) == content[-10:]
    assert await read(store, key, 20_000_000, 1) == await read(store, key, 90_000_000, 1) == b""
    assert await read(store, key, 3, 0) == b""


async def test_files_of_other_names_types_attempts_and_jobs_are_kept_apart(store: ResultStore, tmp_path: Path) -> None:
    keys = [
        await put(store, tmp_path, "a", b"1"),
        await put(store, tmp_path, "b", b"2"),
        await put(store, tmp_path, "a", b"3", attempt=2),
        await put(store, tmp_path, "a", b"4", job=OTHER),
    ]
    log = written(tmp_path / "log", b"5")
    keys.append(store.put(JOB, 1, released("a", b"5", ALGORITHM_LOG), lambda: log))
    assert [await read(store, key) for key in keys] == [b"1", b"2", b"3", b"4", b"5"]
    assert len(set(keys)) == 5


async def test_a_put_may_be_repeated_even_when_the_source_is_gone(store: ResultStore, tmp_path: Path) -> None:
    key = await put(store, tmp_path, "a", b"content")
    gone = tmp_path / "not" / "there"
    assert store.put(JOB, 1, released("a", b"content"), lambda: gone) == key
    assert await put(store, tmp_path, "a", b"content") == key
    assert await read(store, key) == b"content"


async def test_two_puts_at_the_same_time_are_one(store: ResultStore, tmp_path: Path) -> None:
    place = written(tmp_path / "source", b"content")
    place.chmod(0o600)
    output = released("a", b"content")

    def overtaken() -> Path:
        store.put(JOB, 1, output, lambda: place)  # takes the source with it
        return place

    key = store.put(JOB, 1, output, overtaken)
    assert await read(store, key) == b"content"


async def test_a_later_put_of_the_same_path_replaces_the_earlier(store: ResultStore, tmp_path: Path) -> None:
    key = await put(store, tmp_path, "a", b"earlier and longer")
    assert await put(store, tmp_path, "a", b"later") == key
    assert await read(store, key) == b"later"


@pytest.mark.parametrize("found", [b"contenT", b"content and more", b"short", b""])
async def test_other_bytes_than_those_released_are_refused(store: ResultStore, tmp_path: Path, found: bytes) -> None:
    place = written(tmp_path / "source", found)
    with pytest.raises(StaleWrite):
        store.put(JOB, 1, released("a", b"content"), lambda: place)
    assert list(await store.jobs()) == []


async def test_a_refused_file_leaves_the_stored_one_alone(store: ResultStore, tmp_path: Path) -> None:
    key = await put(store, tmp_path, "a", b"content")
    place = written(tmp_path / "source", b"forged")
    with pytest.raises(StaleWrite):
        store.put(JOB, 1, released("a", b"larger"), lambda: place)
    assert await read(store, key) == b"content"


@pytest.mark.parametrize(
    "key", ["", "a", "..", "../x", f"{JOB}/1-{'0' * 32}", f"{JOB}/1/../1", "/etc/passwd", f"{JOB}/1/", "a\0b", "\ud800"]
)
async def test_a_key_that_was_never_given_finds_nothing(store: ResultStore, tmp_path: Path, key: str) -> None:
    await put(store, tmp_path, "a", b"content")
    with pytest.raises(NotFound):
        await read(store, key)


async def test_jobs_are_listed_and_deleted_whole(store: ResultStore, tmp_path: Path) -> None:
    assert list(await store.jobs()) == []
    keys = [await put(store, tmp_path, name, b"x") for name in "ab"] + [await put(store, tmp_path, "a", b"", attempt=2)]
    kept = await put(store, tmp_path, "a", b"kept", job=OTHER)
    assert sorted(await store.jobs()) == [JOB, OTHER]
    await store.delete(JOB)
    await store.delete(JOB)
    for key in keys:
        with pytest.raises(NotFound):
            await read(store, key)
    assert list(await store.jobs()) == [OTHER]
    assert await read(store, kept) == b"kept"
    await store.delete(JobId("../outputs"))
    assert await read(store, kept) == b"kept"


async def test_a_look_finds_it_well(store: ResultStore) -> None:
    findings = await store.examine()
    assert findings
    assert all(finding.seen for finding in findings)
