"""Jobs whose algorithm or further dataset is at another provider: two Coves with keys of their own on one chain."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.chain import Ocean
from tests.support.house import RAW, House, opened
from tests.support.http_server import serving
from tests.support.neighbour import Neighbour, algorithm_terms, bought, item, open_neighbour, quotes
from tests.support.other_provider import OtherProvider

from cove.client.market import COMPRESSED, AssetDraft, Published, ServiceDraft, mint, order, publish
from cove.core.files import FileFacts
from cove.crypto.keys import verify_text

ROWS = b"".join(f"{number}\n".encode() for number in range(100_000))
ADDS = b"""
import json, os, pathlib
inputs = pathlib.Path('/data/inputs')
found = {did: [len((inputs / did / str(n)).read_bytes()) for n in range(len(os.listdir(inputs / did)))]
         for did in json.loads(os.environ['DIDS'])}
custom = json.loads((inputs / 'algoCustomData.json').read_text())
(pathlib.Path('/data/outputs') / 'found.json').write_text(json.dumps([found, custom]))
"""


@pytest.fixture
async def neighbour(ocean: Ocean, tmp_path: Path) -> AsyncIterator[Neighbour]:
    async with open_neighbour(ocean, tmp_path / "neighbour") as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # runs of another user read what lies below
    return tmp_path


@pytest.fixture
def evil() -> Iterator[OtherProvider]:
    with serving() as server:
        yield OtherProvider(server)


@pytest.fixture
async def house(ocean: Ocean, folder: Path, neighbour: Neighbour, evil: OtherProvider) -> AsyncIterator[House]:
    allowed = {"allowed": (urlsplit(neighbour.url).netloc, f"127.0.0.1:{evil.server.port}")}
    listen = {"public_url": "http://own.example"}
    async with opened(ocean, folder, url_files=allowed, poll_seconds=0.5, listen=listen) as made:
        yield made


async def result(house: House, job_id: str, name: str) -> str:
    job = await house.cove.parts.store.get(job_id)  # type: ignore[arg-type]
    assert job is not None
    (found,) = [entry for entry in job.results if entry.filename == name]
    return b"".join([part async for part in house.cove.parts.results.read(found.key, 0, found.filesize)]).decode()


async def published_algorithm(neighbour: Neighbour, code: bytes = ADDS, **more: Any) -> Published:
    files = [neighbour.put("adds.py", code)]
    return await neighbour.publish(files, type="algorithm", algorithm=algorithm_terms(), **more)


async def started(
    house: House, others: list[Published], algorithm: Published | None, **changes: Any
) -> httpx2.Response:
    """Quote, order and start a job of the house's table, of further datasets, and of an algorithm."""
    main = changes.pop("main", house.dataset)
    code = RAW if algorithm is None else item(algorithm)
    asked = await quotes(house, [item(other) for other in others], code, main=item(main))
    orders = [
        await bought(house, asset, quote["providerFee"])
        for asset, quote in zip((main, *others), asked["datasets"], strict=True)
    ]
    if algorithm is not None:
        code = item(algorithm, await bought(house, algorithm, asked["algorithm"]["providerFee"]))
    further = [item(other, order) for other, order in zip(others, orders[1:], strict=True)]
    return await house.start(dataset=item(main, orders[0]), additionalDatasets=further, algorithm=code, **changes)


async def ended(house: House, answer: httpx2.Response) -> tuple[dict[str, Any], str]:
    """Give the last status and the configuration log of a job that was just started."""
    assert answer.status_code == 200, answer.text
    job_id = answer.json()[0]["jobId"]
    status = await house.done(job_id)
    return status, await result(house, job_id, "configuration.log")


async def test_algorithm_and_further_dataset_of_another_provider(house: House, neighbour: Neighbour) -> None:
    data = await neighbour.publish([neighbour.put("rows.csv", ROWS), neighbour.put("few.csv", b"a,b\n")])
    algorithm = await neighbour.publish([neighbour.put("adds.py", ADDS)], type="algorithm", algorithm=algorithm_terms())
    asked = await quotes(house, [item(data)], item(algorithm))
    own, other, code = asked["datasets"][0]["providerFee"], asked["datasets"][1]["providerFee"], asked["algorithm"]
    assert own["providerFeeAddress"] == house.cove.vault.address
    assert int(own["providerFeeAmount"]) > 0
    assert other["providerFeeAddress"] == code["providerFee"]["providerFeeAddress"] == neighbour.cove.vault.address
    assert (asked["datasets"][1]["datatoken"], code["datatoken"]) == (data.datatoken, algorithm.datatoken)
    orders = [
        await bought(house, house.dataset, own),
        await bought(house, data, other),
        await bought(house, algorithm, code["providerFee"]),
    ]
    answer = await house.start(
        dataset=item(house.dataset, orders[0]),
        additionalDatasets=[item(data, orders[1])],
        algorithm={**item(algorithm, orders[2]), "algocustomdata": {"x": 1}},
    )
    assert answer.status_code == 200, answer.text
    job_id = answer.json()[0]["jobId"]
    status = await house.done(job_id)
    assert (status["status"], status["statusText"]) == (70, "Job completed"), await result(
        house, job_id, "algorithm.log"
    )
    sizes = {house.dataset.did: [4], data.did: [len(ROWS), 4]}
    found = str({did.removeprefix("did:op:"): size for did, size in sizes.items()}).replace("'", '"')
    assert await result(house, job_id, "found.json") == f'[{found}, {{"x": 1}}]'
    log = await result(house, job_id, "configuration.log")
    assert neighbour.url not in log
    job = await house.cove.parts.store.get(job_id)
    assert job is not None
    digest = f"sha256:{hashlib.sha256(ROWS).hexdigest()}"
    assert (f"/data/inputs/{data.did.removeprefix('did:op:')}/0", digest) in job.input_digests
    again = await quotes(
        house, [item(data, orders[1])], item(algorithm, orders[2]), main=item(house.dataset, orders[0])
    )
    assert [entry.get("validOrder") for entry in (*again["datasets"], again["algorithm"])] == orders
    assert all("providerFee" not in entry for entry in (*again["datasets"], again["algorithm"]))


async def test_what_the_other_provider_refuses_ends_with_31_and_a_log_that_names_the_asset(
    house: House, neighbour: Neighbour
) -> None:
    files = [neighbour.put("few.csv", b"1"), neighbour.put("gone.csv", b"1")]
    data = await neighbour.publish(files)
    (neighbour.data / "gone.csv").unlink()
    status, log = await ended(house, await started(house, [data], None))
    assert (status["status"], status["outcome"]) == (31, "provider_failed")
    assert f"{data.did} is at another provider: " in log
    assert "status 4" in log or "status 5" in log
    for told in (log, str(status)):
        assert neighbour.url not in told
        assert "signature" not in told


async def test_a_provider_that_keeps_no_such_files_ends_with_32(
    house: House, neighbour: Neighbour, folder: Path
) -> None:
    async with open_neighbour(house.ocean, folder / "third") as third:
        algorithm = await published_algorithm(third, endpoint=neighbour.url)
        asked = await quotes(house, [], RAW)
        main = await bought(house, house.dataset, asked["datasets"][0]["providerFee"])
        refused = await quotes(house, [], item(algorithm), status=400)
        assert refused["error"] == {"algorithm.serviceId": "provider_unavailable"}
        order = await bought(house, algorithm, house.ocean.fee(algorithm.datatoken, service_id="0"))
    status, log = await ended(
        house, await house.start(dataset=item(house.dataset, main), algorithm=item(algorithm, order))
    )
    assert (status["status"], status["reason"]) == (32, "algorithm_unavailable")
    assert log == f"algorithm {algorithm.did}: {algorithm.did} is at another provider: " + log.split("provider: ")[1]
    assert "status 400" in log


async def test_only_what_may_be_elsewhere_is(house: House, neighbour: Neighbour) -> None:
    files = [neighbour.put("few.csv", b"1")]
    compute = await neighbour.publish(files, kind="compute")
    access = await neighbour.publish(files)
    same = "compute_services_not_in_same_provider"
    assert (await quotes(house, [], RAW, main=item(compute), status=400))["error"] == {"dataset.serviceId": same}
    assert (await quotes(house, [item(compute)], RAW, status=400))["error"] == {"datasets[1].serviceId": same}
    main = await quotes(house, [], RAW, main=item(access), status=400)
    assert main["error"] == {"dataset.serviceId": "main_service_compute"}
    ours = await neighbour.publish(files, endpoint="https://own.example/")
    assert (await quotes(house, [item(ours)], RAW, status=400))["error"] == {"datasets[1].serviceId": same}
    for endpoint in ("other", "http://user@other.example", "https://other.example/?x"):
        bad = await neighbour.publish(files, endpoint=endpoint)
        refused = await quotes(house, [item(bad)], RAW, status=400)
        assert refused["error"] == {"datasets[1].serviceId": "service_endpoint_invalid"}
        assert endpoint not in str(refused)


async def test_a_list_of_ours_that_is_no_list_is_not_looked_for_elsewhere(house: House, neighbour: Neighbour) -> None:
    async def encrypt(plain: bytes) -> str:
        return await house.ocean.encrypt(plain.replace(b"nftAddress", b"nft"))

    services = [ServiceDraft("access", [neighbour.put("adds.py", ADDS)], neighbour.url)]
    draft = AssetDraft("Broken", services, type="algorithm", algorithm=algorithm_terms())
    algorithm = await publish(house.ocean.publisher, house.ocean.addresses.factory, draft, encrypt, flags=COMPRESSED)
    refused = await quotes(house, [], item(algorithm), status=400)
    assert refused["error"] == {"algorithm": "file_unavailable"}


async def test_an_address_that_is_not_allowed_is_not_asked(house: House, neighbour: Neighbour) -> None:
    files = [neighbour.put("few.csv", b"1")]
    with serving() as server:
        inside = await neighbour.publish(files, endpoint=server.url(""))
        refused = await quotes(house, [item(inside)], RAW, status=400)
        assert refused["error"] == {"datasets[1].serviceId": "provider_unavailable"}
        assert "address is not allowed" in refused["hint"]
        assert server.asked == []


async def test_an_order_must_be_the_callers_for_the_environment(house: House, neighbour: Neighbour) -> None:
    data = await neighbour.publish([neighbour.put("few.csv", b"1")])
    asked = await quotes(house, [item(data)], RAW)
    main = await bought(house, house.dataset, asked["datasets"][0]["providerFee"])
    fee = asked["datasets"][1]["providerFee"]
    own = await bought(house, data, fee, consumer=house.ocean.consumer.address)
    await mint(house.ocean.publisher, data.datatoken, house.ocean.stranger.address)
    strangers = await order(house.ocean.stranger, data.datatoken, fee, consumer=house.cove.vault.address)
    for tx in (own, strangers, main, "0x" + "7" * 64):
        answer = await house.start(dataset=item(house.dataset, main), additionalDatasets=[item(data, tx)])
        assert (answer.status_code, answer.json()["error"]) == (400, {"datasets[1].serviceId": "order_invalid"})
    assert (await quotes(house, [item(data, strangers)], RAW))["datasets"][1].keys() == {"datatoken", "providerFee"}


async def test_the_environment_is_paid_by_an_order_of_ours_alone(house: House, neighbour: Neighbour) -> None:
    data = await neighbour.publish([neighbour.put("few.csv", b"1")])
    free = house.ocean.fee(house.dataset.datatoken, 0, service_id="0", environment="default")
    main = await bought(house, house.dataset, free)
    # Signed by us, for this environment and this datatoken, and paid: and yet it is an order that another is paid for.
    paid = house.ocean.fee(data.datatoken, 10**21, service_id="0", environment="default")
    other = await bought(house, data, paid)
    answer = await house.start(dataset=item(house.dataset, main), additionalDatasets=[item(data, other)])
    assert (answer.status_code, answer.json()["error"]) == (400, {"order": "fees_not_paid"})


async def trusting(house: House, algorithm: Published, digest: str) -> Published:
    trusted = {"did": algorithm.did, "filesChecksum": digest, "containerSectionChecksum": ""}
    compute = {"allowRawAlgorithm": False, "publisherTrustedAlgorithms": [trusted]}
    files = [{"type": "local", "root": "data", "path": "table.csv"}]
    draft = AssetDraft("Careful", [ServiceDraft("compute", files, "http://own.example", compute=compute)])
    return await publish(house.ocean.publisher, house.ocean.addresses.factory, draft, house.ocean.encrypt)


async def test_an_approved_algorithm_is_hashed_there_and_again_here(house: House, neighbour: Neighbour) -> None:
    algorithm = await published_algorithm(neighbour)
    main = await trusting(house, algorithm, hashlib.sha256(ADDS).hexdigest())
    status, _ = await ended(house, await started(house, [], algorithm, main=main))
    assert status["statusText"] == "Job completed"
    other = await trusting(house, algorithm, "0" * 64)
    refused = await quotes(house, [], item(algorithm), main=item(other), status=400)
    assert refused["error"] == {"dataset": "algorithm_file_checksum_mismatch"}


async def test_another_provider_that_lies_about_a_digest_gains_nothing(house: House, neighbour: Neighbour) -> None:
    algorithm = await published_algorithm(neighbour)
    approved = hashlib.sha256(ADDS).hexdigest()
    main = await trusting(house, algorithm, approved)
    neighbour.put("adds.py", b"print('something else')")

    async def lies(did: str, service_id: str, *, checksum: bool) -> list[FileFacts]:
        del did, service_id, checksum
        return [FileFacts(valid=True, type="local", checksum=approved)]

    neighbour.cove.access.file_info_by_did = lies  # type: ignore[method-assign]
    status, log = await ended(house, await started(house, [], algorithm, main=main))
    assert (status["status"], status["reason"]) == (32, "algorithm_unavailable")
    assert "not those that the dataset's owner approved" in log


async def test_what_was_signed_for_another_provider_opens_nothing_here(
    house: House, neighbour: Neighbour, evil: OtherProvider, folder: Path
) -> None:
    """The attack: a provider of a sample asks us, in our own name, for the whole that a consumer ordered for a job."""
    (folder / "data" / "whole.csv").write_bytes(b"the whole")
    files = {"0": [neighbour.put("sample.csv", b"1")], "1": [{"type": "local", "root": "data", "path": "whole.csv"}]}
    endpoints = {"0": evil.url, "1": "http://own.example"}
    services = [ServiceDraft("access", files[name], endpoints[name], 3600, name) for name in ("0", "1")]

    async def encrypt(plain: bytes) -> str:
        return await (house.ocean.encrypt(plain) if b"whole" in plain else neighbour.encrypt(plain))

    draft = AssetDraft("Both", services)
    asset = await publish(house.ocean.publisher, house.ocean.addresses.factory, draft, encrypt, flags=COMPRESSED)
    evil.files[asset.did] = [b"1"]
    main = await bought(house, house.dataset, (await quotes(house, [], RAW))["datasets"][0]["providerFee"])
    sample = await bought(house, asset, house.ocean.fee(asset.datatoken, service_id="0"))
    fee = house.ocean.fee(asset.datatoken, service_id="1", environment="default")
    whole = await bought(house, asset, fee, service_index=1)
    further = [item(asset, sample), {**item(asset, whole), "serviceId": "1"}]
    status, _ = await ended(house, await house.start(dataset=item(house.dataset, main), additionalDatasets=further))
    assert status["statusText"] == "Job completed"
    (signed,) = evil.downloads
    assert verify_text(f"{asset.did}{signed['nonce']}", signed["signature"], house.cove.vault.address)
    stolen = {**signed, "serviceId": "1", "transferTxId": whole}
    for account in (signed["consumerAddress"], signed["consumerAddress"].lower()):
        answer = await house.http.get("/api/services/download", params={**stolen, "consumerAddress": account})
        assert (answer.status_code, answer.json()["error"]) == (400, {"consumerAddress": "own_account"})
    assert await house.cove.nonces.last(house.cove.vault.address) is None
