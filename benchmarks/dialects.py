"""A start, and a status, in Ocean Node's API beside the same in the Provider API: CPU time of the service.

    python benchmarks/dialects.py [--rounds 5] [--starts 20] [--statuses 500] [--folder /tmp]

One service serves both, over anvil, and they take turns. Each start names a dataset and a published algorithm with an
order of its own for each, that the service has not seen before. In Ocean Node's API it is one of the free tier, and one
that is paid: its price is locked in Ocean's Escrow, by a transaction that the service signs, sends and waits for. CPU
time is what the kernel counts for the service's process.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _anvil import CHAIN_ID, Chain, chain
from _parts import cove
from orders import PATH, Site, deploy, settings_of

from cove.client.market import OceanAddresses, Wallet
from cove.ledgers.rpc import HttpRpc

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.support.escrow import ARTIFACT, Escrowed, deploy_escrow

GOAL_RATIO = 1.2
FUNDS = 10**22
FREE = "/api/services/freeCompute"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=20, help="of each, in each round")
    parser.add_argument("--statuses", type=int, default=500, help="of each, in each round")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, chain() as made:
        folder = Path(name)
        folder.chmod(0o755)
        addresses = asyncio.run(deploy(made))
        place = asyncio.run(deposit(made, addresses))
        with cove(folder, terms(settings_of(folder, made, addresses), place)) as serving:
            site = Site(serving, made, addresses.factory)
            site.prepare(pairs=1 + 3 * (2 + options.rounds * options.starts))
            try:
                starts(site, options.rounds, options.starts, made.name, place)
                statuses(site, options.rounds, options.statuses)
            finally:
                site.end()


async def deposit(made: Chain, addresses: OceanAddresses) -> Escrowed | None:
    """Have an Escrow in which the consumer has tokens that the provider may lock; None where it is not there."""
    if not ARTIFACT.is_file():
        print("Ocean's Escrow is not there (tests/compat/install.sh brings it): no paid starts")
        return None
    async with HttpRpc(made.url, CHAIN_ID) as node:
        owner, consumer, provider = (Wallet(made.keys[number], node) for number in (0, 2, 3))
        place = await deploy_escrow(owner, addresses)
        await place.deposit(consumer, FUNDS)
        await place.authorize(consumer, provider.address, FUNDS, 10**7, locks=10**4)
    return place


def terms(settings: str, place: Escrowed | None) -> str:
    """Add a free tier to the environment, and a price."""
    offers = "[environments.free]\n"
    if place is not None:
        offers += f'[[environments.prices]]\nchain = {CHAIN_ID}\ntoken = "{place.token}"\ncpu = "0.001"\n'
        settings = settings.replace("[[environments]]", f'escrow = "{place.address}"\n[[environments]]')
    return settings.replace("[local.data]", f"{offers}[local.data]")


def starts(site: Site, rounds: int, count: int, name: str, place: Escrowed | None) -> None:
    ways: dict[str, tuple[str, Callable[[], dict[str, object]]]] = {
        "Provider API": (PATH, site.start),
        "Ocean Node's API": (FREE, lambda: node_start(site, "freeStartCompute")),
    }
    if place is not None:
        payment = {"chainId": CHAIN_ID, "token": place.token, "resources": []}
        ways["the same, paid"] = (PATH, lambda: node_start(site, "startCompute") | {"payment": payment})
    site.ask("POST", PATH, site.start())  # runs, so that all others wait
    for way, (path, body) in ways.items():  # warms the caches
        site.ask("POST", path, body())
        site.known[way] = site.ask("POST", path, body())[0]["jobId"]
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in list(ways)[:: -1 if number % 2 else 1]:
            path, body = ways[way]
            bodies = [body() for _ in range(count)]
            before = site.cpu()
            for one in bodies:
                site.ask("POST", path, one)
            spent[way].append((site.cpu() - before) / count)
    show(f"a start with two new orders, over {name}", spent)


def statuses(site: Site, rounds: int, count: int) -> None:
    jobs = site.known
    spent: dict[str, list[float]] = {way: [] for way in jobs}
    for number in range(rounds):
        for way in sorted(jobs, reverse=bool(number % 2)):
            before = site.cpu()
            for _ in range(count):
                (found,) = site.ask("GET", f"{PATH}?jobId={jobs[way]}")
            assert found["jobId"] == jobs[way]
            spent[way].append((site.cpu() - before) / count)
    show("a status by jobId of a job that waits", spent)


def show(what: str, spent: dict[str, list[float]]) -> None:
    print(f"{what}, CPU of the service")
    for way, values in spent.items():
        print(f"  {way:20} {1000 * statistics.median(values):7.2f} ms", end="")
        print(f"   {1000 * min(values):.2f} to {1000 * max(values):.2f} in {len(values)} rounds")
    first, second = list(spent.values())[:2]
    ratios = [node / provider for provider, node in zip(first, second, strict=True)]
    print(f"  ratio                {statistics.median(ratios):7.2f}      (goal: at most {GOAL_RATIO:g})")


def node_start(site: Site, command: str) -> dict[str, object]:
    """Give the body of a start, with orders that no other start has."""
    one, two = site.orders.pop()
    owner, nonce = site.signer.address, str(time.time_ns())
    return {
        "consumerAddress": owner,
        "nonce": nonce,
        "signature": site.signer.sign(f"{owner}{nonce}{command}"),
        "environment": "default",
        "datasets": [{"documentId": site.dataset.did, "serviceId": "0", "transferTxId": one}],
        "algorithm": {"documentId": site.algorithm.did, "serviceId": "0", "transferTxId": two},
        "resources": [{"id": "cpu", "amount": 1}],
        "maxJobDuration": 600,
        "metadata": {"name": "a benchmark"},
    }


if __name__ == "__main__":
    main()
