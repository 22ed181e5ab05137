"""The published ocean.py against a Cove that serves, on a real chain; one process of its own Python per scenario."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from tests.compat.ocean_py import INSTALLED, OceanPy
from tests.compat.world import ALGORITHM, ENDLESS, OTHER_TABLE, PROVIDER_KEY, TABLE, World

from cove.crypto.box import KeyVault
from cove.crypto.keys import Account

CUSTOM = {"bound": 7, "name": "Zürich"}
FEE_TOKENS_FOR_5_MINUTES = 5 * 10**17
UNKNOWN = "did:op:" + "0" * 64
#: What ocean.py makes of an empty list of jobs: it takes the first of them.
NO_JOB = "IndexError: list index out of range"


@pytest.fixture(scope="session")
def installed() -> None:
    if not INSTALLED.is_file():
        pytest.skip("ocean.py is not there: run tests/compat/oceanpy/install.sh (it needs a package index)")


@pytest.fixture(scope="session")
def library(installed: None, world: World, tmp_path_factory: pytest.TempPathFactory) -> OceanPy:
    return OceanPy.at(world, tmp_path_factory.mktemp("oceanpy"))


@pytest.fixture(scope="session")
def market(library: OceanPy) -> Any:
    """Publish everything with ocean.py, and give what it said of it."""
    files = {name: library.world.files.url(f"/{name}") for name in ("table.csv", "other.csv", "algorithm.py")}
    named = {name.partition(".")[0]: url for name, url in files.items()}
    return library.scenario("publish", files=named)


def test_assets_are_published_changed_and_checked(library: OceanPy, market: Any) -> None:
    # The document is compressed and encrypted; its own library checks it at Cove before, and finds it there afterwards.
    assert market["flags"] == ["03"]
    updated, algorithm = market["updated"], market["algorithm"]
    assert updated["id"] == market["dids"]["guarded"]
    assert (updated["nft"]["owner"], updated["nft"]["state"]) == (market["owner"], 0)
    # It waits for a minute where the document does not say which transaction it is from.
    assert market["seconds"] < 55
    (trusted,) = updated["services"][1]["compute"]["publisherTrustedAlgorithms"]
    container = algorithm["metadata"]["algorithm"]["container"]
    assert trusted == {
        "did": market["dids"]["algorithm"],
        "filesChecksum": hashlib.sha256(ALGORITHM.encode()).hexdigest(),
        "containerSectionChecksum": hashlib.sha256((container["entrypoint"] + container["checksum"]).encode()).hexdigest(),
    }  # fmt: skip
    assert "Chain 1 is not served here" in market["invalid"]["error"]


def test_what_is_asked_before_an_order(library: OceanPy, market: Any) -> None:
    answer = library.scenario(
        "ask", did=market["dids"]["table"], unknown=UNKNOWN, file=library.world.files.url("/table.csv")
    )
    vault = KeyVault(Account.from_hex(PROVIDER_KEY))
    assert answer["valid"] == [True, True, False]
    assert answer["address"] == answer["environment"]["consumerAddress"] == vault.address
    assert answer["environment"]["priceMin"] == 0.1
    assert (answer["file"], answer["missing"], answer["asset"]) == (True, False, [True, True])
    assert answer["info"] == [{
        "type": "url", "valid": True, "index": 0, "contentLength": "4", "contentType": "text/csv",
        "filename": "table.csv", "checksum": hashlib.sha256(TABLE).hexdigest(), "checksumType": "sha256",
    }]  # fmt: skip
    assert answer["initialized"]["providerFee"]["providerFeeAmount"] == answer["fees"]["providerFeeAmount"] == "0"
    assert json.loads(vault.decrypt(bytes.fromhex(answer["encrypted"].removeprefix("0x")))) == {"secret": "Zürich"}
    # Whoever never signed anything signs with 1.
    assert answer["nonce"] == 1
    assert answer["exists"] == [True, False]
    assert answer["resolved"] is None


@pytest.mark.parametrize("table", ["table", "guarded"])
def test_a_job_with_a_published_algorithm(library: OceanPy, market: Any, table: str) -> None:
    dids = market["dids"]
    answer = library.scenario("compute", datasets=[dids[table]], algorithm=dids["algorithm"], custom=CUSTOM)
    assert amounts(answer["fees"]) == [pytest.approx(FEE_TOKENS_FOR_5_MINUTES, rel=0.05), 0]
    ran_well(answer, {dids[table]: TABLE}, CUSTOM)
    assert answer["status"]["algoDID"] == dids["algorithm"]


def test_a_job_with_raw_code(library: OceanPy, market: Any) -> None:
    did = market["dids"]["table"]
    answer = library.scenario("compute", datasets=[did], code=ALGORITHM)
    assert amounts(answer["fees"]) == [pytest.approx(FEE_TOKENS_FOR_5_MINUTES, rel=0.05)]
    ran_well(answer, {did: TABLE}, {})
    assert answer["status"]["algoDID"] == "raw"


def test_a_job_with_two_datasets(library: OceanPy, market: Any) -> None:
    dids = market["dids"]
    answer = library.scenario("compute", datasets=[dids["table"], dids["other"]], algorithm=dids["algorithm"])
    assert amounts(answer["fees"])[1:] == [0, 0]
    assert len(answer["orders"]) == 3
    # The library orders all datasets, and drops all but the first from what it sends.
    ran_well(answer, {dids["table"]: TABLE}, {})


def test_an_order_whose_fee_is_paid_anew(library: OceanPy, market: Any) -> None:
    dids = market["dids"]
    answer = library.scenario("reuse", datasets=[dids["table"], dids["other"]], code=ALGORITHM)
    (unpaid,) = answer["fees"]["datasets"]
    assert unpaid["validOrder"] == answer["first"] != answer["second"]
    assert int(unpaid["providerFee"]["providerFeeAmount"]) > 0
    assert (answer["status"]["statusText"], answer["status"]["agreementId"]) == ("Job completed", answer["second"])
    assert json.loads(answer["results"]["report.json"])["files"] == read_by({dids["other"]: OTHER_TABLE})


def test_a_job_is_stopped_and_deleted(library: OceanPy, market: Any) -> None:
    answer = library.scenario("stop", dataset=market["dids"]["table"], code=ENDLESS)
    stopped, status = answer["stopped"], answer["status"]
    assert (stopped["jobId"], stopped["stopreq"], stopped["ok"]) == (answer["job"], 1, True)
    assert (status["status"], status["statusText"]) == (70, "Job stopped")
    # The status says 40 from the run's beginning on, and the stop may come before the algorithm's first line.
    assert answer["logs"] in (["begun\n"], [""])
    deleted(answer)


def test_a_file_is_ordered_and_downloaded(library: OceanPy, market: Any) -> None:
    answer = library.scenario("download", did=market["dids"]["table"])
    assert answer["found"] == {"None": {"file0": TABLE.decode()}, "0": {"file0": TABLE.decode()}}
    assert answer["orders"] > 0


def test_a_datatoken_is_bought_where_it_is_sold(library: OceanPy) -> None:
    answer = library.scenario("buy", file=library.world.files.url("/table.csv"))
    assert answer == {
        "dispenser": [1, TABLE.decode()],
        "exchange": [1, TABLE.decode()],
        "dispenser and order at once": [2, TABLE.decode()],
        "exchange and order at once": [2, TABLE.decode()],
    }


def test_what_is_refused_is_said(library: OceanPy, market: Any, strangers_job: tuple[str, str]) -> None:
    dids = market["dids"]
    answer = library.scenario(
        "refused", dataset=dids["table"], guarded=dids["guarded"], code=ALGORITHM, unknown=UNKNOWN,
        foreign=strangers_job[1],
    )  # fmt: skip
    said = {call: entry.get("error") for call, entry in answer.items()}
    for call, text in (
        ("initializeUnknown", "initializeEndpoint failed: {'documentId': 'did_not_found'}"),
        ("filesUnknown", "did_not_found"),
        ("quoteUnknown", "initializeComputeEndpoint failed: {'dataset.documentId': 'did_not_found'}"),
        ("quoteNowhere", "Compute environment does not exist"),
        ("quoteLate", "The validUntil value is not correct."),
        ("quoteRaw", "{'dataset': 'no_raw_algo_allowed'}"),
        ("startUnknown", "computeStartEndpoint failed: {'dataset.documentId': 'did_not_found'}"),
        ("startNowhere", "Compute environment does not exist"),
        ("startNoOrder", "{'dataset.transferTxId': 'missing'}"),
        ("startNoSuchOrder", "{'dataset.serviceId': 'order_invalid'}"),
        ("downloadNoOrder", "{'serviceId': 'order_invalid'}"),
        ("startForged", "{'signature': 'Invalid signature provided.'}"),
        ("startTwice", "nonce was used before"),
        ("resultForeign", "There is no such job."),
        ("resultUnknown", "There is no such job."),
    ):
        assert text in said[call], call
        assert said[call].startswith("DataProviderException: "), call
    for call in ("status", "stop", "delete"):
        assert said[f"{call}Foreign"] == said[f"{call}Unknown"] == NO_JOB


def amounts(quoted: Any) -> list[int]:
    items = [*quoted["datasets"], *([quoted["algorithm"]] if "algorithm" in quoted else [])]
    return [int(item["providerFee"]["providerFeeAmount"]) for item in items]


def read_by(files: dict[str, bytes]) -> dict[str, str]:
    """Give what the algorithm finds, as it writes it down."""
    return {did.removeprefix("did:op:"): content.decode() for did, content in files.items()}


def ran_well(answer: Any, read: dict[str, bytes], custom: Any) -> None:
    """Check everything that a job which ended well was asked for."""
    status, orders = answer["status"], answer["orders"]
    again = answer["again"]
    items = [*again["datasets"], *([again["algorithm"]] if "algorithm" in again else [])]
    assert [item["validOrder"] for item in items] == orders
    assert not any("providerFee" in item for item in items)
    assert (status["status"], status["statusText"], status["ok"]) == (70, "Job completed", True)
    assert (status["agreementId"], status["inputDID"]) == (orders[0], list(read))
    assert list(answer["results"]) == ["configuration.log", "algorithm.log", "report.json", "receipt.json"]
    assert json.loads(answer["results"]["report.json"]) == {"files": read_by(read), "custom": custom}
    assert answer["logs"] == [f"read {len(read)}\n"]
    assert answer["outputs"] == 2
    deleted(answer)


def deleted(answer: Any) -> None:
    assert (answer["deleted"]["jobId"], answer["deleted"]["removed"]) == (answer["job"], 1)
    assert answer["after"]["error"] == NO_JOB
