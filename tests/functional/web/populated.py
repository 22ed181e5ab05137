"""A house with something in it: assets, orders and jobs, for requests that are made by the thousand."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.support.generated import Known
from tests.support.held import digest, store_held
from tests.support.house import NONCES, RAW, House, signer

from cove.client.market import AssetDraft, Published, ServiceDraft, mint, order, publish
from cove.core.airlock import ReviewState, file_key
from cove.core.job import JobId
from cove.ports import JobQuery

ORDERS = 4
FILE = [{"type": "local", "root": "data", "path": "table.csv"}]
COMPUTE = "/api/services/compute"
CONTAINER = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": "sha256:" + "0" * 64}


@dataclass
class World(Known):
    """What requests may name, and the house that knows it."""

    house: House
    #: Ids of jobs that have ended; requests delete some of them, and start some again.
    jobs: list[str]

    #: One auth token, for requests that take it back; what stands for signatures is another.
    tokens: list[str]

    #: Another one's job whose results wait for a review, and what stands for its file.
    held: dict[str, str]

    async def restock(self) -> None:
        """See that there are jobs and a token, where requests took some away."""
        self.tokens[0] = await _token(self.house)
        review = await self.house.cove.parts.reviews.get(JobId(self.held["jobId"]))
        if review is None or review.state is not ReviewState.OPEN:
            self.held.update(await _held(self.house))
        self.next_nonce = itertools.count(int(await _fresh(self.house))).__next__
        for place, job_id in enumerate(self.jobs):
            job = await self.house.cove.parts.store.get(JobId(job_id))
            if job is None or job.delete_requested_at is not None:
                self.jobs[place] = await _ended(self.house)


@contextlib.asynccontextmanager
async def populated(house: House) -> AsyncIterator[World]:  # noqa: C901 - a function for each kind of request
    """Fill a house; at the end no job of it goes on."""
    ocean, owner = house.ocean, house.ocean.consumer.address
    table = await _publish(house, "A table to download", ServiceDraft("access", FILE, "http://cove"))
    algorithm = await _publish(house, "Code", ServiceDraft("access", FILE, "http://cove"), type="algorithm")
    orders = [await house.paid() for _ in range(ORDERS)]
    bought = [await _bought(house, asset) for asset in (table, algorithm)]
    jobs = [await _ended(house), await _ended(house)]
    tokens = [await _token(house)]
    waits = await _held(house)
    chance = random.Random(1)  # noqa: S311 - for tests

    def good_start() -> dict[str, Any]:
        published = {"documentId": algorithm.did, "serviceId": "0", "transferTxId": bought[1]}
        return {
            "environment": "default",
            "dataset": _item(house.dataset, chance.choice(orders)),
            "algorithm": chance.choice([RAW, RAW, published]),
            "additionalDatasets": chance.choice([[], [], [_item(table, bought[0])]]),
        }

    def again() -> dict[str, Any]:
        return chance.choice([{"jobId": jobs[0]}, {"jobId": jobs[1], "refreshInputs": True}, {"jobId": "0" * 32}])

    def start() -> dict[str, Any]:
        return chance.choice([good_start, good_start, again])()

    def free() -> dict[str, Any]:
        begun = good_start()
        return {
            "environment": "default",
            "datasets": [begun["dataset"], *begun["additionalDatasets"]],
            "algorithm": begun["algorithm"],
            "resources": [{"id": chance.choice(["cpu", "ram", "disk"]), "amount": chance.choice([0.5, 1, 7])}],
            "metadata": {"name": "a job"},
            "additionalViewers": [ocean.stranger.address],
        }

    def quote() -> dict[str, Any]:
        begun = good_start()
        if chance.random() < 0.5:
            asked = {name: value for name, value in free().items() if name in {"environment", "datasets", "algorithm"}}
            payment = {"chainId": ocean.chain.chain_id, "token": ocean.addresses.fee_token, "resources": []}
            return {**asked, "payment": payment, "consumerAddress": owner}
        return {
            "datasets": [begun["dataset"], *begun["additionalDatasets"]],
            "algorithm": begun["algorithm"],
            "compute": {"env": "default", "validUntil": int(time.time()) + 300},
            "consumerAddress": owner,
        }

    def chosen() -> dict[str, Any]:
        return chance.choice([{"jobId": jobs[0]}, {"jobId": jobs[1]}, {"documentId": house.dataset.did}])

    def file() -> dict[str, Any]:
        return {"documentId": table.did, "serviceId": "0", "transferTxId": bought[0], "consumerAddress": owner}

    sealed = "0x" + house.cove.vault.encrypt(b"{}").hex()  # type: ignore[attr-defined]
    world = World(
        values={
            "consumerAddress": [owner, ocean.stranger.address],
            "address": [owner],
            "userAddress": [owner],
            "decrypterAddress": [owner],
            "documentId": [house.dataset.did, table.did, algorithm.did],
            "did": [house.dataset.did, table.did, "did:op:" + "0" * 64],
            "chain": [str(ocean.chain.chain_id), "1"],
            "serviceId": ["0", "0", "1"],
            "transferTxId": [*orders, *bought],
            "agreementId": orders,
            "jobId": jobs,
            "index": ["0", "1", "2", "3", "9"],
            "fileIndex": ["0", "1"],
            "environment": ["default"],
            "env": ["default"],
            "validUntil": [str(int(time.time()) + 300), "0"],
            "expiration": [str(int(time.time()) + 300)],
            "chainId": [str(ocean.chain.chain_id)],
            "dataNftAddress": [house.dataset.nft, table.nft],
            "transactionId": [house.dataset.tx_id, *orders],
            "encryptedDocument": [sealed, "0x00"],
            "documentHash": ["0x" + "0" * 64],
            "flags": ["0", "1", "2", "3"],
            "container": [CONTAINER],
            "token": tokens,
            "file": ["0" * 32, file_key("output", "rows.csv")],
            "url": ["http://127.0.0.1:1/x", "http://[::1]/", "ftp://127.0.0.1/"],
            "type": ["url", "ipfs", "arweave", "graphql", "smartcontract", "s3", "local"],
        },
        good={
            f"POST {COMPUTE}": start,
            "POST /api/services/freeCompute": free,
            "GET /api/services/computeStreamableLogs": lambda: {"jobId": jobs[0]},
            "POST /api/services/auth/token/invalidate": lambda: {"token": tokens[0]},
            f"GET {COMPUTE}": chosen,
            f"PUT {COMPUTE}": chosen,
            f"DELETE {COMPUTE}": chosen,
            f"GET {COMPUTE}Result": lambda: {"jobId": jobs[0], "index": "2"},
            "POST /api/services/initializeCompute": quote,
            "GET /api/services/initialize": file,
            "GET /api/services/download": file,
            "POST /api/services/fileinfo": lambda: {"did": table.did, "serviceId": "0", "checksum": True},
            "POST /api/services/validateContainer": CONTAINER.copy,
            "POST /api/aquarius/assets/names": lambda: {"didList": [table.did]},
            "POST /api/aquarius/assets/query": lambda: {"query": {"term": {"_id": table.did}}},
            "POST /api/services/decrypt": lambda: {
                "chainId": str(ocean.chain.chain_id),
                "dataNftAddress": house.dataset.nft,
                "transactionId": house.dataset.tx_id,
            },
            "GET /api/services/createAuthToken": lambda: {"expiration": str(int(time.time()) + 300)},
            "DELETE /api/services/deleteAuthToken": lambda: {"token": tokens[0]},
            "GET /api/services/reviews": lambda: chance.choice([{}, {"jobId": waits["jobId"]}, _file_of(waits)]),
            "GET /api/services/reviewFile": lambda: _file_of(waits),
            "POST /api/services/reviewVote": lambda: {
                **waits,
                "reason": "I looked",
                "decision": chance.choice(["approve", "reject", "return"]),
            },
        },
        signed={
            f"POST {COMPUTE}": ("consumerAddress", "jobId", "dataset.documentId"),
            "POST /api/services/freeCompute": ("consumerAddress", "+freeStartCompute"),
            "GET /api/services/computeStreamableLogs": ("consumerAddress", "+getComputeStreamableLogs"),
            "POST /api/services/auth/token": ("address", "+createAuthToken"),
            "POST /api/services/auth/token/invalidate": ("address", "+invalidateAuthToken"),
            f"GET {COMPUTE}": ("consumerAddress", "jobId", "documentId"),
            f"PUT {COMPUTE}": ("consumerAddress", "jobId", "documentId"),
            f"DELETE {COMPUTE}": ("consumerAddress", "jobId", "documentId"),
            "GET /api/services/computeResult": ("consumerAddress", "jobId", "index"),
            "GET /api/services/download": ("documentId",),
            "POST /api/services/decrypt": ("transactionId", "decrypterAddress", "chainId"),
            "GET /api/services/createAuthToken": ("address",),
            "DELETE /api/services/deleteAuthToken": ("address",),
            "GET /api/services/reviews": ("consumerAddress", "=reviews", "jobId", "file"),
            "GET /api/services/reviewFile": ("consumerAddress", "=reviews", "jobId", "file"),
            "POST /api/services/reviewVote": (
                "consumerAddress",
                "=reviewVote",
                "jobId",
                "file",
                "sha256",
                "decision",
                "reason",
                "=\n",
            ),
        },
        account_field={
            "POST /api/services/decrypt": "decrypterAddress",
            "GET /api/services/createAuthToken": "address",
            "DELETE /api/services/deleteAuthToken": "address",
            "POST /api/services/auth/token": "address",
            "POST /api/services/auth/token/invalidate": "address",
        },
        account=owner,
        sign=signer(ocean.consumer).sign,
        token=await _token(house),
        next_nonce=lambda: next(NONCES),
        chance=chance,
        house=house,
        jobs=jobs,
        tokens=tokens,
        held=waits,
    )
    try:
        yield world
    finally:
        for view in await house.cove.jobs.stop(JobQuery(owner=owner)):
            if view.job.finished_at is None:
                await house.done(view.job.id)


async def _ended(house: House) -> str:
    started = await house.start(nonce=await _fresh(house), dataset=_item(house.dataset, await house.paid()))
    assert started.status_code == 200, started.text
    job_id: str = started.json()[0]["jobId"]
    await house.done(job_id)
    return job_id


def _file_of(held: dict[str, str]) -> dict[str, str]:
    return {"jobId": held["jobId"], "file": held["file"]}


async def _held(house: House) -> dict[str, str]:
    parts, content = house.cove.parts, b"Ann,41\nBob,42\n"
    source = parts.workspaces.parent / "source"
    stranger = house.ocean.stranger.address
    job = await store_held(
        parts.store, parts.reviews, parts.airlock, house.cove.vault, source, stranger, {"rows.csv": content}
    )
    return {"jobId": job.id, "file": file_key("output", "rows.csv"), "sha256": digest(content)}


async def _publish(house: House, name: str, service: ServiceDraft, **about: Any) -> Published:
    if about.get("type") == "algorithm":
        about["algorithm"] = {"language": "python", "version": "1", "container": CONTAINER}
    draft = AssetDraft(name, [service], **about)
    return await publish(house.ocean.publisher, house.ocean.addresses.factory, draft, house.ocean.encrypt)


async def _bought(house: House, asset: Published) -> str:
    await mint(house.ocean.publisher, asset.datatoken, house.ocean.consumer.address)
    fee = house.ocean.fee(asset.datatoken, service_id="0", environment=None)
    return await order(house.ocean.consumer, asset.datatoken, fee)


def _item(asset: Published, tx: str) -> dict[str, str]:
    return {"documentId": asset.did, "serviceId": "0", "transferTxId": tx}


async def _fresh(house: House) -> str:
    """Give a nonce beyond the last one, which a request that was drawn with a token may have driven up."""
    last = await house.cove.nonces.last(house.ocean.consumer.address)
    beyond = int(Decimal(last or "0")) + 1
    return str(max(next(NONCES), beyond))


async def _token(house: House) -> str:
    owner = house.ocean.consumer.address
    nonce = await _fresh(house)
    signature = signer(house.ocean.consumer).sign(f"{owner}{nonce}")
    asked = {"address": owner, "nonce": nonce, "expiration": str(int(time.time()) + 3600), "signature": signature}
    answer = await house.http.get("/api/services/createAuthToken", params=asked)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])
