"""What the tests have the published ocean.py do, one scenario per process; it runs in the environment beside it.

Standard input holds JSON: the scenario's name, where things are, the accounts' keys and what the scenario asks for.
The last line of standard output is its answer in JSON. Every call is the library's own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import enforce_typing

# It asks typing.Any for its parameters at every call, which Python 3.11 made a class: only the check of types goes.
enforce_typing.enforce_types = lambda checked: checked

from eth_account import Account  # noqa: E402 - after the line above, as all of the library
from ocean_lib.assets.ddo import DDO  # noqa: E402
from ocean_lib.data_provider.data_encryptor import DataEncryptor  # noqa: E402
from ocean_lib.data_provider.data_service_provider import DataServiceProvider as Provider  # noqa: E402
from ocean_lib.data_provider.fileinfo_provider import FileInfoProvider  # noqa: E402
from ocean_lib.example_config import get_config_dict  # noqa: E402
from ocean_lib.http_requests.requests_session import get_requests_session  # noqa: E402
from ocean_lib.models.compute_input import ComputeInput  # noqa: E402
from ocean_lib.models.datatoken_base import DatatokenArguments, DatatokenBase  # noqa: E402
from ocean_lib.models.dispenser import DispenserArguments  # noqa: E402
from ocean_lib.models.fixed_rate_exchange import ExchangeArguments  # noqa: E402
from ocean_lib.ocean.ocean import Ocean  # noqa: E402
from ocean_lib.ocean.ocean_assets import AssetArguments  # noqa: E402
from ocean_lib.ocean.util import to_wei  # noqa: E402
from ocean_lib.structures.algorithm_metadata import AlgorithmMetadata  # noqa: E402
from ocean_lib.structures.file_objects import UrlFile  # noqa: E402
from ocean_lib.web3_internal.constants import ZERO_ADDRESS  # noqa: E402

#: Seconds.
POLL, PATIENCE, PERIOD = 0.1, 60, 300
ENVIRONMENT = "default"


class Client:
    """The library, and what its guides do around it."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.url = given["url"]
        config = get_config_dict(given["rpc"])
        config |= {"METADATA_CACHE_URI": self.url, "PROVIDER_URL": self.url}
        self.config = config
        self.ocean = Ocean(config)
        self.alice, self.bob = (Account.from_key(key) for key in given["keys"])
        self.environment = next(
            one for one in self.ocean.compute.get_c2d_environments(self.url, 8996) if one["id"] == ENVIRONMENT
        )

    def input(self, did: str, kind: str, **more: Any) -> ComputeInput:
        """Give an asset's service of a type, as something to compute with; Alice gives Bob a datatoken for it."""
        ddo = self.ocean.assets.resolve(did)
        service = next(service for service in ddo.services if service.type == kind)
        DatatokenBase.get_typed(self.config, service.datatoken).mint(self.bob.address, to_wei(1), {"from": self.alice})
        return ComputeInput(ddo, service, **more)

    def raw(self) -> AlgorithmMetadata:
        """Give the scenario's code, as an algorithm that is not published."""
        container = self.given["container"]
        return AlgorithmMetadata(
            {"language": "python", "version": "1", "rawcode": self.given["code"], "container": container}
        )

    def pay(self, datasets: Sequence[ComputeInput], algorithm: Any, seconds: int = PERIOD) -> tuple[Any, Any]:
        """Order what a job needs, for Bob, after he allowed the fee to be taken."""
        until = int(time.time()) + seconds
        fee = self.ocean.retrieve_provider_fees_for_compute(
            datasets, algorithm, self.environment["consumerAddress"], ENVIRONMENT, until
        )
        for item in (*fee["datasets"], *([fee["algorithm"]] if "algorithm" in fee else [])):
            owed = item.get("providerFee")
            if owed and int(owed["providerFeeAmount"]):
                token = DatatokenBase.get_typed(self.config, owed["providerFeeToken"])
                token.approve(item["datatoken"], int(owed["providerFeeAmount"]), {"from": self.bob})
        paid = self.ocean.assets.pay_for_compute_service(
            datasets, algorithm, ENVIRONMENT, until, ZERO_ADDRESS, {"from": self.bob},
            self.environment["consumerAddress"],
        )  # fmt: skip
        return fee, paid

    def until(self, dataset: ComputeInput, job: str, holds: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        """Ask for a job's status, as the guides do, until it holds."""
        deadline = time.monotonic() + PATIENCE
        while True:
            status = self.ocean.compute.status(dataset.ddo, dataset.service, job, self.bob)
            if holds(status):
                return status
            if time.monotonic() > deadline:
                raise TimeoutError(str(status))
            time.sleep(POLL)

    def finish(self, dataset: ComputeInput, job: str) -> dict[str, Any]:
        """Wait for a job's end, and fetch, list and delete everything of it."""
        compute, service = self.ocean.compute, dataset.service
        status = self.until(dataset, job, lambda status: status["dateFinished"])
        results = {
            entry["filename"]: compute.result(dataset.ddo, service, job, entry["index"], self.bob).decode()
            for entry in status["results"]
            if not entry["filename"].endswith(".tar")
        }
        logs = compute.compute_job_result_logs(dataset.ddo, service, job, self.bob, "algorithmLog")
        outputs = compute.compute_job_result_logs(dataset.ddo, service, job, self.bob)
        deleted = Provider.delete_compute_job(dataset.did, job, service, self.bob)
        return {
            "job": job, "status": status, "results": results, "logs": [log.decode() for log in logs],
            "outputs": len(outputs), "deleted": deleted,
            "after": attempt(lambda: compute.status(dataset.ddo, service, job, self.bob)),
        }  # fmt: skip


def attempt(call: Callable[[], Any]) -> dict[str, Any]:
    """Say how a call ended: its value, or what its user is shown."""
    try:
        return {"value": call()}
    except Exception as problem:  # noqa: BLE001 - whatever it is, the user sees it
        return {"error": f"{type(problem).__name__}: {problem}"}


def publish(client: Client) -> dict[str, Any]:
    """Publish a table, an algorithm, and a table that trusts it alone; the last in a way of its own."""
    assets, alice, given = client.ocean.assets, {"from": client.alice}, client.given
    rules = {"allowNetworkAccess": False, "publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": []}
    open_to_all = {**rules, "allowRawAlgorithm": True}
    dids = {}
    for name in ("table", "other"):
        bundle, _, ddo = assets.create_url_asset(
            f"The {name}", given["files"][name], alice, with_compute=True, compute_values=dict(open_to_all)
        )
        dids[name] = ddo.did
    flags = [log.args.flags.hex() for log in bundle.get_logs("MetadataCreated") if log.address == bundle.address]
    metadata = assets.default_metadata("Reader", alice, "algorithm")
    metadata["algorithm"] = {"language": "python", "version": "1", "container": given["container"]}
    _, _, algorithm = assets.create_algo_asset("Reader", given["files"]["algorithm"], alice, metadata=metadata)
    dids["algorithm"] = algorithm.did

    metadata = assets.default_metadata("A guarded table", alice)
    files = [UrlFile(given["files"]["table"])]
    nft, (token,), ddo = assets.create(
        metadata, alice, datatoken_args=[DatatokenArguments(files=files)], encrypt_flag=False
    )
    ddo.create_compute_service("1", client.url, token.address, files, {**rules, "allowRawAlgorithm": False})
    ddo.services[1].add_publisher_trusted_algorithm(algorithm)
    began = time.monotonic()
    updated = assets.update(ddo, alice)
    dids["guarded"] = updated.did
    return {
        "dids": dids,
        "seconds": time.monotonic() - began,
        "updated": updated.as_dictionary(),
        "nft": nft.address,
        "owner": client.alice.address,
        "algorithm": algorithm.as_dictionary(),
        "flags": flags,
        "invalid": attempt(lambda: assets.validate(DDO.from_dict({**updated.as_dictionary(), "chainId": 1}))),
    }


def ask(client: Client) -> dict[str, Any]:
    """Ask what may be asked before an order."""
    ddo = client.ocean.assets.resolve(client.given["did"])
    access, compute = ddo.services
    file = UrlFile(client.given["file"]).to_dict()
    elsewhere = client.url.rsplit(":", 1)[0] + ":9"
    newcomer = Account.create()
    return {
        "valid": [Provider.is_valid_provider(url) for url in (client.url, f"{client.url}/api/services", elsewhere)],
        "address": Provider.get_provider_address(client.url, 8996),
        "environment": client.environment,
        "free": attempt(lambda: client.ocean.compute.get_free_c2d_environment(client.url, 8996)["id"]),
        "file": Provider.check_single_file_info(file, client.url),
        "missing": Provider.check_single_file_info({**file, "url": file["url"] + "x"}, client.url),
        "asset": [Provider.check_asset_file_info(ddo.did, one.id, client.url) for one in (access, compute)],
        "info": FileInfoProvider.fileinfo(ddo.did, access, with_checksum=True).json(),
        "initialized": Provider.initialize(ddo.did, access, client.bob.address).json(),
        "fees": client.ocean.retrieve_provider_fees(ddo, access, client.bob),
        "encrypted": DataEncryptor.encrypt({"secret": "Zürich"}, client.url, 8996).text,
        "nonce": Provider.sign_message(newcomer, "a message", client.url)[0],
        "exists": [client.ocean.assets._aquarius.ddo_exists(did) for did in (ddo.did, client.given["unknown"])],
        "resolved": client.ocean.assets.resolve(client.given["unknown"]),
    }


def compute(client: Client) -> dict[str, Any]:
    """Run a job with a published algorithm, or with raw code; order the further datasets too."""
    given = client.given
    datasets = [client.input(did, "compute") for did in given["datasets"]]
    custom = given.get("custom")
    if "code" in given:
        algorithm = client.raw()
        way = {"algorithm_meta": algorithm}
    else:
        algorithm = client.input(given["algorithm"], "access")
        way = {"algorithm": algorithm}
    fees, (datasets, _) = client.pay(datasets, algorithm)
    job = client.ocean.compute.start(
        client.bob, datasets[0], ENVIRONMENT, algorithm_algocustomdata=custom, additional_datasets=datasets[1:], **way
    )
    again = client.ocean.retrieve_provider_fees_for_compute(
        datasets, algorithm, client.environment["consumerAddress"], ENVIRONMENT, int(time.time()) + 60
    )
    orders = [one.transfer_tx_id for one in (*datasets, *([] if "code" in given else [algorithm]))]
    return {"fees": fees, "orders": orders, "again": again, **client.finish(datasets[0], job)}


def reuse(client: Client) -> dict[str, Any]:
    """Order two tables, of which the first carries the fee; then pay the fee of the second alone, with its order."""
    algorithm = client.raw()
    datasets = [client.input(did, "compute") for did in client.given["datasets"]]
    client.pay(datasets, algorithm)
    dataset = datasets[1]
    first = dataset.transfer_tx_id
    fees, _ = client.pay([dataset], algorithm)
    job = client.ocean.compute.start(client.bob, dataset, ENVIRONMENT, algorithm_meta=algorithm)
    return {"first": first, "second": dataset.transfer_tx_id, "fees": fees, **client.finish(dataset, job)}


def stop(client: Client) -> dict[str, Any]:
    """Stop a job that would run for ever."""
    algorithm = client.raw()
    dataset = client.input(client.given["dataset"], "compute")
    client.pay([dataset], algorithm)
    job = client.ocean.compute.start(client.bob, dataset, ENVIRONMENT, algorithm_meta=algorithm)
    client.until(dataset, job, lambda status: status["status"] == 40)
    stopped = client.ocean.compute.stop(dataset.ddo, dataset.service, job, client.bob)
    return {"stopped": stopped, **client.finish(dataset, job)}


def download(client: Client) -> dict[str, Any]:
    """Order a table's access service, and download it."""
    assets = client.ocean.assets
    ddo = client.input(client.given["did"], "access").ddo
    order = assets.pay_for_access_service(ddo, {"from": client.bob}).hex()
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for index in (None, 0):
            path = Path(assets.download_asset(ddo, client.bob, folder, order, index=index))
            found[str(index)] = {file.name: file.read_text() for file in path.iterdir()}
            for file in path.iterdir():
                file.unlink()
        orders = client.ocean.get_user_orders(client.bob.address, ddo.services[0].datatoken)
        beyond = attempt(lambda: Provider.download(ddo.did, ddo.services[0], order, client.bob, folder, 1))
    return {"order": order, "found": found, "orders": len(orders), "beyond": beyond}


def buy(client: Client) -> dict[str, Any]:
    """Download tables of which Bob has no datatoken: the library gets one from where it is sold, and orders with it."""
    assets, url = client.ocean.assets, client.given["file"]
    exchange = ExchangeArguments(to_wei(2), client.ocean.OCEAN_address, dt_decimals=18)
    ways = {
        "dispenser": (1, DispenserArguments(to_wei(1), to_wei(1))),
        "exchange": (1, exchange),
        "dispenser and order at once": (2, DispenserArguments(to_wei(1), to_wei(1))),
        "exchange and order at once": (2, exchange),
    }
    found = {}
    for name, (template, pricing) in ways.items():
        arguments = AssetArguments(dt_template_index=template, pricing_schema_args=pricing)
        _, token, ddo = assets.create_url_asset(f"From {name}", url, {"from": client.alice}, asset_args=arguments)
        receipt = assets.pay_for_access_service(ddo, {"from": client.bob})
        with tempfile.TemporaryDirectory() as folder:
            order = receipt.transactionHash.hex()
            path = Path(assets.download_asset(ddo, client.bob, folder, order))
            found[name] = [token.getId(), (path / "file0").read_text()]
    return found


def refused(client: Client) -> dict[str, Any]:
    """Do what Cove refuses, and say what the library's user is shown."""
    given, ocean, bob = client.given, client.ocean, client.bob
    algorithm = client.raw()
    dataset = client.input(given["dataset"], "compute")
    guarded = client.input(given["guarded"], "compute")
    service = dataset.service
    unknown = DDO.from_dict({**dataset.ddo.as_dictionary(), "id": given["unknown"]})
    nowhere = "0x" + "0" * 64
    stranger = ComputeInput(unknown, service, nowhere)
    # Alice's key with Bob's address: what it signs is not Bob's.
    forger = SimpleNamespace(address=bob.address, _private_key=client.alice._private_key)

    def start(one: ComputeInput, wallet: Any = bob, environment: str = ENVIRONMENT) -> dict[str, Any]:
        return attempt(lambda: ocean.compute.start(wallet, one, environment, algorithm_meta=algorithm))

    def quote(one: ComputeInput, environment: str = ENVIRONMENT, until: int = PERIOD) -> dict[str, Any]:
        until += int(time.time())
        return attempt(
            lambda: ocean.retrieve_provider_fees_for_compute([one], algorithm, bob.address, environment, until)
        )

    said: dict[str, Any] = {
        "initializeUnknown": attempt(
            lambda: Provider.initialize(given["unknown"], dataset.ddo.services[0], bob.address)
        ),
        "filesUnknown": attempt(lambda: FileInfoProvider.fileinfo(given["unknown"], service)),
        "quoteUnknown": quote(stranger),
        "quoteNowhere": quote(dataset, "nowhere"),
        "quoteLate": quote(dataset, until=-60),
        "quoteRaw": quote(guarded),
        "startUnknown": attempt(
            lambda: Provider.start_compute_job(service, bob, stranger, ENVIRONMENT, algorithm_meta=algorithm)
        ),
        "startNoOrder": start(dataset),
        "downloadNoOrder": attempt(lambda: ocean.assets.download_asset(dataset.ddo, bob, tempfile.mkdtemp(), nowhere)),
    }
    dataset.transfer_tx_id = nowhere
    said["startNoSuchOrder"] = start(dataset)
    dataset.transfer_tx_id = None
    client.pay([dataset], algorithm)
    said["startForged"] = start(dataset, forger)
    said["startNowhere"] = start(dataset, environment="nowhere")
    Provider.set_http_client(Twice(get_requests_session()))
    said["startTwice"] = start(dataset)
    Provider.set_http_client(get_requests_session())
    for name, call in (
        ("status", lambda job: ocean.compute.status(dataset.ddo, service, job, bob)),
        ("stop", lambda job: ocean.compute.stop(dataset.ddo, service, job, bob)),
        ("delete", lambda job: Provider.delete_compute_job(dataset.did, job, service, bob)),
        ("result", lambda job: ocean.compute.result(dataset.ddo, service, job, 0, bob)),
    ):
        said[f"{name}Foreign"] = attempt(lambda call=call: call(given["foreign"]))
        said[f"{name}Unknown"] = attempt(lambda call=call: call("0" * 32))
    return said


class Twice:
    """A client of the library's that sends every request that changes something twice, and gives the second answer."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.get, self.delete, self.put = session.get, session.delete, session.put

    def post(self, *arguments: Any, **more: Any) -> Any:
        """Send a request, then send it again."""
        self._session.post(*arguments, **more)
        return self._session.post(*arguments, **more)


SCENARIOS = (publish, ask, compute, reuse, stop, download, buy, refused)


def main() -> None:
    """Run the scenario that standard input names."""
    given = json.load(sys.stdin)
    answers, sys.stdout = sys.stdout, sys.stderr  # the library prints what it signs
    os.environ["ADDRESS_FILE"] = given["addresses"]
    scenario = next(one for one in SCENARIOS if one.__name__ == given["scenario"])
    answer = scenario(Client(given))
    print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
