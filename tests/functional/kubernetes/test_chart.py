"""The Helm chart: rendered by Go's template engine, taken by a real API server, and its settings read by Cove."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import kubernetes as kube

from cove.engines.kubernetes.config import read_config

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "helm" / "cove"
ROLE = ROOT / "deploy" / "kubernetes" / "role.yaml"
GO = shutil.which("go") or next((str(place) for place in Path("/usr/lib").glob("go-*/bin/go")), None)


def rendered(folder: Path, **values: Any) -> subprocess.CompletedProcess[str]:
    if GO is None:
        pytest.skip("needs Go, which tests/kubernetes/cluster.sh installs")
    given = {
        "Release": {"Name": "cove", "Namespace": kube.NAMESPACE},
        "Values": yaml.safe_load((CHART / "values.yaml").read_text()) | values,
    }
    (folder / "values.json").write_text(json.dumps(given))
    environment = os.environ | {"GOCACHE": str(folder / "cache"), "GO111MODULE": "off", "GOTOOLCHAIN": "local"}
    return subprocess.run(
        [GO, "run", str(ROOT / "tests" / "kubernetes" / "render" / "main.go"), str(CHART), str(folder / "values.json")],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip


def objects(folder: Path, **values: Any) -> list[dict[str, Any]]:
    done = rendered(folder, **values)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def test_it_is_not_rendered_without_an_image(tmp_path: Path) -> None:
    done = rendered(tmp_path)
    assert done.returncode != 0
    assert "Set image to the name of Cove's image." in done.stderr


def test_a_real_api_server_takes_all_of_it(tmp_path: Path) -> None:
    cluster = kube.running()
    made = objects(tmp_path, image="cove:1", nodeSelector={"a": "b"}, imagePullSecrets=[{"name": "x"}])
    cluster.admin("apply", "--dry-run=server", "-f", "-", given=yaml.safe_dump_all(made))
    assert {"Deployment", "Service", "ConfigMap", "Role", "PersistentVolumeClaim"} <= {one["kind"] for one in made}


def test_its_role_is_the_one_that_the_suite_runs_with(tmp_path: Path) -> None:
    (ours,) = [one for one in yaml.safe_load_all(ROLE.read_text()) if one["kind"] == "Role"]
    (made,) = [one for one in objects(tmp_path, image="cove:1") if one["kind"] == "Role"]
    assert made["rules"] == ours["rules"]


def test_its_settings_are_read(tmp_path: Path) -> None:
    engine = 'scratch = "disk"\nimage_pull_secrets = ["a"]\nnode_selector = {pool = "jobs"}\n'
    made = objects(tmp_path, image="cove:1", settings='[listen]\npublic_url = "https://a"', engine=engine)
    (settings,) = [one["data"]["cove.toml"] for one in made if one["kind"] == "ConfigMap"]
    found = tomllib.loads(settings)
    assert found["listen"]["public_url"] == "https://a"
    config = read_config("kubernetes", found["engines"]["kubernetes"])
    assert (config.claim, config.folder, config.scratch) == ("cove-runs", Path("/runs"), "disk")
