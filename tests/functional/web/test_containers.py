"""validateContainer: what a front end asks before it publishes an algorithm."""

from __future__ import annotations

from typing import Any

import pytest
from tests.functional.web.conftest import Site

PATH = "/api/services/validateContainer"
GOOD = {"entrypoint": "python $ALGO", "image": "python", "tag": "3.11", "checksum": "sha256:" + "a" * 64}


async def test_a_good_section_comes_back(site: Site) -> None:
    answer = await site.http.post(PATH, json={**GOOD, "more": 1})
    assert (answer.status_code, answer.json()) == (200, GOOD)
    bare = {name: value for name, value in GOOD.items() if name != "tag"}
    assert (await site.http.post(PATH, json=bare)).json() == bare


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"checksum": "a" * 64}, "checksum_prefix"),
        ({"checksum": None}, "missing_entrypoint_image_checksum"),
        ({"image": ""}, "missing_entrypoint_image_checksum"),
        ({"entrypoint": None}, "missing_entrypoint_image_checksum"),
        ({"tag": "a b"}, "tag_invalid"),
        ({"image": "../x y"}, "image_invalid"),
    ],
)
async def test_a_bad_one_is_named(site: Site, change: dict[str, Any], code: str) -> None:
    answer = await site.http.post(PATH, json={**GOOD, **change})
    assert (answer.status_code, answer.json()["error"]) == (400, {"algorithm.container": code})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"image": {}}'])
async def test_what_is_no_section_is_400(site: Site, body: bytes) -> None:
    assert (await site.http.post(PATH, content=body)).status_code == 400
