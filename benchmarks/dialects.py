"""A start, and a status, in Ocean Node's API beside the same in the Provider API: CPU time of the service.

    python benchmarks/dialects.py [--rounds 7] [--starts 30] [--statuses 500] [--folder /tmp]

One service serves both, over anvil, and they take turns. Each start names a dataset and a published algorithm with an
order of its own for each, that the service has not seen before; in Ocean Node's API it is one of the free tier, since
what a paid one adds is two transactions of the chain. CPU time is what the kernel counts for the service's process.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from _anvil import chain
from _parts import cove
from orders import PATH, Site, deploy, settings_of

GOAL_RATIO = 1.2
FREE = "/api/services/freeCompute"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--starts", type=int, default=30, help="of each, in each round")
    parser.add_argument("--statuses", type=int, default=500, help="of each, in each round")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, chain() as made:
        folder = Path(name)
        folder.chmod(0o755)
        factory, token = asyncio.run(deploy(made))
        settings = settings_of(folder, made, factory, token).replace(
            "[local.data]", "[environments.free]\n[local.data]"
        )
        with cove(folder, settings) as serving:
            site = Site(serving, made, factory)
            site.prepare(pairs=1 + 2 * (2 + options.rounds * options.starts))
            try:
                starts(site, options.rounds, options.starts, made.name)
                statuses(site, options.rounds, options.statuses)
            finally:
                site.end()


def starts(site: Site, rounds: int, count: int, name: str) -> None:
    ways = {"Provider API": (PATH, site.start), "Ocean Node's API": (FREE, lambda: free_start(site))}
    site.ask("POST", PATH, site.start())  # runs, so that all others wait
    for way, (path, body) in ways.items():  # warms the caches
        site.ask("POST", path, body())
        site.known[way] = site.ask("POST", path, body())[0]["jobId"]
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in sorted(ways, reverse=bool(number % 2)):
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
    first, second = spent.values()
    ratios = [node / provider for provider, node in zip(first, second, strict=True)]
    print(f"  ratio                {statistics.median(ratios):7.2f}      (goal: at most {GOAL_RATIO:g})")


def free_start(site: Site) -> dict[str, object]:
    """Give the body of a free start, with orders that no other start has."""
    one, two = site.orders.pop()
    owner, nonce = site.signer.address, str(time.time_ns())
    return {
        "consumerAddress": owner,
        "nonce": nonce,
        "signature": site.signer.sign(f"{owner}{nonce}freeStartCompute"),
        "environment": "default",
        "datasets": [{"documentId": site.dataset.did, "serviceId": "0", "transferTxId": one}],
        "algorithm": {"documentId": site.algorithm.did, "serviceId": "0", "transferTxId": two},
        "resources": [{"id": "cpu", "amount": 1}],
        "maxJobDuration": 600,
        "metadata": {"name": "a benchmark"},
    }


if __name__ == "__main__":
    main()
