"""Released results that become an asset of their consumer's: real jobs, the real contracts, and kills at every step."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.chain import Ocean
from tests.support.house import NONCES, House, chain_settings, opened, signer

from cove.access.publishing import AssetCarrier, PublishingParts
from cove.client.buying import Item, order_once
from cove.client.journal import Journal
from cove.client.market import AssetDraft, ServiceDraft, Wallet, publish
from cove.core.delivery import Delivery, DeliveryKind, DeliveryState
from cove.core.errors import SettingsWrong
from cove.core.job import Job, JobId
from cove.metadata.indexer import Indexer
from cove.metadata.onchain import OnChainMetadata
from cove.wiring.publishing import Node

METADATA: Mapping[str, Any] = {
    "name": "Mean of a table",
    "description": "What a job computed.",
    "author": "Consumer",
    "license": "https://example.org/terms",
    "tags": ["mean"],
    "additionalInformation": {"unit": "mmHg"},
}
WANTED = {"publishOutput": True, "publishAlgorithmLog": True, "metadata": dict(METADATA)}


class Killed(BaseException):
    """The process is gone."""


def publishing(ocean: Ocean, **changes: Any) -> dict[str, Any]:
    given = {
        "allowed": True,
        "key": SecretStr(ocean.chain.accounts[4].private_key),
        "max_cost": "1",
        "max_cost_per_day": "10",
    }
    return {"publishing": given | changes, "listen": {"public_url": "http://cove"}}


def payer(ocean: Ocean) -> Wallet:
    return Wallet(ocean.chain.accounts[4].private_key, ocean.chain)


async def sent_by(wallet: Wallet) -> int:
    return int(str(await wallet._ask("eth_getTransactionCount", wallet.address, "latest")), 16)


async def started(house: House, output: Any = WANTED) -> str:
    dataset = {"documentId": house.dataset.did, "serviceId": "0", "transferTxId": await house.paid()}
    answer = await house.start(dataset=dataset, output=output)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0]["jobId"])


async def until(house: House, job_id: str, holds: Callable[[Delivery], bool]) -> Delivery:
    store, changed = house.cove.deliveries.parts.store, asyncio.Event()
    house.cove.deliveries.listeners.add(lambda _: changed.set())
    await house.done(job_id)
    async with asyncio.timeout(120):
        while True:
            changed.clear()
            found = await store.of(JobId(job_id))
            if found and holds(found[0]):
                return found[0]
            await changed.wait()


async def published(house: House, job_id: str) -> str:
    """Give the DID that a job's results got."""
    found = await until(house, job_id, lambda one: one.state is not DeliveryState.OPEN)
    assert found.state is DeliveryState.DONE, found.note
    (status,) = (await house.http.get("/api/services/compute", params={"jobId": job_id})).json()
    assert status["resultsDid"] == found.progress
    return str(status["resultsDid"])


async def downloaded(house: House, folder: Path, did: str, index: int) -> Any:
    """Order the consumer's asset as its new owner can, and fetch one of its files."""
    wallet = house.ocean.consumer
    asked = {"documentId": did, "serviceId": "0", "consumerAddress": wallet.address}
    quote = (await house.http.get("/api/services/initialize", params=asked)).json()
    item = Item("dataset", quote["datatoken"], 0, quote["providerFee"])
    tx_id = await order_once(wallet, Journal(folder / f"order-{index}", {}), item)
    nonce = str(next(NONCES))
    proof = {"nonce": nonce, "signature": signer(wallet).sign(f"{did}{nonce}")}
    return await house.http.get(
        "/api/services/download", params={**asked, "transferTxId": tx_id, "fileIndex": index, **proof}
    )


async def test_results_become_an_asset_of_the_consumers_that_outlives_the_job(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **publishing(ocean)) as house:
        consumer, before = ocean.consumer, await sent_by(payer(ocean))
        job_id = await started(house)
        did = await published(house, job_id)
        assert await sent_by(payer(ocean)) == before + 3
        (finding,) = await house.cove.deliveries.examine()
        assert finding.ok
        assert payer(ocean).address in finding.seen
        ddo = (await house.http.get(f"/api/aquarius/assets/ddo/{did}")).json()
        assert ddo["metadata"]["name"] == METADATA["name"]
        assert ddo["metadata"]["tags"] == ["mean"]
        assert ddo["nft"]["owner"] == consumer.address
        said = ddo["metadata"]["additionalInformation"]
        assert said["unit"] == "mmHg"
        origin = said["provenance"]
        assert origin["inputs"] == [{"did": house.dataset.did, "serviceId": "0"}]
        assert origin["provider"] == house.cove.vault.address
        assert len(origin["algorithm"]["files"]) == 1
        job = await house.cove.parts.store.get(JobId(job_id))
        assert job is not None
        assert origin["receipt"] == job.results[-1].sha256
        assert job_id not in json.dumps(ddo)

        nft = ddo["nftAddress"]
        (mine,) = await consumer.call(nft, "getPermissions(address)", [consumer.address], "((bool,bool,bool,bool))")
        assert mine == (True, True, True, True)
        (theirs,) = await consumer.call(
            nft, "getPermissions(address)", [payer(ocean).address], "((bool,bool,bool,bool))"
        )
        assert theirs == (False, False, False, False)
        await house.cove.jobs.delete(replace(_query(job_id), owner=job.owner))
        await _gone(house, job_id)
        for index, content in ((0, b"7"), (1, b"done\n")):
            fetched = await downloaded(house, tmp_path, did, index)
            assert (fetched.status_code, fetched.content) == (200, content), fetched.text
        assert (await downloaded(house, tmp_path, did, 2)).status_code == 400


def _query(job_id: str) -> Any:
    from cove.ports import JobQuery  # noqa: PLC0415 - once

    return JobQuery(job_id=JobId(job_id))


async def _gone(house: House, job_id: str) -> None:
    async with asyncio.timeout(120):
        while await house.cove.parts.store.get(JobId(job_id)) is not None:
            await house.cove.jobs.wait_change(JobId(job_id), 0.5)


async def test_who_may_publish_is_the_owners_to_say(ocean: Ocean, tmp_path: Path) -> None:
    stranger = publishing(ocean, consumers=(ocean.stranger.address,))
    for number, settings in enumerate(({}, stranger)):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o755)
        async with opened(ocean, folder, **settings) as house:
            dataset = {"documentId": house.dataset.did, "serviceId": "0", "transferTxId": "0x" + "9" * 64}
            refused = await house.start(dataset=dataset, output=WANTED)
            assert refused.status_code == 400
            assert refused.json()["error"] == {"output.publishOutput": "publishing_not_allowed"}
            assert "computeResult" in refused.json()["hint"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "abc"}, "output.metadata.name"),
        ({"description": None}, "output.metadata.description"),
        ({"license": 1}, "output.metadata.license"),
        ({"tags": [1]}, "output.metadata.tags[0]"),
        ({"type": "algorithm"}, "output.metadata.type"),
        ({"licence": "x"}, "output.metadata.licence"),
        ({"additionalInformation": {"provenance": 1}}, "output.metadata.additionalInformation.provenance"),
        ({"additionalInformation": "x"}, "output.metadata.additionalInformation"),
        ({"description": "x" * 20_000}, "output.metadata"),
    ],
)
async def test_mistakes_in_the_metadata_are_named(
    ocean: Ocean, tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    async with opened(ocean, tmp_path, **publishing(ocean)) as house:
        refused = await house.start(output={**WANTED, "metadata": {**METADATA, **changes}})
        assert refused.status_code == 400
        assert list(refused.json()["errors"]) == [field]


async def test_what_costs_more_than_the_owner_pays_is_not_begun(
    ocean: Ocean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cove.access.deliveries.PAUSES", (0.05,))
    before = await sent_by(payer(ocean))
    little = publishing(ocean, max_cost="0.000000000001", max_cost_per_day="1")
    async with opened(ocean, tmp_path, **little) as house:
        job_id = await started(house)
        found = await until(house, job_id, lambda one: one.state is DeliveryState.FAILED)
        assert "costs more than the provider pays" in found.note
        (status,) = (await house.http.get("/api/services/compute", params={"jobId": job_id})).json()
        assert status["resultsDid"] == ""
        assert status["deliveries"][0]["note"] == found.note
        assert [one["filename"] for one in status["results"]][-2:] == ["outputs.tar", "receipt.json"]
    assert await sent_by(payer(ocean)) == before


@pytest.mark.parametrize(("limits", "words"), [({"max_assets_per_day": 1}, "no more results today"), ({}, "in a day")])
async def test_a_days_limit_counts_all_assets(
    ocean: Ocean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr("cove.access.deliveries.PAUSES", ())
    async with opened(ocean, tmp_path, **publishing(ocean, **limits)) as house:
        await published(house, await started(house))
        carrier = house.cove.deliveries.parts.carriers[DeliveryKind.ASSET]
        assert isinstance(carrier, AssetCarrier)
        (journal,) = carrier.parts.journals.glob("*.json")
        spent = sum(int(one["wei"]) for one in json.loads(journal.read_text())["facts"]["costs"].values())
        spending = replace(carrier.parts.spending, per_day=spent + 1)
        carrier.parts = replace(carrier.parts, spending=spending)
        second = await started(house)
        found = await until(house, second, lambda one: one.state is DeliveryState.FAILED)
        assert words in found.note


async def test_a_job_without_results_publishes_none(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **publishing(ocean)) as house:
        raw = {
            "meta": {
                "rawcode": "raise SystemExit(3)",
                "container": {"entrypoint": "python3 $ALGO", "image": "cove/host", "checksum": "sha256:" + "0" * 64},
            }
        }
        dataset = {"documentId": house.dataset.did, "serviceId": "0", "transferTxId": await house.paid()}
        answer = await house.start(dataset=dataset, output=WANTED, algorithm=raw)
        job_id = answer.json()[0]["jobId"]
        found = await until(house, job_id, lambda one: one.state is DeliveryState.FAILED)
        assert "no released outputs" in found.note


async def test_nobody_reads_the_results_of_others_through_a_list_of_their_own(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **publishing(ocean)) as house:
        did = await published(house, await started(house))
        ddo = (await house.http.get(f"/api/aquarius/assets/ddo/{did}")).json()
        nft = str(ddo["nftAddress"]).lower()
        for number, entry in enumerate(({}, {"nft": nft}, {"filename": f"../{nft}/0"})):
            file = {"type": "result", "index": 0, **entry}
            draft = AssetDraft(f"Theft {number}", [ServiceDraft("access", [file], "http://cove", 0)])
            stolen = await publish(ocean.stranger, ocean.addresses.factory, draft, ocean.encrypt)
            (seen,) = (
                await house.http.post("/api/services/fileinfo", json={"did": stolen.did, "serviceId": "0"})
            ).json()
            assert seen["valid"] is False
        (seen,) = (await house.http.post("/api/services/fileinfo", json={"type": "result", "index": 0})).json()
        assert seen["valid"] is False
        (seen,) = (await house.http.post("/api/services/fileinfo", json={"did": did, "serviceId": "0"})).json()[:1]
        assert seen["valid"] is True


class LookedAt:
    """A node; the index reads the chain to its head just before each transaction."""

    def __init__(self, ocean: Ocean, indexer: Indexer) -> None:
        self._chain = Node(ocean.chain)
        self._indexer = indexer

    async def exchange(self, body: Mapping[str, object]) -> object:
        if body["method"] == "eth_sendRawTransaction":
            await self._indexer.sync()
        return await self._chain.exchange(body)


async def test_an_asset_that_a_status_names_is_shown_as_its_consumers(
    ocean: Ocean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cove.wiring.chains.BELIEVED_SECONDS", 3600.0)
    chain = chain_settings(ocean).model_copy(update={"index_seconds": 3600.0})
    async with opened(ocean, tmp_path, chains=(chain,), **publishing(ocean)) as house:
        metadata = house.cove.parts.metadata[chain.id]
        carrier = house.cove.deliveries.parts.carriers[DeliveryKind.ASSET]
        assert isinstance(metadata, OnChainMetadata)
        assert isinstance(carrier, AssetCarrier)
        node, secret = LookedAt(ocean, metadata.indexer), ocean.chain.accounts[4].private_key
        carrier.parts = replace(carrier.parts, wallet=lambda allow: Wallet(secret, node, allow=allow))
        did = await published(house, await started(house))
        ddo = (await house.http.get(f"/api/aquarius/assets/ddo/{did}")).json()
        assert ddo["nft"]["owner"] == ocean.consumer.address


class Deadly:
    """A node; the process dies before, or after, its call of this number."""

    def __init__(self, ocean: Ocean, number: int, *, answered: bool) -> None:
        self._chain = Node(ocean.chain)
        self._left = number
        self._answered = answered

    async def exchange(self, body: Mapping[str, object]) -> object:
        self._left -= 1
        if self._left == 0 and not self._answered:
            raise Killed
        answer = await self._chain.exchange(body)
        if self._left == 0:
            raise Killed
        return answer


async def test_they_are_published_once_however_often_the_service_is_killed(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **publishing(ocean)) as house:
        job_id = await started(house)
        await published(house, job_id)
        carrier = house.cove.deliveries.parts.carriers[DeliveryKind.ASSET]
        assert isinstance(carrier, AssetCarrier)
        job = await house.cove.parts.store.get(JobId(job_id))
        assert job is not None
        before, dids, kills = await sent_by(payer(ocean)), [], 0
        for number, answered in ((number, answered) for number in range(1, 200) for answered in (False, True)):
            # Each time as if nothing had been done for this job yet.
            parts = replace(
                carrier.parts,
                journals=tmp_path / f"{number}-{answered}",
                spending=replace(carrier.parts.spending, per_day=10**30, per_asset=10**24),
            )
            did, killed = await _survive(ocean, parts, job, number, answered=answered)
            dids.append(did)
            kills += killed
            if not killed:
                break
        assert kills > 30
        assert len(set(dids)) == len(dids)
        assert await sent_by(payer(ocean)) == before + 3 * len(dids)
        for did in dids:
            asset = (await house.http.get(f"/api/aquarius/assets/ddo/{did}")).json()
            assert asset["nft"]["owner"] == ocean.consumer.address


async def _survive(ocean: Ocean, parts: PublishingParts, job: Job, number: int, *, answered: bool) -> tuple[str, bool]:
    """Publish, be killed at a call of the chain, and go on in a new process; give the DID, and whether that was so."""
    noted: list[str] = []

    async def keep(progress: str) -> None:
        noted.append(progress)

    def at(node: Any) -> AssetCarrier:
        secret = ocean.chain.accounts[4].private_key
        return AssetCarrier(replace(parts, wallet=lambda allow: Wallet(secret, node, allow=allow)))

    delivery = Delivery(job.id, job.attempt, DeliveryKind.ASSET)
    try:
        await at(Deadly(ocean, number, answered=answered)).carry(delivery, job, keep)
    except Killed:
        await at(Node(ocean.chain)).carry(delivery, job, keep)
        return noted[-1], True
    return noted[-1], False


@pytest.mark.parametrize("failing", ["keep", "package"])
async def test_what_fails_beside_the_chain_is_gone_on_with(ocean: Ocean, tmp_path: Path, failing: str) -> None:
    async with opened(ocean, tmp_path, **publishing(ocean)) as house:
        job_id = await started(house)
        await published(house, job_id)
        carrier = house.cove.deliveries.parts.carriers[DeliveryKind.ASSET]
        assert isinstance(carrier, AssetCarrier)
        job = await house.cove.parts.store.get(JobId(job_id))
        assert job is not None
        before = await sent_by(payer(ocean))
        parts = replace(carrier.parts, journals=tmp_path / "other")
        calls = 0

        def dies(*given: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2 or failing == "package":
                raise Killed
            return getattr(parts, failing)(*given)

        delivery = Delivery(job.id, job.attempt, DeliveryKind.ASSET)
        with pytest.raises(Killed):
            await AssetCarrier(replace(parts, **{failing: dies})).carry(delivery, job, _forget)
        await AssetCarrier(parts).carry(delivery, job, _forget)
        await AssetCarrier(parts).carry(delivery, job, _forget)
        assert await sent_by(payer(ocean)) == before + 3


async def _forget(_: str) -> None:
    """Keep nothing."""


async def test_an_account_without_coin_says_so_to_its_owner_alone(
    ocean: Ocean, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cove.access.deliveries.PAUSES", ())
    poor = publishing(ocean, key=SecretStr("0x" + "7" * 64))
    async with opened(ocean, tmp_path, **poor) as house:
        found = await until(house, await started(house), lambda one: one.state is DeliveryState.FAILED)
        assert found.note == "The chain did not take the asset yet; the results can be fetched here."
        given_up, account = await house.cove.deliveries.examine()
        assert not given_up.ok
        assert not account.ok
        assert "has 0 coins" in account.seen
    assert "are not published yet" in caplog.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"listen": {"public_url": ""}}, "listen.public_url"),
        ({"publishing": {"key": SecretStr("")}}, "publishing.key"),
        ({"publishing": {"chain": 1}}, "which chain"),
        ({"publishing": {"key_file": "/nowhere"}}, "publishing.key"),
    ],
)
async def test_settings_that_cannot_be_are_said(
    ocean: Ocean, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    given = publishing(ocean)
    merged = {name: part | changes.get(name, {}) for name, part in given.items()}
    with pytest.raises(SettingsWrong, match=words):
        async with opened(ocean, tmp_path, **merged):
            pass


async def test_the_account_of_proofs_is_another_one(ocean: Ocean, tmp_path: Path) -> None:
    same = publishing(ocean, key=SecretStr(ocean.chain.accounts[1].private_key))
    with pytest.raises(SettingsWrong, match="proofs of access"):
        async with opened(ocean, tmp_path, hooks={"chain_proof": True}, **same):
            pass
