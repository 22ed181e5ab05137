"""Runs ``cove`` as the process that people start, and serves the in-process chain to it over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

from cove.ledgers.devchain import DevChain

COVE = Path(sys.executable).with_name("cove")
#: Seconds that a line of output, or the end of a process, may take.
PATIENCE = 120.0


def environment(**variables: str) -> dict[str, str]:
    """Give a process's environment: nothing of the tester's own, so that no setting comes in from outside."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **variables}


def cove(*arguments: str | Path, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; no answer of it may show a traceback."""
    ended = subprocess.run(
        [str(COVE), *map(str, arguments)], cwd=cwd, env=environment(**variables), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE * 2, check=False,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr + ended.stdout, ended.stderr
    return ended


@dataclass
class Running:
    """A command that goes on: its output is read as it comes."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _readers: list[threading.Thread] = field(default_factory=list)
    _open: int = 2

    def __post_init__(self) -> None:
        """Begin to read."""
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            assert stream is not None
            reader = threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            reader.start()
            self._readers.append(reader)

    def line(self, pattern: str, of: list[str] | None = None) -> re.Match[str]:
        """Wait for a line of standard output (or of ``err``) that matches somewhere, and give the match."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while True:
                for line in self.out if of is None else of:
                    if match := re.search(pattern, line):
                        return match
                left = deadline - time.monotonic()
                assert left > 0, f"no line {pattern!r} in time: {self.out} {self.err}"
                assert self._open, f"ended without a line {pattern!r}: {self.out} {self.err}"
                self._news.wait(left)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end and give its exit code."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        assert "Traceback" not in "".join(self.err + self.out), "".join(self.err)
        return code

    @property
    def text(self) -> str:
        """Give what it wrote on standard output so far."""
        return "".join(self.out)

    @property
    def words(self) -> str:
        """Give what it wrote on standard error so far."""
        return "".join(self.err)

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._news:
                lines.append(line)
                self._news.notify_all()
        with self._news:
            self._open -= 1
            self._news.notify_all()


@contextlib.contextmanager
def running(*arguments: str | Path, cwd: Path | None = None, **variables: str) -> Iterator[Running]:
    """Start a command, and see that it is gone at the end of the block."""
    process = subprocess.Popen(
        [str(COVE), *map(str, arguments)], cwd=cwd, env=environment(**variables), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    started = Running(process)
    try:
        yield started
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
        for reader in started._readers:
            reader.join(PATIENCE)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def chain_over_http(chain: DevChain) -> Iterator[str]:
    """Serve a chain's JSON-RPC on loopback and give its URL, which holds a token as those of real nodes do."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # an answer in one piece: two wait for each other

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(asyncio.run(chain.exchange(body))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            del format, arguments

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v3/{RPC_TOKEN}"
        finally:
            server.shutdown()
            thread.join()


RPC_TOKEN = "rpc-token-7c1f"


def left_behind(folder: Path, jobs: tuple[str, ...] = ()) -> list[str]:
    """Name what is left of a service below a folder: processes, mounts, entries, and cgroups of jobs."""
    found = [f"entry {entry}" for entry in folder.iterdir()]
    found += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if str(folder) in command:
                found.append(f"process {process.name} {command[:200]}")
    for job in jobs:
        found += [f"cgroup {place}" for place in Path("/sys/fs/cgroup").glob(f"*/cove/{job}*")]
        found += [f"cgroup {place}" for place in Path("/sys/fs/cgroup").glob(f"cove/{job}*")]
    return found
