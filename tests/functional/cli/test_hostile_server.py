"""What a hostile server sends stays inside the folder that was named, and does nothing to the terminal."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.programs import cove

from cove.wire import SERVICE_ENDPOINTS

JOB = "ab" * 16
CONTENT = b"owned\n"
NAMES = (
    "../../escaped", "/etc/cron.d/x", "..\\..\\windows", "a\x1b[2Jb", "../.ssh/authorized_keys", ".bashrc", "\u202egpj.exe",
    "dir/../../up", "same", "same", "SAME", "same/below", "", "..", "-rf", "line\nbreak", "n" * 5000, "c:\\x", "a/" * 3000 + "deep",
)  # fmt: skip


class Hostile(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one piece: two wait for each other

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/":
            self._answer({"software": "\x1b]0;owned\x07", "version": "1", "chainIds": [1], "providerAddress": "0x",
                          "providerAddresses": {}, "serviceEndpoints": SERVICE_ENDPOINTS})  # fmt: skip
        elif path.endswith("/nonce"):
            self._answer({"nonce": None})
        elif path.endswith("/computeResult"):
            self._send(CONTENT)
        else:
            self._answer([_status()])

    def do_PUT(self) -> None:
        self._answer({"error": "no\x1b[2J\nError: forged", "code": "\x1b[2J", "hint": "\x1b]0;owned\x07"}, 400)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        del format, arguments

    def _answer(self, body: object, status: int = 200) -> None:
        self._send(json.dumps(body).encode(), status)

    def _send(self, content: bytes, status: int = 200) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _status() -> dict[str, object]:
    digest = hashlib.sha256(CONTENT).hexdigest()
    results = [
        {"filename": name, "filesize": len(CONTENT), "type": "output", "index": place, "sha256": digest}
        for place, name in enumerate(NAMES)
    ]
    evil = "\x1b]0;owned\x07\nJob forged"
    return {"owner": evil, "documentId": evil, "jobId": evil, "dateCreated": evil, "dateFinished": evil, "status": 70,
            "statusText": evil, "agreementId": "", "stopreq": 0, "removed": 0, "algoDID": evil, "inputDID": [evil],
            "did": evil, "environment": evil, "expireTimestamp": 0, "results": results, "message": evil}  # fmt: skip


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_no_name_leaves_the_folder(url: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = cove("results", JOB, "--out", "out", "--url", url, cwd=tmp_path, COVE_ACCOUNT_KEY="1" * 64)
    assert ended.returncode == 0, ended.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == len(NAMES)
    assert {path.read_bytes() for path in files} == {CONTENT}
    parts = {part for path in files for part in path.relative_to(out).parts}
    assert [part for part in parts if part.startswith((".", "-")) or not part.isprintable()] == []


@pytest.mark.parametrize("words", [("results",), ("status",), ("status", "--watch"), ("stop",)])
def test_no_text_reaches_the_terminal_as_it_is(url: str, words: tuple[str, ...]) -> None:
    ended = cove(words[0], JOB, *words[1:], "--url", url, COVE_ACCOUNT_KEY="1" * 64)
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\x07" not in ended.stdout + ended.stderr
    assert not [
        line for line in (ended.stdout + ended.stderr).splitlines() if line.startswith(("Error: forged", "Job forged"))
    ]
