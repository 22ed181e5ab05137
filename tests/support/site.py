"""A house without a chain: jobs are put into its store as if they had just been accepted, and the loop is real."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from tests.support.jobs import a_job
from tests.support.policies import UNCHECKED, policy_folder

from cove.core.delivery import kinds_of
from cove.core.job import Container, InputAsset, Job, JobId, Package, PeerFiles, Phase, SealedFiles
from cove.jobs.steps import pack
from cove.settings import Settings
from cove.wiring.house import Cove

DID = "did:op:" + "a" * 64
INPUT = f"/data/inputs/{'a' * 64}/0"
NFT, TOKEN, PUBLISHER = "0x" + "2" * 40, "0x" + "3" * 40, "0x" + "4" * 40
CHECKSUM = "sha256:" + "0" * 64


def settings(folder: Path, *, environment: Mapping[str, Any] | None = None, **changes: Any) -> Settings:
    """Give settings with one environment, and a root named ``data`` below the folder."""
    fields: dict[str, Any] = {
        "state_dir": folder / "state",
        "key": SecretStr("11" * 32),
        "environments": ({"id": "default", "memory": 256 << 20, "disk": 64 << 20, **(environment or {})},),
        "local": {"data": {"path": folder / "data", "publishers": ("*",)}},
        "policies": policy_folder(folder),
        "poll_seconds": 0.5,
    }
    return Settings(**{**fields, **changes})


@dataclass
class Site:
    """Puts jobs in, and waits for their ends by the loop's own news."""

    cove: Cove
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Listen to the loop."""
        self.cove.reconciler.listeners.add(lambda _: self._changed.set())

    async def add(
        self,
        code: str,
        files: Sequence[Mapping[str, object]] | PeerFiles = (),
        *,
        algorithm: Sequence[Mapping[str, object]] | PeerFiles | None = None,
        **changes: Any,
    ) -> JobId:
        """Store a job: raw code on one dataset with these files, or a published algorithm with those."""
        parts = self.cove.parts
        seconds = changes.pop("seconds", 30)
        policy = changes.pop("policy", UNCHECKED)
        output = changes.pop("output", None)
        container = changes.pop("container", Container("cove/host", "", CHECKSUM, "python3 $ALGO"))
        package = Package(
            (InputAsset(DID, "1", self._sealed(files), publisher=PUBLISHER),),
            InputAsset("did:op:" + "b" * 64, "1", self._sealed(algorithm), publisher=PUBLISHER)
            if algorithm is not None
            else InputAsset("", "", None),
            container,
            code if algorithm is None else None,
            policy=policy,
            output=output,
        )
        limits = replace(parts.environments["default"].resources, time_seconds=seconds)
        job = a_job(
            dataset_dids=(DID,),
            resources=limits,
            created_at=time.time(),
            expires_at=0.0,
            onward=kinds_of(output),
            **changes,
        )
        await parts.store.add(job, parts.vault.seal(pack(package)))
        self.cove.reconciler.accepted(job.environment)
        return job.id

    async def done(self, job_id: JobId, seconds: float = 120) -> Job:
        """Give a job once it is done."""
        return await self.until(job_id, lambda job: job.phase is Phase.DONE, seconds)

    async def until(self, job_id: JobId, holds: Any, seconds: float = 120) -> Job:
        """Give a job once something holds of it."""
        async with asyncio.timeout(seconds):
            while True:
                self._changed.clear()
                job = await self.cove.parts.store.get(job_id)
                assert job is not None
                if holds(job):
                    return job
                await self._changed.wait()

    async def gone(self, job_id: JobId, seconds: float = 120) -> None:
        """Return once a job is forgotten."""
        async with asyncio.timeout(seconds):
            while True:
                self._changed.clear()
                if await self.cove.parts.store.get(job_id) is None:
                    return
                await self._changed.wait()

    async def text(self, job: Job, name: str) -> str:
        """Give the text of one of a job's results."""
        (found,) = [result for result in job.results if result.filename == name]
        return b"".join([part async for part in self.cove.parts.results.read(found.key, 0, found.filesize)]).decode()

    def left_behind(self) -> list[str]:
        """Name what lies in the workspaces and in the engine's folder."""
        state = self.cove.parts.workspaces.parent
        return [str(entry) for name in ("workspaces", "engine") for entry in (state / name).iterdir() if entry.is_dir()]

    def _sealed(self, files: Sequence[Mapping[str, object]] | PeerFiles | None) -> SealedFiles | PeerFiles:
        if isinstance(files, PeerFiles):
            return files
        plain = {"datatokenAddress": TOKEN, "nftAddress": NFT, "files": list(files or ())}
        return SealedFiles("0x" + self.cove.vault.encrypt(json.dumps(plain).encode()).hex(), TOKEN, NFT)
