"""``cove images``: the owner's look at what is unpacked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.images import RunningRegistry, an_image, tar_of, write_layout
from tests.support.programs import cove
from tests.support.registries import a_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with a_registry(tmp_path / "registry") as running:
        yield running


def test_images_are_pulled_listed_and_removed(registry: RunningRegistry, tmp_path: Path) -> None:
    image = an_image(tar_of([("x", b"1")]))
    name = registry.push(image, "team/tool", "1")
    saved = write_layout(tmp_path / "saved", (an_image(tar_of([("y", b"2")])), "1"))
    (tmp_path / "cove.toml").write_text(
        f'[images."{registry.host}/team/*"]\nkind = "registry"\n[images."saved"]\nkind = "archive"\n'
        f'path = "{saved}"\n[registries."{registry.host}"]\ninsecure = true\n'
    )
    pulled = cove("images", "pull", f"{name}:1", cwd=tmp_path)
    assert (pulled.returncode, pulled.stdout) == (0, f"{image.digest}\n"), pulled.stderr
    assert cove("images", "pull", "saved", cwd=tmp_path).returncode == 0
    found = json.loads(cove("images", "list", "--json", cwd=tmp_path).stdout)
    assert {entry["digest"] for entry in found} >= {image.digest}
    assert len(found) == 2
    assert "team/tool" in cove("images", "list", cwd=tmp_path).stdout

    refused = cove("images", "pull", "python:3.11", cwd=tmp_path)
    assert refused.returncode == 1
    assert "The settings have no image" in refused.stderr
    assert cove("images", "pull", f"{name}:2", cwd=tmp_path).returncode == 1
    assert cove("images", "remove", "no/such", cwd=tmp_path).returncode == 5

    busy = tmp_path / "cove-state/workspaces/job"
    busy.mkdir()
    (busy / "image").write_text(image.digest)
    record = tmp_path / "cove-state/images/images" / image.digest.removeprefix("sha256:") / "image.json"
    os.utime(record, (1, 1))
    kept = cove("images", "remove", name, cwd=tmp_path)
    assert kept.returncode == 4
    assert "in use by a job" in kept.stderr
    (busy / "image").unlink()
    removed = cove("images", "remove", name, cwd=tmp_path)
    assert (removed.returncode, removed.stdout) == (0, f"{image.digest}\n"), removed.stderr
