"""Descriptions of assets: what they mean, and that each mistake is told with file, line and field."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

from cove.cli.description import Described, DescriptionWrong, lines_of
from cove.client.trusting import NOBODY
from cove.core.errors import CoveError

DID = "did:op:" + "a" * 64
DATASET = f"""name = "Ten thousand patients"
description = "A table of a hospital."
author = "Hospital"
license = "https://example.org/terms"
tags = ["health"]
deny = ["0x1111111111111111111111111111111111111111"]

[[services]]
type = "compute"
timeout = 3600
trusted_algorithms = ["{DID}"]

[[services.files]]
type = "local"
root = "data"
path = "patients.csv"

[[services.files]]
type = "url"
url = "https://example.org/more.csv"
headers = {{ Authorization = "Bearer s3cret" }}

[[services.parameters]]
name = "unit"
type = "select"
options = ["mmHg", "kPa"]
default = "mmHg"

[price]
kind = "fixed"
amount = 2.5
token = "0x2222222222222222222222222222222222222222"
"""
ALGORITHM = """name = "Statistics"
description = "Means of a table."
author = "Somebody"
license = "MIT"
services = [{ type = "access", files = [{ type = "local", root = "data", path = "algorithm.py" }] }]

[algorithm]
language = "python"

[algorithm.container]
image = "python"
tag = "3.11"
checksum = "sha256:0000"
"""


def described(folder: Path, text: str, kind: Literal["dataset", "algorithm"] = "dataset") -> Described:
    path = folder / "asset.toml"
    path.write_text(text)
    return Described(path, kind)


def test_a_dataset_is_what_its_file_says(tmp_path: Path) -> None:
    found = described(tmp_path, DATASET)
    assert found.trusted == {DID}
    assert (found.price.kind, found.price.amount) == ("fixed", Decimal("2.5"))
    approval = {"did": DID, "filesChecksum": "1", "containerSectionChecksum": "2"}
    draft = found.draft("http://provider/", {DID: approval})
    (service,) = draft.services
    assert (draft.type, draft.tags, service.endpoint, service.timeout) == (
        "dataset",
        ("health",),
        "http://provider",
        3600,
    )
    assert service.compute is not None
    assert service.compute["publisherTrustedAlgorithms"] == [approval]
    assert [file["type"] for file in service.files] == ["local", "url"]
    assert service.parameters[0]["options"] == [{"mmHg": "mmHg"}, {"kPa": "kPa"}]
    assert draft.credentials == {"deny": [{"type": "address", "values": ["0x" + "1" * 40]}]}
    json.dumps([dict(file) for file in service.files])


def test_an_algorithm_is_what_its_file_says(tmp_path: Path) -> None:
    draft = described(tmp_path, ALGORITHM, "algorithm").draft("http://p", {})
    assert draft.algorithm is not None
    assert draft.algorithm["container"] == {
        "image": "python", "tag": "3.11", "entrypoint": "python3 $ALGO", "checksum": "sha256:0000"
    }  # fmt: skip


@pytest.mark.parametrize(("trusted", "entries"), [('["*"]', []), ("[]", [dict(NOBODY)])])
def test_everybody_and_nobody(tmp_path: Path, trusted: str, entries: list[object]) -> None:
    text = DATASET.replace(f'["{DID}"]', trusted)
    compute = described(tmp_path, text).draft("http://p", {}).services[0].compute
    assert compute is not None
    assert compute["publisherTrustedAlgorithms"] == entries


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('name = "Ten', 'nam = "Ten', 1, "name: Field required"),
        ('tags = ["health"]', 'tag = ["health"]', 5, "tag: there is no such field"),
        ("timeout = 3600", "timeout = -1", 10, r"services\[0\].timeout: .*greater than or equal to 0"),
        ('type = "compute"', 'type = "computing"', 9, r"services\[0\].type: .*'access' or 'compute'"),
        (f'["{DID}"]', '["did:op:1"]', 11, "trusted_algorithms: should hold did:op:"),
        ('path = "patients.csv"', 'path = "../patients.csv"', 16, r"files\[0\].path: It must be a relative path"),
        ('url = "https://example.org/more.csv"', 'url = "here"', 20, r"services\[0\].files\[1\].url"),
        ('type = "url"', 'type = "ftp"', 19, r"files\[1\].type: This file type is not served"),
        ('type = "select"', 'type = "colour"', 25, r"parameters\[0\].type"),
        ('deny = ["0x1', 'deny = ["1', 6, "deny: should hold 0x and 40 hex digits"),
        ("amount = 2.5", "amount = 0", 29, "a fixed price needs an amount"),
        ('kind = "fixed"', 'kind = "free"', 29, "an amount and a token go with"),
        (f'trusted_algorithms = ["{DID}"]\n', "", 8, "say whom it trusts"),
    ],
)
def test_a_mistake_has_file_line_and_field(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in DATASET
    with pytest.raises(DescriptionWrong, match=said) as caught:
        described(tmp_path, DATASET.replace(old, new, 1))
    assert f"asset.toml, line {line}: " in caught.value.message
    assert "s3cret" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "not valid TOML"),
        ("", "name: Field required"),
        (DATASET + "\n[algorithm.container]\nimage = 'x'\nchecksum = 'sha256:1'\n", "a dataset has none"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CoveError, match=said):
        described(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('checksum = "sha256:0000"', 'checksum = "md5:1"', 13, "container.checksum: The checksum must be sha256"),
        ('image = "python"', 'image = "py thon"', 11, "container.image"),
        (
            '[algorithm]\nlanguage = "python"\n\n[algorithm.container]\nimage',
            "[x]\nimage",
            7,
            "x: there is no such field",
        ),
    ],
)
def test_a_mistake_in_an_algorithm(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in ALGORITHM
    with pytest.raises(DescriptionWrong, match=said) as caught:
        described(tmp_path, ALGORITHM.replace(old, new, 1), "algorithm")
    assert f"line {line}: " in caught.value.message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DescriptionWrong, match="cannot be read"):
        Described(tmp_path / "nowhere.toml", "dataset")
    (tmp_path / "big.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(DescriptionWrong, match="more than"):
        Described(tmp_path / "big.toml", "dataset")
    (tmp_path / "odd.toml").write_bytes(b"\xff")
    with pytest.raises(DescriptionWrong, match="UTF-8"):
        Described(tmp_path / "odd.toml", "dataset")


def test_lines_of_tables_in_lists() -> None:
    found = lines_of("a = 1\n[[b]]\nc = 1\n[[b.d]]\ne = 1\n[[b.d]]\n[[b]]\n[b.f]\n'g' = 2\nh.i = 3\n")
    assert found["b", 0, "c"] == 3
    assert (found["b", 0, "d", 0, "e"], found["b", 0, "d", 1]) == (5, 6)
    assert (found["b", 1, "f", "g"], found["b", 1, "f", "h", "i"], found["b", 1, "f", "h"]) == (9, 10, 10)
