"""What both demos share: the service, the job from its start to its results, and what can be tried by hand."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cove import wire
from cove.cli.interruption import Threads
from cove.cli.sample.table import write_table
from cove.cli.server import run_server
from cove.client import CoveClient, JobFailed, Signer, succeeded
from cove.ports import Engine
from cove.settings import Settings
from cove.wiring.assembly import open_cove
from cove.wiring.chains import Connect, connect_http

PERIOD_SECONDS = 600
NO_CHECKSUM = "sha256:" + "0" * 64
CONTAINER = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": NO_CHECKSUM}


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
class Visit:
    """A consumer at the demo's service."""

    url: str
    folder: Path
    threads: Threads
    #: The consumer's private key, worth nothing.
    key: str

    def client(self) -> CoveClient:
        """Give the consumer's client."""
        return CoveClient(self.url, Signer(self.key), pause=self.threads.pause)


@dataclass(frozen=True)
class Bought:
    """An asset, and what stands for its order: a transaction, or a grant."""

    did: str
    order: str


def demo_folder() -> Path:
    """Make the demo's folder."""
    folder = Path(tempfile.mkdtemp(prefix="cove-demo-"))
    folder.chmod(0o755)  # the sandbox's users read the sample data below it
    return folder


def make_data(folder: Path) -> Path:
    """Write the private table and the algorithm. Blocking."""
    data = folder / "data"
    data.mkdir(mode=0o755)
    write_table(data / "patients.csv")
    shutil.copyfile(Path(__file__).with_name("sample") / "algorithm.py", data / "algorithm.py")
    return data


def trusting(did: str, folder: Path) -> dict[str, object]:
    """Give the terms of a table on which this algorithm alone may run, as it is now."""
    trusted = {
        "did": did,
        "filesChecksum": sha256(folder / "data" / "algorithm.py"),
        "containerSectionChecksum": hashlib.sha256(f"python3 $ALGO{NO_CHECKSUM}".encode()).hexdigest(),
    }
    return {
        "allowRawAlgorithm": False,
        "allowNetworkAccess": False,
        "publisherTrustedAlgorithms": [trusted],
        "publisherTrustedAlgorithmPublishers": [],
    }


@contextlib.asynccontextmanager
async def served(settings: Settings, connect: Connect = connect_http) -> AsyncIterator[str]:
    """Serve, give the URL, and leave no run behind."""
    stop = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    engines: list[Engine] = []
    try:
        async with open_cove(settings, connect=connect) as cove:
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


async def start(times: Times, visit: Visit, dataset: Bought, algorithm: Bought) -> wire.StatusObject:
    """Start the job."""
    with times.step("Starting the job: a signed POST /api/services/compute"):
        job = await visit.threads.run(_start_blocking, visit, dataset, algorithm)
        times.console.print(f"  job {job.jobId}: {job.status} {job.statusText}")
    return job


def _start_blocking(visit: Visit, dataset: Bought, algorithm: Bought) -> wire.StatusObject:
    request = wire.StartCompute.model_validate(
        {
            "environment": "demo",
            "dataset": {"documentId": dataset.did, "serviceId": "0", "transferTxId": dataset.order},
            "algorithm": {"documentId": algorithm.did, "serviceId": "0", "transferTxId": algorithm.order},
        }
    )
    with visit.client() as client:
        return client.start(request)


async def watch(times: Times, visit: Visit, job: wire.StatusObject) -> wire.StatusObject:
    """Watch the job to its end.

    Raises:
        JobFailed: It ended without success.
    """
    with times.step("Watching the job in its sandbox"):
        last = await visit.threads.run(_watch_blocking, times.console, visit, job)
    if not succeeded(last):
        raise JobFailed(last)
    return last


def _watch_blocking(console: Console, visit: Visit, job: wire.StatusObject) -> wire.StatusObject:
    start = time.perf_counter()
    last = job
    with visit.client() as client:
        for last in client.watch(job.jobId):
            console.print(f"  {time.perf_counter() - start:5.2f} s  {last.status} {last.statusText}")
    return last


async def download(times: Times, visit: Visit, job: wire.StatusObject) -> None:
    """Fetch what was released, and show it."""
    target = visit.folder / "downloads"
    target.mkdir()
    with times.step("Downloading the results and the log"):
        await visit.threads.run(_download_blocking, times.console, visit, job, target)
    report = json.loads((target / "statistics.json").read_text("utf-8"))
    times.console.print(
        f"  [bold green]mean systolic pressure of {report['rows']} patients: "
        f"{report['columns']['systolic']['mean']}[/bold green] - and no patient's row has left"
    )


def _download_blocking(console: Console, visit: Visit, job: wire.StatusObject, target: Path) -> None:
    table = Table()
    for heading in ("index", "type", "file", "bytes", "sha256"):
        table.add_column(heading)
    with visit.client() as client:
        for entry in job.results or []:
            place = target / Path(entry.filename).name
            client.download(job.jobId, entry.index, place, entry=entry)
            table.add_row(
                str(entry.index), entry.type, entry.filename, str(place.stat().st_size), sha256(place)[:16] + ".."
            )
    console.print(table)


def local_file(name: str) -> dict[str, str]:
    """Give the file object of one of the demo's files."""
    return {"type": "local", "root": "demo", "path": name}


def sha256(path: Path) -> str:
    """Give a file's digest. Blocking."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def explain(
    console: Console,
    visit: Visit,
    job: wire.StatusObject,
    bought: tuple[Bought, Bought],
    *,
    people: Sequence[tuple[str, str, str]],
    last: str,
) -> None:
    """Say what can be tried by hand. The keys are worth nothing, so they may be shown.

    Args:
        console: Where to.
        visit: The consumer.
        job: Has ended.
        bought: The table and the algorithm.
        people: Each with role, address and key.
        last: A line that stands last.
    """
    dataset, algorithm = bought
    cove = program()
    assets = (
        f"--dataset {dataset.did} --order {dataset.order} "
        f"--algorithm {algorithm.did} --algorithm-order {algorithm.order}"
    )
    console.print(f"\nCove goes on serving at {visit.url} until Ctrl-C. To try by hand, in another terminal:\n")
    for role, address, key in people:
        console.print(f"  {role:9} {address}  key {key}")
    console.print()
    console.print(f"  export COVE_URL={visit.url} COVE_ACCOUNT_KEY={visit.key}")
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
    console.print(f"  curl '{visit.url}/api/services/compute?jobId={job.jobId}'\n")
    console.print(last)


def program() -> str:
    """Give what is typed to start this program again from the same folder."""
    called = Path(sys.argv[0]).absolute()
    found = shutil.which(called.name)
    if found is not None and Path(found).absolute() == called:
        return called.name
    return shlex.quote(str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called))
