"""``cove submit --mock`` and ``cove mock make``: a sample is made, and a job is tried on it without an order."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pyarrow import csv
from tests.functional.cli.conftest import House
from tests.support.policies import UNCHECKED_FILE
from tests.support.programs import cove

CODE = """import json, os
where = '/data/inputs/' + json.loads(os.environ['DIDS'])[0] + '/0'
text = open(where).read()
print(text)
open(os.environ['OUTPUTS'] + '/all.csv', 'w').write(text)
open(os.environ['OUTPUTS'] + '/more.csv', 'w').write('1')
"""


def test_a_job_is_tried_on_a_sample_that_the_owner_made(house: House) -> None:
    made = cove(
        "mock", "make", house.owner / "data" / "table.csv", "-o", house.owner / "policies" / "sample.csv", "--rows", "3"
    )
    assert made.returncode == 0, made.stderr
    sample = (house.owner / "policies" / "sample.csv").read_text()
    assert [line.isdigit() for line in sample.splitlines()] == [False, True, True, True]
    rules = UNCHECKED_FILE.replace("default = true", f'dataset = "{house.dataset.did}"\n')
    text = f'{rules}[logs]\nmode = "live"\n[outputs]\nfiles = 1\n[mock]\nfiles = ["sample.csv"]\n'
    (house.owner / "policies" / "mock.toml").write_text(text)
    try:
        (house.folder / "mock.py").write_text(CODE)
        given = ("submit", "--dataset", house.dataset.did, "--raw", "mock.py", "--mock", "--wait")
        ended = house.consumer(*given, "--json")
        assert ended.returncode == 0, ended.stderr
        job = json.loads(ended.stdout)
        assert (job["mock"], job["agreementId"]) == (True, "")
        assert house.consumer("logs", job["jobId"]).stdout == f"{sample}\n"
        shown = house.consumer("status", job["jobId"]).stdout
        assert "on samples; nothing private was read" in shown
        listed = house.consumer("results", job["jobId"]).stdout
        assert "On real data" in listed
        assert "refused" in listed
        found = {
            one["filename"]: one["wouldBe"]
            for one in json.loads(house.consumer("results", job["jobId"], "--json").stdout)
        }
        assert (found["all.csv"], found["more.csv"]) == ("released", "refused")
        assert house.consumer("results", job["jobId"], "--out", "mocked").returncode == 0
        assert "Mock run" in house.consumer("verify", "mocked/receipt.json", "mocked/all.csv").stdout
        assert "(mock)" in house.consumer("status").stdout
    finally:
        (house.owner / "policies" / "mock.toml").unlink()
    refused = house.consumer(*given)
    assert refused.returncode == 3
    assert "no_sample" in refused.stderr
    assert "gives no synthetic sample" in refused.stderr


PEOPLE = "id,name,ward,born,weight\n" + "".join(
    f"{n},Person {n * 7},{'north' if n % 2 else 'south'},19{n % 90 + 10}-01-02,{50 + n / 7:.2f}\n" for n in range(200)
)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text(PEOPLE)
    return tmp_path


def test_a_sample_is_made_and_says_what_it_gives_away(people: Path) -> None:
    ended = cove("mock", "make", "people.csv", cwd=people)
    assert (ended.returncode, ended.stdout) == (0, "sample.csv\n")
    assert "names and types of its 5 columns" in " ".join(ended.stderr.split())
    made, given = (csv.read_csv(people / name) for name in ("sample.csv", "people.csv"))
    assert (made.schema, made.num_rows) == (given.schema, 100)
    for name in ("name", "ward", "born"):
        assert set(made[name].to_pylist()) & set(given[name].to_pylist()) == set()
    ended = cove("mock", "make", "people.csv", cwd=people)
    assert (ended.returncode, ended.stderr) == (
        2, "Error: The file sample.csv is there already.\nHint: Give --force to replace it.\n",
    )  # fmt: skip
    kept = ("--keep-categories", "ward", "--seed", "7", "--rows", "20", "--force", "--json")
    first, second = (json.loads(cove("mock", "make", "people.csv", *kept, cwd=people).stdout) for _ in range(2))
    assert (first, first["rows"], first["columns"][2]["labels"]) == (second, 20, ["south", "north"])
    assert "The labels of ward are the table's own" in first["reveals"]
    assert set(csv.read_csv(people / "sample.csv")["ward"].to_pylist()) == {"north", "south"}
    assert cove("mock", "make", "people.csv", "-o", "people.parquet", cwd=people).returncode == 0


@pytest.mark.parametrize(
    ("content", "arguments", "sentence"),
    [
        (b"", (), "t.csv is no table that is read here (text/plain)."),
        (b"a,b\n", (), "The table has no rows, so that there is no form to go by."),
        (b"\x00\x01" * 99, (), "t.csv is no table that is read here (application/octet-stream)."),
        (b"PAR1 and no more", (), "The table t.csv is broken: it cannot be read to its end as Parquet."),
        (b'{"a": 1}\n{"a": [1]}\n', (), "The table t.csv is broken: it cannot be read to its end as JSON lines."),
        (b"[1, 2]", (), "The table t.csv is no list of records, which are objects of names and values."),
        (b"\x1f\x8b\x08rest", (), "t.csv is no table that is read here (application/gzip)."),
        (b"a,b\n1,2\n", ("-o", "x.doc"), "The ending of x.doc says no form of a table."),
        (b"a,b\n1,2\n", ("-o", "t.csv", "--force"), "t.csv is the table itself."),
        (b"a,b\n1,2\n", ("-o", "nowhere/x.csv"), "The file nowhere/x.csv cannot be written: No such file or directory."),
        (b"a,b\n1,2\n", ("--keep-categories", "c"), "The table has no column 'c'."),
        (b"a,b\n" + b"".join(b"%d,2\n" % n for n in range(200)), ("--keep-categories", "a"), "Column 'a' has more than 100 different values, which are no categories."),
        (b"a,b\n" + b"1,2\n" * 20_000 + b"1,secret\xff\xfe\x80\n", (), "The table t.csv is broken: it cannot be read to its end as CSV."),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told_in_one_sentence(
    tmp_path: Path, content: bytes, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    ended = cove("mock", "make", "t.csv", *arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (2, f"Error: {sentence}")
    assert {entry.name for entry in tmp_path.iterdir()} == {"t.csv"}


def test_a_table_that_is_not_there_or_would_wait_for_ever(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in cove("mock", "make", "none.csv", cwd=tmp_path).stderr
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is no regular file" in cove("mock", "make", "pipe.csv", cwd=tmp_path).stderr


def test_rows_of_another_width_are_passed_over_and_numbers_are_no_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("7,abc\n1,def\n1,2,3\n2,ghi\n")
    assert cove("mock", "make", "t.csv", "--rows", "2", cwd=tmp_path).returncode == 0
    assert "abc" not in (tmp_path / "sample.csv").read_text()
    assert len((tmp_path / "sample.csv").read_text().splitlines()) == 2
