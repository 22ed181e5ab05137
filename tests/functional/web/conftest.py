"""A Cove with its real database, nonces, results and key, served in this process; it has no engine, so no job moves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.house import house
from tests.support.jobs import ENVIRONMENT, a_job
from tests.support.outputs import released, written

from cove.core.job import Container, InputAsset, Job, Outcome, Package, Phase, ResultFile
from cove.core.policy import ALGORITHM_LOG, OUTPUT
from cove.crypto.keys import Account
from cove.jobs.reconciler import Reconciler
from cove.jobs.service import JobService
from cove.jobs.steps import pack
from cove.settings import ApiSettings, ChainSettings, LimitSettings, Settings
from cove.web.app import create_app
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove

__all__ = ["ENVIRONMENT", "house"]

CONTENT = bytes(range(256)) * 12_000
"""Three megabytes: more than one chunk of a stream."""


@dataclass
class Consumer:
    """An account that signs what it asks."""

    account: Account
    nonce: int = 0

    def signed(self, text: str, **fields: Any) -> dict[str, Any]:
        """Give fields with the address, a new nonce, and the signature over address, text and nonce."""
        self.nonce += 1
        address = self.account.address
        signature = self.account.sign_text(f"{address}{text}{self.nonce}")
        return {**fields, "consumerAddress": address, "nonce": str(self.nonce), "signature": signature}


PACKAGE = Package((InputAsset("did:op:" + "3" * 64, "1", None),), InputAsset("", "", None), Container("cove/host"), "")


@dataclass
class Site:
    """The service, and a way to call it."""

    cove: Cove
    http: httpx2.AsyncClient

    async def add(self, **changes: Any) -> Job:
        """Store a job that has not begun."""
        job = a_job(dataset_dids=("did:op:" + "3" * 64,), **changes)
        await self.cove.parts.store.add(job, b"package")
        return job

    async def add_finished(self, folder: Path, **changes: Any) -> Job:
        """Store a job that has ended, with a log, an output and a tar of both."""
        job = a_job(
            dataset_dids=("did:op:" + "3" * 64,),
            phase=Phase.DONE,
            outcome=Outcome.SUCCEEDED,
            finished_at=time.time(),
            **changes,
        )
        results = []
        for name, content, kind in (("algorithm.log", b"<script>\n", ALGORITHM_LOG), ("a/my sum.bin", CONTENT, OUTPUT)):
            output = released(name, content, kind)
            place = written(folder / job.id / name, content)
            key = self.cove.parts.results.put(job.id, 1, output, lambda place=place: place)  # type: ignore[misc]
            results.append(ResultFile(name, len(content), kind, output.sha256, key))
        job = replace(job, results=tuple(results))
        await self.cove.parts.store.add(job, self.cove.vault.seal(pack(PACKAGE)))
        return job


@pytest.fixture
def alice() -> Consumer:
    return Consumer(Account(b"\x01" * 32))


@pytest.fixture
def bob() -> Consumer:
    return Consumer(Account(b"\x02" * 32))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    settings = Settings(
        state_dir=tmp_path / "state",
        key="11" * 32,
        environments=(),
        chains=(ChainSettings(id=8996, rpc="http://127.0.0.1:9", factory="0x" + "f" * 40),),
        api=ApiSettings(max_body=100_000),
        limits=LimitSettings(failures=0),
    )
    async with open_cove(settings, loop=False) as house:
        parts = replace(house.parts, environments={ENVIRONMENT.id: ENVIRONMENT})
        loop = Reconciler(parts)
        cove = replace(house, parts=parts, environments=(ENVIRONMENT,), jobs=JobService(parts, loop))
        transport = httpx2.ASGITransport(create_app(cove), raise_app_exceptions=True)
        async with httpx2.AsyncClient(transport=transport, base_url="http://cove.example") as http:
            yield Site(cove, http)
        await loop.close()
