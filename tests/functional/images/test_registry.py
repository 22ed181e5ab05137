"""What registries do that Debian's does not: tokens, storage elsewhere, connections that break off, and evil answers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.images import MadeImage, an_image, tar_of
from tests.support.runs import PATIENCE, Told

from cove.core.errors import ImagePullFailed, ImageRefused
from cove.core.job import Container, RegistryLogin
from cove.ports import ImageSource

if TYPE_CHECKING:
    from tests.functional.images.conftest import Open

REGISTRY = ImageSource("registry")
LOGIN = RegistryLogin("ann", "Geheimwort")
Answer = Callable[[BaseHTTPRequestHandler, str], bool]


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve on loopback; ``answer`` says False for what is not there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not answer(self, self.path):
                send(self, b"", 404)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(to: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> bool:
    to.send_response(status)
    for name, value in headers.items():
        to.send_header(name.replace("_", "-"), value)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)
    return True


def serves(image: MadeImage) -> Answer:
    """Answer as a registry that has one image."""

    def answer(to: BaseHTTPRequestHandler, path: str) -> bool:
        name = path.rpartition("/")[2]
        if "/manifests/" in path:
            return send(to, image.manifest, Content_Type=image.media_type)
        if "/blobs/" not in path or name not in image.blobs:
            return False
        start = int((to.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        return send(to, image.blobs[name][start:], 206 if start else 200)

    return answer


@pytest.fixture
def image() -> MadeImage:
    return an_image(tar_of([("app/x", b"1" * 100_000)]), compress=bytes, suffix="")


async def test_a_token_is_asked_for_with_the_login_and_the_password_goes_nowhere_else(
    open_store: Open, image: MadeImage
) -> None:
    own, seen = serves(image), []

    def answer(to: BaseHTTPRequestHandler, path: str) -> bool:
        given = to.headers.get("Authorization", "")
        seen.append((path.partition("?")[0], given.partition(" ")[0]))
        if path.startswith("/token"):
            query = parse_qs(urlsplit(path).query)
            assert query == {"service": ["the registry"], "scope": ["repository:team/tool:pull"]}
            assert base64.b64decode(given.removeprefix("Basic ")) == b"ann:Geheimwort"
            return send(to, json.dumps({"token": "abc"}).encode())
        if given != "Bearer abc":
            realm = f'Bearer realm="http://{to.headers["Host"]}/token",service="the registry",scope="x"'
            return send(to, b"", 401, WWW_Authenticate=realm)
        return own(to, path)

    with serving(answer) as host:
        store = open_store(host, login=LOGIN)
        await store.prepare(REGISTRY, Container(f"{host}/team/tool", "1", image.digest), Told())
    assert {scheme for path, scheme in seen if path != "/token"} == {"", "Bearer"}
    assert [path for path, _ in seen].count("/token") == 1


async def test_what_a_registry_keeps_elsewhere_is_fetched_there_without_the_login(
    open_store: Open, image: MadeImage
) -> None:
    own, elsewhere = serves(image), []

    def storage(to: BaseHTTPRequestHandler, path: str) -> bool:
        elsewhere.append(to.headers.get("Authorization"))
        return own(to, path.partition("?")[0])

    with serving(storage) as other:

        def answer(to: BaseHTTPRequestHandler, path: str) -> bool:
            if "Authorization" not in to.headers:
                return send(to, b"", 401, WWW_Authenticate='Basic realm="x"')
            if "/blobs/" in path:
                return send(to, b"", 307, Location=f"http://{other}{path}?signature=secret")
            return own(to, path)

        with serving(answer) as host:
            store = open_store(host, login=LOGIN)
            await store.prepare(REGISTRY, Container(f"{host}/tool", "1", image.digest), Told())
    assert elsewhere == [None, None]


async def test_a_connection_that_breaks_off_goes_on_where_it_was(
    open_store: Open, image: MadeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cove.images.registry._FIRST_WAIT_SECONDS", 0.001)
    own, layer, asked = serves(image), list(image.blobs)[1], []

    def answer(to: BaseHTTPRequestHandler, path: str) -> bool:
        if not path.endswith(layer):
            return own(to, path)
        asked.append(to.headers.get("Range"))
        if len(asked) > 1:
            return own(to, path)
        to.send_response(200)
        to.send_header("Content-Length", str(len(image.blobs[layer])))
        to.end_headers()
        to.wfile.write(image.blobs[layer][:1000])
        to.close_connection = True
        return True

    with serving(answer) as host:
        told = Told()
        await open_store(host).prepare(REGISTRY, Container(f"{host}/tool", "1", image.digest), told)
    assert asked == [None, "bytes=1000-"]
    assert told.bytes_done == told.bytes_total == len(image.blobs[layer])


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_registry_that_cannot_now_is_asked_again_and_then_given_up(
    open_store: Open, image: MadeImage, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr("cove.images.registry._FIRST_WAIT_SECONDS", 0.001)
    asked = []

    def answer(to: BaseHTTPRequestHandler, path: str) -> bool:
        asked.append(path)
        return send(to, b"", status)

    with serving(answer) as host, pytest.raises(ImagePullFailed, match=f"it answers with {status}"):
        await open_store(host).prepare(REGISTRY, Container(f"{host}/tool", "1", image.digest), Told())
    assert len(asked) == 5


async def test_other_bytes_than_the_digest_says_are_refused(open_store: Open, image: MadeImage) -> None:
    evil = serves(an_image(tar_of([("evil", b"1")])))
    with serving(evil) as host, pytest.raises(ImageRefused, match="gave another manifest"):
        await open_store(host).prepare(REGISTRY, Container(f"{host}/tool", "1", image.digest), Told())


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"WWW_Authenticate": 'Bearer realm="file:///etc/passwd"'}, "no safe place for a token"),
        ({"WWW_Authenticate": 'Bearer realm="http://user:word@127.0.0.1/"'}, "no safe place for a token"),
        ({"WWW_Authenticate": "Negotiate"}, "of an unknown kind"),
        ({}, "does not show tool"),
    ],
)
async def test_challenges_that_make_no_sense(
    open_store: Open, image: MadeImage, headers: dict[str, str], sentence: str
) -> None:
    with serving(lambda to, _: send(to, b"", 401, **headers)) as host, pytest.raises(ImageRefused, match=sentence):
        await open_store(host).prepare(REGISTRY, Container(f"{host}/tool", "1", image.digest), Told())


async def test_who_is_the_last_to_wait_ends_the_pull_and_nothing_is_left(
    open_store: Open, image: MadeImage, tmp_path: Path
) -> None:
    own, layer = serves(image), list(image.blobs)[1]
    begun, go_on = threading.Event(), threading.Event()

    def answer(to: BaseHTTPRequestHandler, path: str) -> bool:
        if not path.endswith(layer):
            return own(to, path)
        to.send_response(200)
        to.send_header("Content-Length", str(len(image.blobs[layer])))
        to.end_headers()
        to.wfile.write(image.blobs[layer][:1000])
        begun.set()
        go_on.wait(PATIENCE)
        with contextlib.suppress(OSError):
            to.wfile.write(image.blobs[layer][1000:])
        return True

    with serving(answer) as host:
        store = open_store(host)
        container = Container(f"{host}/tool", "1", image.digest)
        told = [Told(), Told()]
        waiting = [asyncio.create_task(store.prepare(REGISTRY, container, one)) for one in told]
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        assert told[0].doing == f"bringing image {host}/tool:1"
        waiting[0].cancel()
        await asyncio.wait([waiting[0]])
        assert not waiting[1].done()  # the other one still wants it
        waiting[1].cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting[1]
        store.close()
    assert not any(place for name in ("images", "tmp") for place in (tmp_path / "images" / name).iterdir())
