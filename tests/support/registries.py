"""Debian's docker-registry, started on loopback."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.support.images import RunningRegistry
from tests.support.ports import free_port

_CONFIG = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "{host}", secret: test}}
"""
_LOGIN = "auth: {{htpasswd: {{realm: test, path: {path}}}}}\n"
LOGIN = ("reader", "open sesame")


@contextlib.contextmanager
def a_registry(folder: Path, *, login: bool = False, port: int = 0) -> Iterator[RunningRegistry]:
    """Start a registry, at any port for 0; with ``login`` it shows nothing to others."""
    if shutil.which("docker-registry") is None:
        pytest.skip("no docker-registry here: apt-get install docker-registry")
    if login and shutil.which("htpasswd") is None:
        pytest.skip("no htpasswd here: apt-get install apache2-utils")
    folder.mkdir(parents=True)
    host = f"127.0.0.1:{port or free_port()}"
    config = _CONFIG.format(folder=folder / "data", host=host)
    if login:
        hashed = subprocess.run(["htpasswd", "-nbB", *LOGIN], capture_output=True, text=True, check=True).stdout
        (folder / "htpasswd").write_text(hashed.strip() + "\n")
        config += _LOGIN.format(path=folder / "htpasswd")
    (folder / "config.yml").write_text(config)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    registry = RunningRegistry(host, folder / "data", LOGIN if login else None)
    try:
        _wait(host, process, folder / "log")
        yield registry
    finally:
        registry.close()
        process.terminate()
        process.wait(120)


def _wait(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(2400):  # two minutes
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx2.TransportError):
            httpx2.get(f"http://{host}/v2/", trust_env=False)
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())
