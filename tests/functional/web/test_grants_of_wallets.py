"""Grants whose consumer, or whose owner, is a contract wallet on a chain that stands beside the catalogue."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chain import Ocean
from tests.support import catalogue
from tests.support.catalogue import CONSUMER, NONCES, OWNER, STRANGER, Home
from tests.support.house import SharedChain, chain_settings
from tests.support.wallets import deploy_wallet

from cove.access.grants import Wish
from cove.client import Signer
from cove.core.errors import Forbidden, Unavailable
from cove.metadata.folder import write_asset


class Line:
    """The way to the session's chain, which a test can break."""

    def __init__(self, ocean: Ocean) -> None:
        self._chain = SharedChain(ocean.chain)
        self.down = False

    async def call(self, method: str, params: Any = ()) -> object:
        if self.down:
            raise Unavailable("chain 8996")
        return await self._chain.call(method, params)

    async def close(self) -> None:
        """Leave it open."""


@pytest.fixture
def line(ocean: Ocean) -> Line:
    return Line(ocean)


@pytest.fixture
async def home(ocean: Ocean, line: Line, tmp_path: Path) -> AsyncIterator[Home]:
    async with catalogue.opened(tmp_path, connect=lambda _: line, chains=(chain_settings(ocean),)) as made:
        yield made


async def start(home: Home, grant: str, account: str, by: Signer) -> httpx2.Response:
    nonce, did = str(next(NONCES)), home.dataset
    return await home.http.post("/api/services/compute", json={
        "consumerAddress": account, "nonce": nonce, "environment": "default", "algorithm": catalogue.RAW,
        "dataset": {"documentId": did, "serviceId": "0", "transferTxId": grant},
        "signature": by.sign(f"{account}{did}{nonce}"),
    })  # fmt: skip


async def test_a_wallet_uses_what_was_granted_to_it(home: Home, ocean: Ocean) -> None:
    wallet = await deploy_wallet(ocean.publisher, CONSUMER.address)
    grant = await home.grant(consumer=wallet)
    refused = await start(home, grant, wallet, STRANGER)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_signature")
    answer = await start(home, grant, wallet, CONSUMER)
    assert answer.status_code == 200, answer.text
    job = await home.done(answer.json()[0]["jobId"])
    assert (job["owner"], job["outcome"]) == (wallet, "succeeded")
    other = await home.grant(consumer=wallet)  # it is the wallet's, and not that of who signs for it
    assert "another service or consumer" in (await home.start(other, by=CONSUMER)).json()["hint"]


async def test_a_wallet_grants_what_it_owns(home: Home, ocean: Ocean, line: Line) -> None:
    wallet = await deploy_wallet(ocean.publisher, OWNER.address)
    did = await catalogue.shelve(home.folder / "catalogue", "table.csv", owner=wallet)
    wish = Wish(CONSUMER.address, did, None, int(time.time()) + 600, 9)
    with pytest.raises(Forbidden, match="belongs to"):
        await home.desk.create(wish, STRANGER)
    record, _ = await home.desk.create(wish, OWNER)
    ledger = home.cove.parts.ledgers[catalogue.CHAIN]
    receipt = await ledger.receipt(record.id)
    assert receipt is not None
    assert receipt.grant is not None
    assert (receipt.grant.signer, receipt.grant.owner) == (wallet, wallet)
    line.down = True
    with pytest.raises(Unavailable):
        await ledger.receipt(record.id)
    own = await home.grant()
    assert await ledger.receipt(own) is not None  # a key's signature asks no chain
    line.down = False
    asset = await home.cove.parts.metadata[catalogue.CHAIN].asset(did)
    other = await deploy_wallet(ocean.publisher, STRANGER.address)
    write_asset(home.folder / "catalogue", json.loads(asset.document), other, 0)
    after = await ledger.receipt(record.id)
    assert after is not None
    assert after.grant is not None
    assert (after.grant.signer, after.grant.owner) == (OWNER.address, other)  # whom it says no more
