"""Every form in which rows are carried out is found, nothing innocent is, and nothing hostile ends it."""

from __future__ import annotations

import gzip
import pickle
import zipfile
from io import BytesIO

import numpy as np
import pytest
from tests.support import leaking, schemas
from tests.support.leakcheck import DATASET, HASHING, index_of, scanner_of
from tests.support.leaking import as_csv, part, zipped
from tests.support.schemas import people

from cove.core.inspection import FileReport
from cove.core.releasepolicy import LeakRules
from cove.leaks.cells import Hashing
from cove.leaks.index import Index

LEAKED = 100


def look(index: Index, content: bytes, path: str = "result", kind: str = "output", **limits: int) -> FileReport:
    return scanner_of(index, **limits).file(path, kind, "", content)


@pytest.mark.parametrize("form", leaking.FORMS)
def test_rows_are_found_in_every_form(form: str, table: schemas.Table, index: Index) -> None:
    chosen = np.random.default_rng(3).choice(len(table["age"]), LEAKED, replace=False)
    scanner = scanner_of(index)
    found = scanner.file("result", "output", "", leaking.FORMS[form](part(table, chosen)))
    assert scanner.comparison.total() == ((DATASET, LEAKED),)
    assert found.matched_rows >= LEAKED
    assert not found.opaque


@pytest.mark.parametrize("form", leaking.INNOCENT)
def test_nothing_innocent_is_held(form: str, table: schemas.Table, index: Index) -> None:
    found = look(index, leaking.INNOCENT[form](table, people))
    assert not found.matches
    assert not found.opaque


def test_few_rows_over_many_files_add_up(table: schemas.Table, index: Index) -> None:
    scanner = scanner_of(index)
    reports = [
        scanner.file(f"{place}.csv", "output", "", as_csv(part(table, slice(place, place + 1)))) for place in range(100)
    ]
    assert {report.matched_rows for report in reports} == {1}
    assert scanner.comparison.total() == ((DATASET, 100),)


def test_the_same_rows_again_do_not_add_up(table: schemas.Table, index: Index) -> None:
    scanner = scanner_of(index)
    for place in range(5):
        scanner.file(f"{place}.csv", "output", "", as_csv(part(table, slice(0, 7))))
    assert scanner.comparison.total() == ((DATASET, 7),)


def test_a_row_in_a_name_is_found(table: schemas.Table, index: Index) -> None:
    row = "-".join(map(str, leaking.rows_of(part(table, slice(0, 1)))[0]))
    (match,) = look(index, b"nothing", path=f"plots/{row}.txt").matches
    assert (match.rows, match.where) == (1, "name")


def test_where_it_was_found_is_said(table: schemas.Table, index: Index) -> None:
    inner = zipped("inner.zip", zipped("table.csv", as_csv(part(table, slice(0, 5)))))
    assert [match.where for match in look(index, inner).matches] == ["inner.zip/table.csv"]


def test_examples_show_no_value(table: schemas.Table, index: Index) -> None:
    few = part(table, slice(0, 5))
    (match,) = look(index, as_csv(few)).matches
    assert match.examples
    words = {str(cell) for row in leaking.rows_of(few) for cell in row if len(str(cell)) > 1}
    assert not words & set(" ".join(match.examples).split())
    assert all(len(word.rstrip("*")) <= 1 for word in " ".join(match.examples).split())


def test_another_providers_index_knows_nothing(table: schemas.Table) -> None:
    index = index_of(as_csv(table))
    scanner = scanner_of(index)
    scanner._hashing = Hashing(bytes(32))
    assert not scanner.file("a.csv", "output", "", as_csv(part(table, slice(0, 50)))).matches
    assert HASHING.text("x") != Hashing(bytes(32)).text("x")


def test_tables_of_few_values_are_known_by_runs_of_rows() -> None:
    rng = np.random.default_rng(5)
    table = {name: rng.choice(list("abcde"), 5000) for name in ("ward", "drug", "dose", "sex", "grade", "stage")}
    index = index_of(as_csv(table))
    assert look(index, as_csv(part(table, slice(1000, 1100)))).matched_rows >= 80
    shuffled = part(dict(reversed(table.items())), slice(1000, 1100))
    assert look(index, as_csv(shuffled)).matched_rows >= 80
    other = {name: rng.choice(list("abcde"), 5000) for name in table}
    assert not look(index, as_csv(other)).matches


def test_a_table_of_middling_columns_is_known_by_pairs() -> None:
    rng = np.random.default_rng(6)
    table = {name: rng.integers(0, 2000, 20_000) for name in ("a", "b", "c", "d")}
    index = index_of(as_csv(table))
    assert look(index, as_csv(part(table, slice(0, 200)))).matched_rows == 200
    other = {name: rng.integers(0, 2000, 20_000) for name in table}
    assert not look(index, as_csv(other)).matches


def test_fine_numbers_are_known_by_their_digits() -> None:
    table = {name: np.random.default_rng(place).random(5000) / 100 for place, name in enumerate("abcde")}
    index = index_of(as_csv(table))
    assert look(index, as_csv(part(table, slice(0, 200)))).matched_rows == 200
    other = {name: np.random.default_rng(50 + place).random(5000) / 100 for place, name in enumerate("abcde")}
    assert not look(index, as_csv(other)).matches


def narrow(form: str, at: int, chance: np.random.Generator) -> tuple[object, ...]:
    amount = int(chance.integers(10_000, 99_999))
    match form:
        case "name and amount":
            return f"name {at:03d}", amount
        case "number and amount":
            return int(chance.integers(1_000_000)), amount
        case "place, name and amount":
            return at, f"name {at:03d}", amount
        case _:
            return at, f"name {at:03d}", 10_000 + 37 * at


@pytest.mark.parametrize(
    "form", ["name and amount", "number and amount", "place, name and amount", "place, name and what follows from it"]
)
@pytest.mark.parametrize("rows", [40, 300, 5000])
def test_copies_of_narrow_tables_are_found(form: str, rows: int) -> None:
    chance = np.random.default_rng(1)
    lines = [narrow(form, at, chance) for at in range(rows)]
    table = "".join(",".join(map(str, line)) + "\n" for line in [("a", "b", "c")[: len(lines[0])], *lines]).encode()
    assert look(index_of(table), table).matched_rows >= 0.99 * rows


def test_a_copy_of_a_meter_is_found_and_another_calendar_is_none() -> None:
    chance = np.random.default_rng(2)
    read_at = np.cumsum(chance.integers(30, 900, 500)) + 1_700_000_000
    used = np.cumsum(chance.random(500) * 3).round(2) + 8120.0
    meter = ("read_at,kwh\n" + "".join(f"{at},{kwh:.2f}\n" for at, kwh in zip(read_at, used, strict=True))).encode()
    assert look(index_of(meter), meter).matched_rows == 500
    days = [f"{number},{19_723 + number},{chance.integers(2)}\n" for number in range(600)]
    own, others = ("".join(["id,day,came\n", *part]).encode() for part in (days[:300], days[300:]))
    shifted = "".join(["id,day,came\n", *(f"{at},{19_723 + at},{chance.integers(2)}\n" for at in range(300))]).encode()
    assert not look(index_of(own), others).matches
    assert not look(index_of(own), shifted).matches


def test_a_value_of_two_columns_points_at_a_row_of_each() -> None:
    rng = np.random.default_rng(11)
    table = {
        "number": np.arange(1, 20_001),
        "zip": rng.integers(1, 12_000, 20_000),
        "visits": rng.integers(0, 60, 20_000),
    }
    index = index_of(as_csv(table))
    assert look(index, as_csv(part(table, slice(100, 1100)))).matched_rows == 1000


def test_texts_are_known_by_their_words() -> None:
    rng = np.random.default_rng(7)
    words = ["".join(rng.choice(list("abcdefghijk"), 6)) for _ in range(3000)]
    lines = [" ".join(rng.choice(words, 12)) for _ in range(500)]
    index = index_of("\n".join(lines).encode(), "notes.txt")
    assert look(index, ("Summary:\n" + "\n".join(lines[100:140])).encode()).matched_rows >= 40
    assert not look(index, " ".join(rng.choice(words, 5000)).encode()).matches


def test_bytes_are_known_by_their_chunks() -> None:
    content = np.random.default_rng(8).bytes(200_000)
    index = index_of(content, "scan.dcm")
    assert look(index, b"shifted" + content[50_000:120_000]).matched_rows > 50
    assert not look(index, np.random.default_rng(9).bytes(200_000)).matches


def test_identifiers_are_searched_one_by_one() -> None:
    table = people(500)
    table = {"Email": np.array([f"p{number}@example.org" for number in range(500)]), **table}
    table["name"] = np.array([f"Ada Nr{number} Lovelace" for number in range(500)])
    table["room"] = np.arange(500)
    index = index_of(as_csv(table), identifiers=frozenset({"email", "name", "room"}))
    assert look(index, b"sent to <p17@example.org> and P18@EXAMPLE.ORG").matched_rows == 2
    assert look(index, b"dear ada nr300 lovelace, ...").matched_rows == 1
    assert look(index, as_csv({"name": table["name"][:7]})).matched_rows == 7
    assert not look(index, b"17 18 19, example.org").matches


def test_canaries_are_found_wherever_they_are(table: schemas.Table, index: Index) -> None:
    leaks = LeakRules(canaries=frozenset({"Zz-Canary-91", "never"}))
    for content in (
        b"zz-canary-91",
        gzip.compress(b"x zz-canary-91 y"),
        b"19-yranac-zz",
        "Zz-Canary-91".encode("utf-16"),
        leaking.as_parquet({"a": ["x", "Zz-Canary-91"]}),
        pickle.dumps(["Zz-Canary-91"]),
        leaking.as_png(b"Zz-Canary-91"),
    ):
        assert scanner_of(index, leaks).file("a", "output", "", content).canaries == 1
    assert scanner_of(index, leaks).file("zz-canary-91.txt", "output", "", b"x").canaries == 1
    assert scanner_of(index, leaks).file("a", "output", "", b"zz-canary-9").canaries == 0


def test_small_groups_are_seen(table: schemas.Table, index: Index) -> None:
    counts = b"City,n\nRome,40\nOslo,3\n"
    assert look(index, counts).smallest_group == 3
    assert look(index, b"City,sex\nRome,m\nRome,m\nOslo,m\n").smallest_group == 1
    assert look(index, b"x,n\n1,2\n").smallest_group is None
    assert look(index, leaking.as_parquet({"CITY": ["a", "b"], "Count": [12, 11]})).smallest_group == 11


class TestWhatCannotBeLookedInto:
    """It is said, and nothing ends."""

    def test_bombs(self, index: Index) -> None:
        bomb = gzip.compress(bytes(50 << 20))
        assert look(index, bomb, unpacked_bytes=1 << 20).opaque == "bomb"
        assert look(index, zipped("a", bytes(50 << 20)), unpacked_bytes=1 << 20).opaque == "bomb"

    def test_many_members(self, index: Index) -> None:
        out = BytesIO()
        with zipfile.ZipFile(out, "w") as opened:
            for place in range(200):
                opened.writestr(str(place), b"x")
        assert look(index, out.getvalue(), members=100).opaque == "bomb"

    def test_deep_ones(self, index: Index, table: schemas.Table) -> None:
        content = as_csv(part(table, slice(0, 5)))
        for _ in range(3):
            content = gzip.compress(content)
        assert not look(index, content).opaque
        assert look(index, gzip.compress(content)).opaque == "too_deep"

    def test_pickles_in_pickles(self, index: Index) -> None:
        content = b"x" * 100
        for _ in range(40):
            content = pickle.dumps(content)
        assert look(index, content).opaque == "too_deep"

    def test_noise(self, index: Index) -> None:
        noise = np.random.default_rng(1).bytes(100_000)
        assert look(index, noise).opaque == "unknown"
        assert look(index, noise[:100]).opaque == ""

    @pytest.mark.parametrize("form", ["gzip", "zip", "tar", "xz", "bzip2", "zstd", "parquet", "excel", "sqlite", "npy"])
    def test_cut_off(self, form: str, index: Index, table: schemas.Table) -> None:
        content = leaking.FORMS[form](part(table, slice(0, 2000)))
        assert look(index, content[: len(content) * 2 // 3]).opaque in {"broken", "unknown"}

    def test_a_stream_that_is_cut_off_is_looked_into_all_the_same(self, index: Index, table: schemas.Table) -> None:
        content = gzip.compress(as_csv(part(table, slice(0, 2000))))
        found = look(index, content[:-8])
        assert found.opaque == "broken"
        assert found.matched_rows > 1500

    def test_json_that_is_deep(self, index: Index) -> None:
        assert look(index, b"[" * 100_000 + b"]" * 100_000).matches == ()

    def test_a_field_without_end(self, index: Index, table: schemas.Table) -> None:
        rows = as_csv(part(table, slice(0, 50)))
        found = look(index, rows + b'"' + b"x" * (3 << 20))
        assert found.matched_rows >= 49

    def test_a_pickle_is_not_run(self, index: Index) -> None:
        class Bad:
            def __reduce__(self) -> object:
                return (pytest.fail, ("a pickle was run",))

        look(index, pickle.dumps(Bad()))
        array = np.array([Bad()], dtype=object)
        out = BytesIO()
        np.save(out, array, allow_pickle=True)
        look(index, out.getvalue())

    def test_an_array_that_claims_more_than_it_has(self, index: Index) -> None:
        content = leaking.as_npy(np.zeros(4))
        assert look(index, content.replace(b"(4,)", b"(999999999999,)")).opaque == "broken"
