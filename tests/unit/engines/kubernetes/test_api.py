"""The client and its watch, against a server that breaks off, forgets and refuses as a real one does at its worst."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cove.core.errors import SettingsWrong, Unavailable
from cove.engines.kubernetes import access
from cove.engines.kubernetes.api import ApiError, Cluster

PATIENCE = 120.0


def item(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": item(name, version)}


class Server:
    """Answers each request with the next of its answers, and writes down what was asked."""

    def __init__(self, answers: list[tuple[int, list[dict[str, Any]]]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.tokens: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split()[1])
        self.tokens += [line for line in head.splitlines() if line.lower().startswith("authorization")]
        status, lines = self.answers.pop(0) if self.answers else (503, [])
        writer.write(f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n".encode())
        for line in lines:
            writer.write(json.dumps(line).encode() + b"\n")
        await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    *answers: tuple[int, list[dict[str, Any]]], token: Callable[[], str] = lambda: ""
) -> AsyncIterator[tuple[Cluster, Server]]:
    played = Server(list(answers))
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cluster = Cluster(access.Access(f"http://127.0.0.1:{port}", ssl.create_default_context(), token, "n"), "n")
    try:
        yield cluster, played
    finally:
        await cluster.close()
        server.close()


async def first(cluster: Cluster, count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(PATIENCE):
        async for seen in cluster.watch("/pods", "a=b"):
            found.append(seen["metadata"]["name"])
            if len(found) == count:
                return found
    return found


def listed(version: int, *items: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    return 200, [{"metadata": {"resourceVersion": str(version)}, "items": list(items)}]


async def test_a_watch_that_broke_off_goes_on_where_it_was() -> None:
    async with serving(
        listed(10, item("old", 9)),
        (200, [event("ADDED", "a", 11), event("BOOKMARK", "", 15)]),
        (200, [event("MODIFIED", "b", 16), event("DELETED", "c", 17)]),
    ) as (cluster, played):
        assert await first(cluster, 4) == ["old", "a", "b", "c"]
        assert ["resourceVersion=10" in played.asked[1], "resourceVersion=15" in played.asked[2]] == [True, True]


@pytest.mark.parametrize(
    "gone",
    [(410, [{"reason": "Expired"}]), (200, [{"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}])],
    ids=["refused", "told"],
)
async def test_a_version_that_was_forgotten_is_listed_anew(gone: tuple[int, list[dict[str, Any]]]) -> None:
    async with serving(listed(1), gone, listed(20, item("a", 19)), (200, [event("ADDED", "b", 21)])) as (
        cluster,
        played,
    ):
        assert await first(cluster, 2) == ["a", "b"]
        assert "watch" not in played.asked[2]


async def test_a_watch_survives_trouble_on_the_other_side() -> None:
    async with serving((500, []), (403, [{"reason": "Forbidden"}]), listed(1, item("a", 1))) as (cluster, _):
        assert await first(cluster, 1) == ["a"]


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503])
async def test_an_answer_that_tells_nothing_is_no_answer(status: int) -> None:
    async with serving((status, [{"reason": "X", "message": "secret"}])) as (cluster, _):
        with pytest.raises(Unavailable) as problem:
            await cluster.get("/a")
        assert "secret" not in f"{problem.value.message}{problem.value.hint}"


@pytest.mark.parametrize("status", [400, 404, 409, 410, 422])
async def test_a_refusal_is_told_by_its_reason(status: int) -> None:
    async with serving((status, [{"reason": "Because", "message": "words"}])) as (cluster, _):
        with pytest.raises(ApiError) as problem:
            await cluster.get("/a")
        assert (problem.value.status, problem.value.reason) == (status, "Because")


async def test_a_token_is_read_anew_for_each_request() -> None:
    tokens = iter(["one", "two"])
    async with serving((200, [{}]), (200, [{}]), token=lambda: next(tokens)) as (cluster, played):
        await cluster.get("/a")
        await cluster.get("/a")
        assert [line.split()[-1] for line in played.tokens] == ["one", "two"]


# ------------------------------------------------------------------------------------------------ kubeconfig


def kubeconfig(place: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Path:
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "jobs"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1/"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {}}],
    }
    place.write_text(yaml.safe_dump(content))
    return place


def test_a_kubeconfig_is_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    found = access.of_file(kubeconfig(tmp_path / "k", user={"tokenFile": "token"}))
    assert (found.server, found.namespace, found.token()) == ("https://127.0.0.1:1", "jobs", "first")
    (tmp_path / "token").write_text("second\n")
    assert found.token() == "second"


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    [
        ({}, {"exec": {"command": "aws"}}, "from a program"),
        ({"insecure-skip-tls-verify": True}, {}, "does not check"),
        ({"server": "http://127.0.0.1"}, {}, "does not check"),
        ({"certificate-authority-data": "!"}, {}, "cannot be read"),
        ({}, {"client-certificate": "missing", "client-key": "missing"}, "cannot be read"),
    ],
)
def test_what_is_not_done_is_said(tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsWrong, match=said):
        access.of_file(kubeconfig(tmp_path / "k", cluster, user))


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong, match="'elsewhere'"):
        access.of_file(kubeconfig(tmp_path / "k"), "elsewhere")


def test_the_account_of_a_pod_needs_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsWrong, match="no way to its cluster"):
        access.of_pod(tmp_path)
