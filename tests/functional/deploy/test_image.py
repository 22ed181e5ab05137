"""Cove's own image is built as ``deploy/Containerfile`` says, by pip alone, and a container of it answers."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.support import daemons
from tests.support.daemons import Daemon
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "requirements", "src", "deploy/Containerfile")
#: Seconds for a build, and for the service to answer, on a busy machine too.
PATIENCE = 300.0
#: What the wheels are linked with, beside what Python is.
LIBRARIES = ("libgcc_s.so.1", "libstdc++.so.6", "librt.so.1", "libpthread.so.0", "libdl.so.2")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    yield daemons.docker()
    daemons.end_all()


def wheels(folder: Path) -> Path:
    """Get what pip installs, where the build has no network: the registry is this machine's own affair."""
    given = ["--requirement", str(ROOT / "requirements/run.txt"), "--constraint", str(ROOT / "requirements/dev.txt")]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    subprocess.run(
        [*words, *given, "psycopg[binary]", "setuptools>=77"], check=True, capture_output=True, timeout=PATIENCE
    )
    return folder


def base(wheels: Path) -> bytes:
    """Give the root of an image with this host's Python, as a stand-in for Debian's."""
    made = io.BytesIO(daemons.host_archive())
    library = Path(sysconfig.get_paths()["stdlib"])
    with tarfile.open(fileobj=made, mode="a") as archive:
        there = archive.getnames()
        archive.add(library / "ensurepip", f"usr/local/lib/{library.name}/ensurepip")
        archive.add(wheels, "wheels")
        for name in LIBRARIES:
            found = next(Path("/usr/lib").glob(f"*-linux-gnu/{name}"))
            if str(found)[1:] not in there:
                archive.add(found.resolve(), str(found)[1:])
    return made.getvalue()


def context() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in NEEDED:
            archive.add(ROOT / name, name, filter=lambda entry: None if "__pycache__" in entry.name else entry)
    return made.getvalue()


def test_an_image_is_built_and_its_container_answers(daemon: Daemon, tmp_path: Path) -> None:
    daemon.load("cove-test-base", base(wheels(tmp_path)))
    arguments = {
        "PYTHON": "cove-test-base",
        "BUSYBOX": daemons.HELPER,
        "PIP_FIND_LINKS": "/wheels",
        "PIP_NO_INDEX": "1",
    }
    query = {"dockerfile": "deploy/Containerfile", "t": "cove-test-own", "buildargs": json.dumps(arguments)}
    port = free_port()
    wanted = {
        "Image": "cove-test-own",
        "Env": ["COVE_KEY=" + "11" * 32, f"COVE_LISTEN__PORT={port}", "COVE_LISTEN__HOST=127.0.0.1"],
        "HostConfig": {"NetworkMode": "host", "ReadonlyRootfs": True, "CapDrop": ["ALL"], "Tmpfs": {"/tmp": ""}},  # noqa: S108 - inside
    }
    with daemon.client() as http:
        http.timeout = PATIENCE
        told = http.post("/build", params=query | {"networkmode": "none"}, content=context()).text
        assert "Successfully built" in told, told[-3000:]
        container = http.post("/containers/create", json=wanted).json()["Id"]
        try:
            assert http.post(f"/containers/{container}/start").is_success
            assert health(http, container, port) == {"status": "ok", "index": {}}
            assert http.get(f"/containers/{container}/json").json()["Config"]["User"] == "10001:10001"
        finally:
            daemon.remove_container(container)


def health(http: httpx2.Client, container: str, port: int) -> object:
    """Ask until it answers; what it said where it does not."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=PATIENCE).json()
        except httpx2.TransportError:
            if not http.get(f"/containers/{container}/json").json()["State"]["Running"]:
                break
            time.sleep(0.1)  # nothing tells that a container listens
    logs = http.get(f"/containers/{container}/logs", params={"stdout": "true", "stderr": "true"}).content
    pytest.fail(logs.decode("utf-8", "replace"))
