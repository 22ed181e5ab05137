"""What the benchmarks share: reference programs, a Cove in a process of its own, and ratios."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cove.core.job import Job, JobId, Outcome, Phase, Resources, ResultFile

MEBIBYTE = 1 << 20


def finished_job(owner: str, *results: ResultFile) -> Job:
    """Give a job that has ended well, with its results."""
    return Job(
        id=JobId(secrets.token_hex(16)),
        owner=owner,
        chain_id=8996,
        environment="default",
        agreement_id="0x" + secrets.token_hex(32),
        dataset_dids=("did:op:" + "1" * 64,),
        algorithm_did="did:op:" + "2" * 64,
        resources=Resources(1.0, 1 << 30, 1 << 30, 1000, 64, 3600, 1 << 20),
        created_at=time.time(),
        expires_at=time.time() + 3600,
        order_keys=(),
        phase=Phase.DONE,
        outcome=Outcome.SUCCEEDED,
        started_at=time.time(),
        finished_at=time.time(),
        results=results,
    )


def need(*programs: str) -> None:
    """End with a line that says how to get what is missing."""
    missing = [name for name in programs if find(name) is None]
    if missing:
        packages = " ".join({"nginx": "nginx-light", "bwrap": "bubblewrap"}.get(name, name) for name in missing)
        sys.exit(f"{' and '.join(missing)} not found: apt-get install {packages}")


def write_file(path: Path, size: int) -> None:
    path.parent.mkdir(mode=0o755)
    block = secrets.token_bytes(MEBIBYTE)
    with path.open("wb") as file:
        for start in range(0, size, MEBIBYTE):
            file.write(block[: size - start])
    path.chmod(0o644)


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[int]:
    port = free_port()
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; sendfile on; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}/www; }} }}\n"
    )
    process = subprocess.Popen(
        [str(find("nginx")), "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    )
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    sys.exit("nginx did not start")


def find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Serving:
    """A running ``cove serve``."""

    url: str
    process: subprocess.Popen[bytes]
    #: Seconds from the start of the process to the first answer of ``/health``.
    seconds_to_health: float

    def resident_bytes(self, *, peak: bool = False) -> int:
        """Give the memory that the process holds now, or the most that it held since :meth:`forget_peak`."""
        name = "VmHWM" if peak else "VmRSS"
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
        raise AssertionError(name)

    def forget_peak(self) -> None:
        """Have the kernel count the peak anew (proc(5), clear_refs)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


_NO_LIMITS = "[limits]\nclient = 0\naddress = 0\noutside = 0\n"
"""One client measures, and asks as often as it can."""


@contextlib.contextmanager
def cove(folder: Path, settings: str) -> Iterator[Serving]:
    """Serve a Cove from a settings file in a process of its own.

    Args:
        folder: Takes the settings file; the state folder is ``folder/state``.
        settings: TOML; where it listens, and the state folder, are added, and that nobody is limited.
    """
    port = free_port()
    file = folder / "cove.toml"
    file.write_text(
        f'state_dir = "{folder}/state"\nlog_level = "error"\n{settings}\n{_NO_LIMITS}[listen]\nport = {port}\n'
    )
    url = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("cove")), "serve", "--settings", str(file)],
        env={"PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()  # noqa: S310 - our own server
                break
            except OSError:
                if process.poll() is not None:
                    sys.exit("cove serve did not start")
                time.sleep(0.005)
        yield Serving(url, process, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def free_port() -> int:
    """Give a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
