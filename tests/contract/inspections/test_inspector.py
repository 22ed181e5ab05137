"""What ``cove.ports.Inspector`` promises, by the real one with its real processes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.leaking import as_csv, part
from tests.support.schemas import people

from cove.core.inspection import Inspection
from cove.core.releasepolicy import CountRules, LeakRules
from cove.leaks import LeakInspector, LeakLimits, open_inspector
from cove.leaks.inspector import HOLDS
from cove.ports import IndexedInput, InspectedFile, InspectionRequest, Inspector

KEY = bytes(range(32))
ROWS = 3000
TABLE = people(ROWS)


class Site:
    """A data set, what a job wrote, and an Inspector."""

    def __init__(self, folder: Path, limits: LeakLimits) -> None:
        self.folder = folder
        self.limits = limits
        self.inspector = self.open()
        self.input = self.write("people.csv", as_csv(TABLE))
        self.leaks = LeakRules()

    def open(self, key: bytes = KEY) -> LeakInspector:
        return open_inspector(self.folder / "cache", key, self.limits)

    def write(self, name: str, content: bytes) -> Path:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return place

    def indexed(self, dataset: str = "did:op:1") -> IndexedInput:
        return IndexedInput(dataset, self.input, "digest-1", "people.csv")

    def output(self, name: str, content: bytes, kind: str = "output") -> InspectedFile:
        place = self.write(f"outputs/{name}", content)
        return InspectedFile(name, kind, place, len(content), hashlib.sha256(content).hexdigest())

    def request(self, *files: InspectedFile) -> InspectionRequest:
        return InspectionRequest(files, (self.indexed(),), self.leaks, CountRules())

    async def inspect(self, *files: InspectedFile) -> Inspection:
        return await self.inspector.inspect(self.request(*files))

    def cached(self) -> list[Path]:
        return sorted((self.folder / "cache").glob("*/[!.]*"))


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., Site]]:
    made: list[Site] = []

    def a_site(**limits: float) -> Site:
        made.append(Site(tmp_path / str(len(made)), replace(LeakLimits(), **limits)))  # type: ignore[arg-type]
        return made[-1]

    yield a_site
    for site in made:
        await site.inspector.close()


@pytest.fixture
def site(make: Callable[..., Site]) -> Site:
    return make()


async def test_it_is_an_inspector(site: Site) -> None:
    inspector: Inspector = site.inspector
    leak = site.output("a.csv", as_csv(part(TABLE, slice(0, 9))))
    innocent = site.output("b.txt", b"accuracy 0.87\n")
    log = site.output("log", b"done\n", "algorithmLog")
    found = await inspector.inspect(site.request(leak, innocent, log))
    assert not found.failure
    assert found.rows == (("did:op:1", 9),)
    assert [(report.path, report.type, report.matched_rows) for report in found.files] == [
        ("a.csv", "output", 9), ("b.txt", "output", 0), ("log", "algorithmLog", 0),
    ]  # fmt: skip
    assert [report.sha256 for report in found.files] == [leak.sha256, innocent.sha256, log.sha256]
    assert found.files[0].content_type == "text/csv"
    assert found.files[0].rows == 9


async def test_prepare_makes_the_index_before_it_is_asked_for(site: Site) -> None:
    site.inspector.prepare([site.indexed()], site.leaks)
    assert (await site.inspect(site.output("log", b"x"))).failure == ""
    assert len(site.cached()) == 1
    site.input.unlink()
    assert (await site.inspect(site.output("log", b"x"))).failure == ""


async def test_an_index_is_used_again_by_another_service_of_the_same_key(site: Site) -> None:
    await site.inspect(site.output("log", b"x"))
    site.input.unlink()
    other = site.open()
    leak = site.output("a.csv", as_csv(part(TABLE, slice(0, 9))))
    assert (await other.inspect(site.request(leak))).rows == (("did:op:1", 9),)
    await other.close()


async def test_what_is_cached_says_nothing(site: Site) -> None:
    await site.inspect(site.output("log", b"x"))
    (place,) = site.cached()
    content = place.read_bytes()
    for text in (b"income", b"did:op:1", b"people", b"plan", b"Rome"):
        assert text not in content
        assert text not in os.fsencode(place.relative_to(site.folder))


@pytest.mark.parametrize("damage", ["cut", "changed", "foreign", "empty"])
async def test_a_damaged_index_is_made_again(site: Site, damage: str) -> None:
    await site.inspect(site.output("log", b"x"))
    (place,) = site.cached()
    content = bytearray(place.read_bytes())
    if damage == "changed":
        content[len(content) // 2] ^= 1
    place.write_bytes({"cut": bytes(content[:-20]), "foreign": b"x" * 5000, "empty": b""}.get(damage, bytes(content)))
    other = site.open()
    leak = site.output("a.csv", as_csv(part(TABLE, slice(0, 9))))
    assert (await other.inspect(site.request(leak))).rows == (("did:op:1", 9),)
    await other.close()


async def test_an_index_of_another_key_is_not_used(site: Site) -> None:
    await site.inspect(site.output("log", b"x"))
    other = site.open(bytes(32))
    leak = site.output("a.csv", as_csv(part(TABLE, slice(0, 9))))
    assert (await other.inspect(site.request(leak))).rows == (("did:op:1", 9),)
    await other.close()
    assert len(site.cached()) == 2


async def test_forgetting_a_dataset_removes_its_indexes(site: Site) -> None:
    await site.inspect(site.output("log", b"x"))
    assert await site.inspector.forget("did:op:2") == 0
    assert await site.inspector.forget("did:op:1") == 1
    assert not site.cached()
    site.input.unlink()
    assert (await site.inspect(site.output("log", b"x"))).failure == "index"


async def test_the_owner_is_told_what_holds_its_processes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = await site.inspector.examine()
    held = site.inspector.held
    assert (finding.part, finding.ok) == ("leak check", set(held) == set(HOLDS))
    assert all((HOLDS[name] in finding.seen) == (name in held or not finding.ok) for name in HOLDS)
    monkeypatch.setattr("cove.leaks.inspector.HOLDS", HOLDS | {"moat": "the moat"})
    (finding,) = await site.inspector.examine()
    assert not finding.ok
    assert "not the moat" in finding.seen or "the moat" in finding.advice


async def test_the_owner_is_told_that_nothing_can_be_looked_into(site: Site) -> None:
    await site.inspector.close()
    (finding,) = await site.inspector.examine()
    assert (finding.ok, finding.seen) == (False, "Looking at nothing failed: crashed.")


async def test_datasets_that_have_indexes_are_told_to_whoever_has_the_key(site: Site) -> None:
    assert await site.inspector.datasets() == []
    await site.inspect(site.output("a.txt", b"nothing"))
    assert await site.inspector.datasets() == ["did:op:1"]
    others = site.open(b"other key of 32 bytes, or so it is")
    assert await others.datasets() == []
    await others.close()
    await site.inspector.forget("did:op:1")
    assert await site.inspector.datasets() == []


async def test_the_cache_has_a_size(make: Callable[..., Site]) -> None:
    site = make(cache_bytes=400_000)
    for number in range(4):
        site.input = site.write(f"in{number}.csv", as_csv(people(ROWS, seed=number)))
        wanted = IndexedInput(f"did:op:{number}", site.input, f"digest {number}")
        await site.inspector.inspect(replace(site.request(site.output("log", b"x")), inputs=(wanted,)))
    assert site.cached()
    assert sum(place.stat().st_size for place in site.cached()) <= 400_000


async def test_identifiers_make_another_index(site: Site) -> None:
    await site.inspect(site.output("log", b"x"))
    site.leaks = LeakRules(identifiers=frozenset({"income"}), canaries=frozenset({"bird"}))
    income = str(TABLE["income"][5])
    found = await site.inspect(site.output("log", f"it was {income}, said a BIRD".encode()))
    assert (found.matched_rows, found.files[0].canaries) == (1, 1)
    assert len(site.cached()) == 2


async def test_a_folder_is_all_files_below_it(site: Site) -> None:
    for place in range(70):
        site.write(f"data/{place % 3}/{place}.csv", as_csv(part(TABLE, slice(place * 40, place * 40 + 40))))
    wanted = IndexedInput("did:op:1", site.folder / "data", "folder")
    leak = site.output("a.csv", as_csv(part(TABLE, slice(100, 400))))
    found = await site.inspector.inspect(replace(site.request(leak), inputs=(wanted,)))
    assert found.rows == (("did:op:1", 300),)


async def test_datasets_are_told_apart(site: Site) -> None:
    other = people(ROWS, seed=9)
    place = site.write("other.csv", as_csv(other))
    inputs = (site.indexed(), IndexedInput("did:op:2", place, "digest-2"))
    leak = site.output("a.csv", as_csv(part(TABLE, slice(0, 4))) + as_csv(part(other, slice(0, 6))))
    found = await site.inspector.inspect(replace(site.request(leak), inputs=inputs))
    assert found.rows == (("did:op:1", 4), ("did:op:2", 6))


async def test_no_check_compares_nothing_but_looks_all_the_same(site: Site) -> None:
    site.leaks = LeakRules(check=False)
    found = await site.inspect(site.output("a.csv", as_csv(part(TABLE, slice(0, 9)))))
    assert (found.failure, found.rows, found.files[0].rows) == ("", (), 9)


class TestWhatAlgorithmsDo:
    """A failure is in the answer, and the next job is looked into as if nothing had been."""

    async def good(self, site: Site) -> None:
        leak = site.output("good.csv", as_csv(part(TABLE, slice(0, 9))))
        assert (await site.inspect(leak)).rows == (("did:op:1", 9),)

    async def test_a_file_that_changed(self, site: Site) -> None:
        for content in (b"other", b"same size"):
            file = site.output("a", b"surveyed!")
            file.place.write_bytes(content)
            assert (await site.inspect(file)).failure == "changed"
        await self.good(site)

    async def test_a_link_a_pipe_a_folder_in_place_of_a_file(self, site: Site) -> None:
        for make in (lambda place: place.symlink_to(site.input), os.mkfifo, os.mkdir, lambda _: None):
            file = site.output("a", b"surveyed!")
            file.place.unlink()
            make(file.place)
            assert (await site.inspect(file)).failure == "changed"
            if file.place.is_dir():
                file.place.rmdir()
            else:
                file.place.unlink(missing_ok=True)
        await self.good(site)

    async def test_files_without_number(self, site: Site) -> None:
        files = [site.output(f"{place}", b"%d" % place) for place in range(2000)]
        found = await site.inspect(*files)
        assert (found.failure, len(found.files)) == ("", 2000)

    async def test_names_that_are_no_text(self, site: Site) -> None:
        name = os.fsdecode(b"a\xff\xfe\n.csv")
        found = await site.inspect(site.output(name, as_csv(part(TABLE, slice(0, 9)))))
        assert (found.failure, found.files[0].path, found.matched_rows) == ("", name, 9)

    async def test_too_much_memory(self, make: Callable[..., Site]) -> None:
        site = make(memory=160 << 20)
        content = b"[" + b"[1,2],[3,4]," * 3_000_000 + b"0]"
        assert (await site.inspect(site.output("a.json", content))).failure in {"memory", "crashed"}
        await self.good(site)

    async def test_too_much_time(self, make: Callable[..., Site]) -> None:
        site = make()
        await self.good(site)
        slow = open_inspector(site.folder / "cache", KEY, replace(site.limits, seconds=0.2))
        content = as_csv(people(200_000, seed=4))
        found = await slow.inspect(site.request(site.output("a.csv", content)))
        assert found.failure in {"time", "crashed"}
        await slow.close()

    async def test_a_large_file_is_named_and_not_read(self, make: Callable[..., Site]) -> None:
        site = make(file_bytes=1000)
        found = await site.inspect(site.output("a.csv", as_csv(part(TABLE, slice(0, 500)))))
        assert (found.failure, found.files[0].opaque) == ("", "too_large")

    async def test_the_waiting_process_is_killed(self, site: Site) -> None:
        await self.good(site)
        pid = site.inspector._template.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await self.good(site)


async def test_an_input_that_nobody_can_read_is_known_by_its_bytes(site: Site) -> None:
    content = b"PK\x03\x04" + os.urandom(100_000)
    wanted = IndexedInput("did:op:1", site.write("in.zip", content), "digest-zip")
    found = await site.inspector.inspect(
        replace(site.request(site.output("a", content[30_000:80_000])), inputs=(wanted,))
    )
    assert found.matched_rows > 20


async def test_an_input_that_is_not_there_is_a_failure(site: Site) -> None:
    site.input.unlink()
    found = await site.inspect(site.output("log", b"x"))
    assert (found.failure, found.files) == ("index", ())


async def test_closing_gives_what_is_under_way_as_failed(site: Site) -> None:
    await site.inspect(site.output("log", b"x"))
    file = site.output("a.csv", as_csv(people(300_000, seed=4)))
    under_way = asyncio.create_task(site.inspector.inspect(site.request(file)))
    await asyncio.sleep(0)
    await site.inspector.close()
    found = await asyncio.wait_for(under_way, 120)
    assert found.failure or found.files
    assert (await site.inspect(site.output("log", b"x"))).failure == "crashed"


async def test_the_idle_process_ends(make: Callable[..., Site]) -> None:
    site = make(idle_seconds=0.05)
    await site.inspect(site.output("log", b"x"))
    process = site.inspector._template._process
    assert process is not None
    assert await asyncio.to_thread(process.wait, 30) == 0
    assert (await site.inspect(site.output("log", b"x"))).failure == ""
