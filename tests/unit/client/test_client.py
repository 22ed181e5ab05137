from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from cove.cli import build_app
from cove.client import BadAnswer, CoveClient, DownloadBroken, NotReachable, NotThere, Overloaded, Signer, UrlWrong
from cove.wire import SERVICE_ENDPOINTS

KEY = "4c" * 32
CONTENT = bytes(range(256)) * 4000
JOB = "ab" * 16


class House(ThreadingHTTPServer):
    """Plays wire answers; what it should do wrong stands in its fields."""

    daemon_threads = True
    breaks = 0
    status_code = 200
    garbage = False
    refuse_nonces = 0
    digest = hashlib.sha256(CONTENT).hexdigest()
    states: list[int]
    log = b"hello \x1b[31mred\x1b[0m\n"
    ranges: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: House

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def answer(self, body: object, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        house, url = self.server, urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/":
            self.answer({"software": "Cove", "version": "1", "chainIds": [1], "providerAddress": "0x",
                         "providerAddresses": {}, "serviceEndpoints": SERVICE_ENDPOINTS})  # fmt: skip
        elif url.path.endswith("/nonce"):
            self.answer({"nonce": "7"})
        elif house.garbage:
            self.answer("no status")
        elif house.status_code != 200:
            self.answer({"error": "The chain does not answer.", "hint": "Wait."}, house.status_code)
        elif house.refuse_nonces:
            house.refuse_nonces -= 1
            self.answer({"error": "nonce", "code": "bad_signature"}, 400)
        elif url.path.endswith("/computeResult"):
            self.result(house.log if query["index"] == ["0"] else CONTENT)
        elif query.get("jobId") == [JOB]:
            number = house.states.pop(0) if len(house.states) > 1 else house.states[0]
            self.answer([status(number, house.digest)])
        else:
            self.answer([])

    def result(self, content: bytes) -> None:
        house, asked = self.server, self.headers.get("Range")
        house.ranges.append(asked)
        start = int(asked[6:-1]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if house.breaks:
            house.breaks -= 1
            self.wfile.write(content[start : start + 300_000])
            self.close_connection = True
            return
        self.wfile.write(content[start:])


def status(number: int, digest: str) -> dict[str, Any]:
    final = number == 70
    results = [
        {"filename": "algorithm.log", "filesize": len(House.log), "type": "algorithmLog", "index": 0,
         "sha256": hashlib.sha256(House.log).hexdigest()},
        {"filename": "../../.out.bin", "filesize": len(CONTENT), "type": "output", "index": 1, "sha256": digest},
    ]  # fmt: skip
    return {"owner": "0x", "documentId": "d", "jobId": JOB, "dateCreated": "1", "dateFinished": "2" if final else None,
            "status": number, "statusText": "Job completed" if final else "Running", "agreementId": "", "stopreq": 0,
            "removed": 0, "algoDID": "raw", "inputDID": ["d"], "did": "d", "environment": "e", "expireTimestamp": 0,
            "results": results if final else ""}  # fmt: skip


@pytest.fixture
def house() -> Iterator[House]:
    server = House(("127.0.0.1", 0), Handler)
    server.states, server.ranges = [70], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def client(house: House) -> Iterator[CoveClient]:
    with CoveClient(f"http://127.0.0.1:{house.server_port}", Signer(KEY), pause=lambda _: None) as made:
        yield made


def test_a_broken_download_is_resumed(house: House, client: CoveClient, tmp_path: Path) -> None:
    house.breaks = 2
    assert client.download(JOB, 1, tmp_path / "out").read_bytes() == CONTENT
    assert house.ranges[0] is None
    assert all(asked is not None for asked in house.ranges[1:])
    assert len(house.ranges) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_other_bytes_than_promised_leave_nothing(house: House, client: CoveClient, tmp_path: Path) -> None:
    house.digest = "00" * 32
    with pytest.raises(DownloadBroken, match="sha256"):
        client.download(JOB, 1, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_watch_gives_each_change_once(house: House, client: CoveClient) -> None:
    house.states = [1, 1, 40, 40, 70]
    assert [job.status for job in client.watch(JOB)] == [1, 40, 70]


def test_garbage_and_overload_are_told_apart(house: House, client: CoveClient) -> None:
    house.garbage = True
    with pytest.raises(BadAnswer):
        client.job(JOB)
    house.garbage, house.status_code = False, 503
    with pytest.raises(Overloaded) as caught:
        client.job(JOB)
    assert (caught.value.text, caught.value.hint) == ("The chain does not answer.", "Wait.")


def test_a_taken_nonce_is_tried_once_more(house: House, client: CoveClient) -> None:
    house.refuse_nonces = 1
    assert client.read_result(JOB, 0) == House.log


def test_unknown_job_and_nobody_there(client: CoveClient) -> None:
    with pytest.raises(NotThere):
        client.job("other")
    with CoveClient("http://127.0.0.1:1") as nobody, pytest.raises(NotReachable):
        nobody.root()


def test_commands_against_a_server(house: House, tmp_path: Path) -> None:
    run, app = (
        CliRunner(env={"COVE_ACCOUNT_KEY": KEY, "COVE_URL": f"http://127.0.0.1:{house.server_port}"}),
        build_app(),
    )
    assert json.loads(run.invoke(app, ["status", JOB, "--json"]).stdout)["status"] == 70
    assert run.invoke(app, ["logs", JOB]).stdout == "hello \\x1b[31mred\\x1b[0m\n"
    assert run.invoke(app, ["results", JOB, "--out", str(tmp_path / "in")]).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["_out.bin", "algorithm.log"]
    missing = run.invoke(app, ["status", "other", "--json"])
    assert (missing.exit_code, json.loads(missing.stdout)["code"]) == (5, "not_found")
    house.status_code = 503
    assert run.invoke(app, ["status", JOB]).exit_code == 4
    house.status_code = 400
    assert run.invoke(app, ["status", JOB]).exit_code == 3


def test_an_empty_id_is_no_job_and_never_all_of_them(client: CoveClient, house: House) -> None:
    assert client.status("") == client.stop("") == client.delete("") == client.delete(document_id="") == []
    with pytest.raises(NotThere):
        client.job("")


@pytest.mark.parametrize(
    "url",
    ["", "here", "ftp://h", "http://", "http://h:x", "http://h:0", "http://h:99999", "http://a b", "http://h/?a=b"],
)
def test_what_is_no_url_is_said_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UrlWrong, match="no URL of a server"):
        CoveClient(url)


def test_a_password_in_the_url_is_never_shown() -> None:
    with CoveClient("http://me:word@127.0.0.1:1") as nobody, pytest.raises(NotReachable) as caught:
        nobody.environments()
    assert "word" not in caught.value.message


def test_another_program_at_the_url_is_no_cove(house: House) -> None:
    with CoveClient(f"http://127.0.0.1:{house.server_port}/below") as other, pytest.raises(BadAnswer, match="API"):
        other.environments()
