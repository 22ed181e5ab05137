"""Every example of ``docs/reference/api.md``, run as it stands there; what the page says of an endpoint is what is served."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tools import reference

if TYPE_CHECKING:
    from tests.functional.examples.conftest import Place

#: What a placeholder of the answers stands for.
PLACEHOLDERS = {
    "address": r"0x[0-9a-fA-F]{40}",
    "did": r"did:op:[0-9a-f]{64}",
    "hash": r"(0x)?[0-9a-f]{64}",
    "hex": r"0x[0-9a-f]+",
    "job": r"[0-9a-f]{32}",
    "number": r"\d+(\.\d+)?",
    "text": r'[^"\n]+',
    "time": r"\d{10}(\.\d+)?",
    "token": r"[\w-]+\.[\w-]+\.[\w-]+",
}
EXAMPLES = [example for listed in reference.examples().values() for example in listed]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_prints_what_the_page_shows(place: Place, example: Path) -> None:
    if example.suffix == ".sh" and shutil.which("curl") is None:
        pytest.skip("curl is not there")
    ended = place.run(example)
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = reference.answer_of(example).rstrip("\n")
    assert re.fullmatch(_pattern(shown), ended.stdout.rstrip("\n")), ended.stdout


def _pattern(shown: str) -> str:
    parts = re.split(r"<(\w+)>", shown)
    return "".join(PLACEHOLDERS[part] if place % 2 else re.escape(part) for place, part in enumerate(parts))


def test_the_page_is_what_the_document_and_the_examples_give() -> None:
    assert reference.PAGE.read_text("utf-8") == reference.page(reference.document()), "run: make docs"


def test_every_endpoint_has_an_example() -> None:
    listed = reference.endpoints(reference.document())
    assert set(reference.examples()) == set(listed)


def test_everything_that_is_sent_and_answered_is_explained() -> None:
    document = reference.document()
    unexplained = [
        f"{name}.{field}"
        for name, model in document["components"]["schemas"].items()
        for field, schema in model["properties"].items()
        if not schema.get("description")
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts = [operation, *operation.get("parameters", []), *operation["responses"].values()]
            unexplained += [f"{method} {path}: {part}" for part in parts if not part.get("description")]
    assert unexplained == []
