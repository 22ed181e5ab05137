"""``cove demo``: one real job on private data, from an empty chain to released results."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console

from cove import wire
from cove.cli.demo_chain import DemoChain, open_chain
from cove.cli.demo_job import (
    CONTAINER,
    PERIOD_SECONDS,
    Bought,
    Times,
    Visit,
    demo_folder,
    download,
    explain,
    local_file,
    make_data,
    served,
    start,
    trusting,
    watch,
)
from cove.cli.interruption import Threads
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
from cove.settings import ChainSettings, EnvironmentSettings, LocalRootSettings, Settings

_TOKENS = 10**18
_SERVICE_TIMEOUT = 86_400


@dataclass(frozen=True)
class Scene:
    """Everything that the demo has brought up."""

    chain: DemoChain
    addresses: OceanAddresses
    publisher: Wallet
    consumer: Wallet
    visit: Visit


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
    folder = demo_folder()
    try:
        async with contextlib.AsyncExitStack() as stack:
            scene = await _bring_up(stack, times, rpc, folder)
            dataset, algorithm = await _publish(times, scene)
            bought = await _order(times, scene, dataset, algorithm)
            job = await start(times, scene.visit, *bought)
            finished = await watch(times, scene.visit, job)
            await download(times, scene.visit, finished)
            times.show()
            if keep:
                people = (
                    ("publisher", scene.publisher.address, scene.chain.keys[0]),
                    ("consumer", scene.consumer.address, scene.chain.keys[1]),
                )
                last = f"The orders above pay for jobs until {PERIOD_SECONDS // 60} minutes after they were placed."
                explain(console, scene.visit, finished, bought, people=people, last=last)
            else:
                console.print("The same without any chain: cove demo --no-chain")
            if keep:
                await asyncio.Event().wait()
    finally:
        await asyncio.get_running_loop().shutdown_default_executor()  # no thread writes into the folder any more
        shutil.rmtree(folder, ignore_errors=True)


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
        await threads.run(make_data, folder)
        settings = _settings(chain, addresses, publisher.address, folder)
        url = await stack.enter_async_context(served(settings, chain.connect))
        times.console.print(f"  Cove answers at {url}")
    return Scene(chain, addresses, publisher, consumer, Visit(url, folder, threads, chain.keys[1]))


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


async def _publish(times: Times, scene: Scene) -> tuple[Published, Published]:
    encrypt = provider_encrypt(scene.visit.url, scene.chain.id)
    with times.step("Publishing the table and the algorithm, with encrypted file lists"):
        algorithm = await publish(
            scene.publisher,
            scene.addresses.factory,
            AssetDraft(
                "Statistics of a table",
                [ServiceDraft("access", [local_file("algorithm.py")], scene.visit.url, timeout=_SERVICE_TIMEOUT)],
                type="algorithm",
                algorithm={"language": "python", "version": "1", "container": CONTAINER},
            ),
            encrypt,
        )
        compute = trusting(algorithm.did, scene.visit.folder)
        files = [local_file("patients.csv")]
        table = ServiceDraft("compute", files, scene.visit.url, timeout=_SERVICE_TIMEOUT, compute=compute)
        dataset = await publish(
            scene.publisher, scene.addresses.factory, AssetDraft("Ten thousand synthetic patients", [table]), encrypt
        )
    times.console.print(f"  table {dataset.did}\n  algorithm {algorithm.did}")
    return dataset, algorithm


async def _order(times: Times, scene: Scene, dataset: Published, algorithm: Published) -> tuple[Bought, Bought]:
    with times.step("Ordering both from a second account, and paying the environment's fee"):
        quote = await scene.visit.threads.run(_quote, scene, dataset, algorithm)
        fees = [quote.datasets[0].providerFee, quote.algorithm.providerFee if quote.algorithm else None]
        bought: list[Bought] = []
        paid = 0
        for asset, fee in zip((dataset, algorithm), fees, strict=True):
            if fee is None:
                raise MarketError("Cove's quote holds no fee to order with.")
            await mint(scene.publisher, asset.datatoken, scene.consumer.address)  # the publisher sells one
            bought.append(Bought(asset.did, await order(scene.consumer, asset.datatoken, fee.model_dump())))
            paid += int(fee.providerFeeAmount)
        times.console.print(f"  paid {paid / _TOKENS:g} tokens for {PERIOD_SECONDS} seconds of the environment")
    return bought[0], bought[1]


def _quote(scene: Scene, dataset: Published, algorithm: Published) -> wire.Initialized:
    request = wire.InitializeCompute.model_validate(
        {
            "datasets": [{"documentId": dataset.did, "serviceId": "0"}],
            "algorithm": {"documentId": algorithm.did, "serviceId": "0"},
            "compute": {"env": "demo", "validUntil": int(time.time()) + PERIOD_SECONDS},
        }
    )
    with scene.visit.client() as client:
        return client.initialize_compute(request)
