"""The engine's looks, against an API that tells of a pod a moment after its folder does."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from pathlib import Path
from typing import Any

from cove.core.job import Container, JobId, Resources, Run, run_id
from cove.core.lifecycle import Active, Exited
from cove.engines.kubernetes import KubernetesEngine, access, manifests
from cove.engines.kubernetes.api import Cluster
from cove.engines.kubernetes.config import KubernetesConfig
from cove.engines.kubernetes.volume import Volume

RESOURCES = Resources(1.0, 1 << 20, 1 << 20, 100, 10, 60, 1 << 10)


class Beginning:
    """A cluster in which a run's pod comes, takes the run and begins it right after the pods were first listed."""

    def __init__(self, run: Run, kept: Path, *, comes: bool) -> None:
        self._run = run
        self._kept = kept
        self._comes = comes
        self._pods: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        items = self._pods if b"/pods" in asked else [self._item(status={})]
        answer = json.dumps({"metadata": {"resourceVersion": "1"}, "items": items}).encode()
        if b"/pods" in asked and not (self._kept / "begun").exists():
            for name in ("taken", "begun"):
                (self._kept / name).mkdir()
            (self._kept / "pod").write_text('"own"')
            running = [{"name": name, "state": {"running": {}}} for name in (manifests.KEEPER, manifests.ALGORITHM)]
            if self._comes:
                self._pods = [self._item(status={"phase": "Running", "containerStatuses": running})]
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n" + answer)
        await writer.drain()
        writer.close()

    def _item(self, **more: Any) -> dict[str, Any]:
        return {"metadata": {"uid": "own", "labels": {manifests.RUN: self._run.id}}, **more}


async def look(folder: Path, *, comes: bool) -> object:
    run = Run(run_id(JobId(secrets.token_hex(16)), 1), Container("image", entrypoint="a"), (), (), RESOURCES)
    given = {"claim": "c", "folder": str(folder), "keeper_image": "k", "busybox": "/bin/true"}
    config = KubernetesConfig.model_validate(given)
    volume = Volume(folder, config.shell, first_uid=config.first_uid, uids=config.uids)
    volume.start()
    volume.lay(run)
    played = Beginning(run, volume.place(run.id) / "kept", comes=comes)
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = KubernetesEngine(config, {})
    engine._open = Cluster(
        access.Access(f"http://127.0.0.1:{port}", ssl.create_default_context(), lambda: "", "n"), "n"
    )
    try:
        return (await engine.observe([run.id]))[run.id]
    finally:
        await engine.close()
        server.close()


async def test_a_run_that_began_between_the_list_of_pods_and_its_folder_is_not_lost(tmp_path: Path) -> None:
    assert await look(tmp_path, comes=True) == Active(None)


async def test_a_run_whose_pod_is_not_there_when_one_looks_again_is_lost(tmp_path: Path) -> None:
    seen = await look(tmp_path, comes=False)
    assert isinstance(seen, Exited)
    assert seen.failure == "lost"
