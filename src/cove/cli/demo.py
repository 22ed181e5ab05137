"""``cove demo``: one real job on private data, from an empty chain to released results."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from cove import wire
from cove.cli.demo_chain import DemoChain, open_chain
from cove.cli.interruption import Threads
from cove.cli.sample.table import write_table
from cove.cli.server import run_server
from cove.client import CoveClient, JobFailed, Signer, succeeded
from cove.client.market import (
    AssetDraft,
    MarketError,
    OceanAddresses,
    Published,
    ServiceDraft,
    Wallet,
    deploy_ocean,
    mint,
    order,
    provider_encrypt,
    publish,
    transfer,
)
from cove.ports import Engine
from cove.settings import ChainSettings, EnvironmentSettings, LocalRootSettings, Settings
from cove.wiring import open_cove

_TOKENS = 10**18
_PERIOD_SECONDS = 600
_CHECKSUM = "sha256:" + "0" * 64
_SERVICE_TIMEOUT = 86_400


@dataclass
class Times:
    """Says what is being done, and remembers how long it took."""

    console: Console
    taken: list[tuple[str, float]] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step and take its time."""
        self.console.print(f"[bold]{what}[/bold] ...")
        start = time.perf_counter()
        yield
        self.taken.append((what, time.perf_counter() - start))

    def show(self) -> None:
        """Print the time of each step."""
        table = Table(title="How long each step took", title_justify="left")
        table.add_column("step")
        table.add_column("seconds", justify="right")
        for what, seconds in self.taken:
            table.add_row(what, f"{seconds:.2f}")
        table.add_row("all", f"{sum(seconds for _, seconds in self.taken):.2f}")
        self.console.print(table)


@dataclass(frozen=True)
class Scene:
    """Everything that the demo has brought up."""

    chain: DemoChain
    addresses: OceanAddresses
    publisher: Wallet
    consumer: Wallet
    url: str
    folder: Path
    threads: Threads


@dataclass(frozen=True)
class Bought:
    """An asset, and the transaction that ordered it."""

    asset: Published
    order: str


async def run(rpc: str | None, *, keep: bool) -> None:
    """Run the demo; whatever ends it, nothing is left behind.

    Args:
        rpc: JSON-RPC URL of a development chain whose accounts are unlocked by known keys; None starts one in here.
        keep: Go on serving at the end, until Ctrl-C.

    Raises:
        CoveError: A part of the service does not start, or the chain does not answer.
        MarketError: The chain refuses.
        ClientError: The service refuses, or the job ended without success.
    """
    console = Console(soft_wrap=True)
    times = Times(console)
    folder = _folder()
    try:
        async with contextlib.AsyncExitStack() as stack:
            scene = await _bring_up(stack, times, rpc, folder)
            dataset, algorithm = await _publish(times, scene)
            bought = await _order(times, scene, dataset, algorithm)
            job = await _start(times, scene, *bought)
            finished = await _watch(times, scene, job)
            await _download(times, scene, finished)
            times.show()
            if keep:
                _explain(console, scene, finished, *bought)
                await asyncio.Event().wait()
    finally:
        await asyncio.get_running_loop().shutdown_default_executor()  # no thread writes into the folder any more
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cove-demo-"))
    folder.chmod(0o755)  # the sandbox's users read the sample data below it
    return folder


async def _bring_up(stack: contextlib.AsyncExitStack, times: Times, rpc: str | None, folder: Path) -> Scene:
    threads = Threads()
    with times.step("Starting a chain in this process" if rpc is None else "Connecting to the chain"):
        chain = await stack.enter_async_context(open_chain(rpc))
    with times.step("Deploying Ocean's contracts"):
        publisher = Wallet(chain.keys[0], chain.transport)
        consumer = Wallet(chain.keys[1], chain.transport)
        addresses = await deploy_ocean(publisher)
        await transfer(publisher, addresses.fee_token, consumer.address, 100 * _TOKENS)
    with times.step("Making the private table, and starting Cove beside it"):
        data = folder / "data"
        data.mkdir(mode=0o755)
        await threads.run(write_table, data / "patients.csv")
        shutil.copyfile(Path(__file__).with_name("sample") / "algorithm.py", data / "algorithm.py")
        settings = _settings(chain, addresses, publisher.address, folder)
        url = await stack.enter_async_context(_served(settings, chain))
        times.console.print(f"  Cove answers at {url}")
    return Scene(chain, addresses, publisher, consumer, url, folder, threads)


def _settings(chain: DemoChain, addresses: OceanAddresses, publisher: str, folder: Path) -> Settings:
    return Settings(
        state_dir=folder / "state",
        key=SecretStr(secrets.token_hex(32)),
        chains=(
            ChainSettings(
                id=chain.id,
                rpc=SecretStr(chain.url or "http://127.0.0.1:0"),
                factory=addresses.factory,
                fee_token=addresses.fee_token,
            ),
        ),
        environments=(
            EnvironmentSettings(
                id="demo", description="The demo's environment", price_per_minute=Decimal("0.1"), max_duration=3600
            ),
        ),
        local={"demo": LocalRootSettings(path=folder / "data", publishers=(publisher,))},
    )


@contextlib.asynccontextmanager
async def _served(settings: Settings, chain: DemoChain) -> AsyncIterator[str]:
    stop = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    engines: list[Engine] = []
    try:
        async with open_cove(settings, connect=chain.connect) as cove:
            engines.extend(cove.parts.engines.values())
            serving = asyncio.create_task(
                run_server(cove, "127.0.0.1", 0, started=address.set_result, stop=stop), name="demo server"
            )
            try:
                yield await address
            finally:
                stop.set()
                await serving
    finally:  # now that nothing starts a run any more
        for engine in engines:
            for name in await engine.runs():
                await engine.remove(name)


async def _publish(times: Times, scene: Scene) -> tuple[Published, Published]:
    encrypt = provider_encrypt(scene.url, scene.chain.id)
    container = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": _CHECKSUM}
    with times.step("Publishing the table and the algorithm, with encrypted file lists"):
        algorithm = await publish(
            scene.publisher,
            scene.addresses.factory,
            AssetDraft(
                "Statistics of a table",
                [ServiceDraft("access", [_file("algorithm.py")], scene.url, timeout=_SERVICE_TIMEOUT)],
                type="algorithm",
                algorithm={"language": "python", "version": "1", "container": container},
            ),
            encrypt,
        )
        trusted = {
            "did": algorithm.did,
            "filesChecksum": _sha256(scene.folder / "data" / "algorithm.py"),
            "containerSectionChecksum": hashlib.sha256(f"python3 $ALGO{_CHECKSUM}".encode()).hexdigest(),
        }
        compute = {
            "allowRawAlgorithm": False,
            "allowNetworkAccess": False,
            "publisherTrustedAlgorithms": [trusted],
            "publisherTrustedAlgorithmPublishers": [],
        }
        dataset = await publish(
            scene.publisher,
            scene.addresses.factory,
            AssetDraft(
                "Ten thousand synthetic patients",
                [
                    ServiceDraft(
                        "compute", [_file("patients.csv")], scene.url, timeout=_SERVICE_TIMEOUT, compute=compute
                    )
                ],
            ),
            encrypt,
        )
    times.console.print(f"  table {dataset.did}\n  algorithm {algorithm.did}")
    return dataset, algorithm


async def _order(times: Times, scene: Scene, dataset: Published, algorithm: Published) -> tuple[Bought, Bought]:
    with times.step("Ordering both from a second account, and paying the environment's fee"):
        quote = await scene.threads.run(_quote, scene, dataset, algorithm)
        fees = [quote.datasets[0].providerFee, quote.algorithm.providerFee if quote.algorithm else None]
        bought: list[Bought] = []
        paid = 0
        for asset, fee in zip((dataset, algorithm), fees, strict=True):
            if fee is None:
                raise MarketError("Cove's quote holds no fee to order with.")
            await mint(scene.publisher, asset.datatoken, scene.consumer.address)  # the publisher sells one
            bought.append(Bought(asset, await order(scene.consumer, asset.datatoken, fee.model_dump())))
            paid += int(fee.providerFeeAmount)
        times.console.print(f"  paid {paid / _TOKENS:g} tokens for {_PERIOD_SECONDS} seconds of the environment")
    return bought[0], bought[1]


async def _start(times: Times, scene: Scene, dataset: Bought, algorithm: Bought) -> wire.StatusObject:
    with times.step("Starting the job: a signed POST /api/services/compute"):
        job = await scene.threads.run(_start_blocking, scene, dataset, algorithm)
        times.console.print(f"  job {job.jobId}: {job.status} {job.statusText}")
    return job


def _quote(scene: Scene, dataset: Published, algorithm: Published) -> wire.Initialized:
    request = wire.InitializeCompute.model_validate(
        {
            "datasets": [{"documentId": dataset.did, "serviceId": "0"}],
            "algorithm": {"documentId": algorithm.did, "serviceId": "0"},
            "compute": {"env": "demo", "validUntil": int(time.time()) + _PERIOD_SECONDS},
        }
    )
    with _client(scene) as client:
        return client.initialize_compute(request)


def _start_blocking(scene: Scene, dataset: Bought, algorithm: Bought) -> wire.StatusObject:
    request = wire.StartCompute.model_validate(
        {
            "environment": "demo",
            "dataset": {"documentId": dataset.asset.did, "serviceId": "0", "transferTxId": dataset.order},
            "algorithm": {"documentId": algorithm.asset.did, "serviceId": "0", "transferTxId": algorithm.order},
        }
    )
    with _client(scene) as client:
        return client.start(request)


async def _watch(times: Times, scene: Scene, job: wire.StatusObject) -> wire.StatusObject:
    with times.step("Watching the job in its sandbox"):
        last = await scene.threads.run(_watch_blocking, times.console, scene, job)
    if not succeeded(last):
        raise JobFailed(last)
    return last


def _watch_blocking(console: Console, scene: Scene, job: wire.StatusObject) -> wire.StatusObject:
    start = time.perf_counter()
    last = job
    with _client(scene) as client:
        for last in client.watch(job.jobId):
            console.print(f"  {time.perf_counter() - start:5.2f} s  {last.status} {last.statusText}")
    return last


async def _download(times: Times, scene: Scene, job: wire.StatusObject) -> None:
    target = scene.folder / "downloads"
    target.mkdir()
    with times.step("Downloading the results and the log"):
        await scene.threads.run(_download_blocking, times.console, scene, job, target)
    report = json.loads((target / "statistics.json").read_text("utf-8"))
    times.console.print(
        f"  [bold green]mean systolic pressure of {report['rows']} patients: "
        f"{report['columns']['systolic']['mean']}[/bold green] - and no patient's row has left"
    )


def _download_blocking(console: Console, scene: Scene, job: wire.StatusObject, target: Path) -> None:
    table = Table()
    for heading in ("index", "type", "file", "bytes", "sha256"):
        table.add_column(heading)
    with _client(scene) as client:
        for entry in job.results or []:
            place = target / Path(entry.filename).name
            client.download(job.jobId, entry.index, place, entry=entry)
            table.add_row(
                str(entry.index), entry.type, entry.filename, str(place.stat().st_size), _sha256(place)[:16] + ".."
            )
    console.print(table)


def _client(scene: Scene) -> CoveClient:
    return CoveClient(scene.url, Signer(scene.chain.keys[1]), pause=scene.threads.pause)


def _file(name: str) -> dict[str, str]:
    return {"type": "local", "root": "demo", "path": name}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _explain(console: Console, scene: Scene, job: wire.StatusObject, dataset: Bought, algorithm: Bought) -> None:
    """Say what can be tried by hand. The keys are a development chain's: worth nothing, so they may be shown."""
    cove = _program()
    assets = (
        f"--dataset {dataset.asset.did} --order {dataset.order} "
        f"--algorithm {algorithm.asset.did} --algorithm-order {algorithm.order}"
    )
    console.print(f"\nCove goes on serving at {scene.url} until Ctrl-C. To try by hand, in another terminal:\n")
    console.print(f"  publisher {scene.publisher.address}  key {scene.chain.keys[0]}")
    console.print(f"  consumer  {scene.consumer.address}  key {scene.chain.keys[1]}\n")
    console.print(f"  export COVE_URL={scene.url} COVE_ACCOUNT_KEY={scene.chain.keys[1]}")
    for command in (
        "environments",
        f"status {job.jobId}",
        f"logs {job.jobId}",
        f"results {job.jobId} --out results",
        f"restart {job.jobId}",
        f"submit {assets} --wait",
        f"stop {job.jobId}",
        f"delete {job.jobId}",
    ):
        console.print(f"  {cove} {command}")
    console.print(f"  curl '{scene.url}/api/services/compute?jobId={job.jobId}'\n")
    console.print(f"The orders above pay for jobs until {_PERIOD_SECONDS // 60} minutes after they were placed.")


def _program() -> str:
    """Give what is typed to start this program again from the same folder."""
    called = Path(sys.argv[0]).absolute()
    found = shutil.which(called.name)
    if found is not None and Path(found).absolute() == called:
        return called.name
    return shlex.quote(str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called))
