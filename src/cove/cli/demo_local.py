"""``cove demo --no-chain``: the same job where nothing but files and signatures says who may do what."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console

from cove.access.grants import Wish
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
from cove.client import Signer
from cove.client.market import AssetDraft, ServiceDraft, build_document, provider_encrypt
from cove.crypto.keys import checksum
from cove.metadata.folder import write_asset
from cove.settings import CatalogSettings, EnvironmentSettings, LocalRootSettings, Settings
from cove.wiring.grants import open_grants

_RUNS = 10
_ADDRESS_BYTES = 20


@dataclass(frozen=True)
class Scene:
    """Everything that the demo has brought up."""

    settings: Settings
    owner: Signer
    #: The owner's private key, worth nothing.
    owner_key: str
    consumer: Signer
    visit: Visit


async def run(*, keep: bool) -> None:
    """Run the demo; whatever ends it, nothing is left behind.

    Args:
        keep: Go on serving at the end, until Ctrl-C.

    Raises:
        CoveError: A part of the service does not start.
        ClientError: The service refuses, or the job ended without success.
    """
    console = Console(soft_wrap=True)
    times = Times(console)
    folder = demo_folder()
    try:
        async with contextlib.AsyncExitStack() as stack:
            scene = await _bring_up(stack, times, folder)
            table, algorithm = await _publish(times, scene)
            bought = await _grant(times, scene, table, algorithm)
            job = await start(times, scene.visit, *bought)
            finished = await watch(times, scene.visit, job)
            await download(times, scene.visit, finished)
            times.show()
            if keep:
                people = (
                    ("owner", scene.owner.address, scene.owner_key),
                    ("consumer", scene.consumer.address, scene.visit.key),
                )
                last = f"Each grant above pays for {_RUNS} runs, within {PERIOD_SECONDS // 60} minutes."
                explain(console, scene.visit, finished, bought, people=people, last=last)
                await asyncio.Event().wait()
    finally:
        await asyncio.get_running_loop().shutdown_default_executor()  # no thread writes into the folder any more
        shutil.rmtree(folder, ignore_errors=True)


async def _bring_up(stack: contextlib.AsyncExitStack, times: Times, folder: Path) -> Scene:
    threads = Threads()
    keys = [secrets.token_hex(32) for _ in range(2)]
    owner, consumer = (Signer(key) for key in keys)
    with times.step("Making the private table, and starting Cove beside it"):
        await threads.run(make_data, folder)
        settings = Settings(
            state_dir=folder / "state",
            key=SecretStr(secrets.token_hex(32)),
            catalog=CatalogSettings(folder=folder / "catalogue"),
            environments=(EnvironmentSettings(id="demo", description="The demo's environment", max_duration=3600),),
            local={"demo": LocalRootSettings(path=folder / "data", publishers=(owner.address,))},
        )
        url = await stack.enter_async_context(served(settings))
        times.console.print(f"  Cove answers at {url}")
    return Scene(settings, owner, keys[0], consumer, Visit(url, folder, threads, keys[1]))


async def _publish(times: Times, scene: Scene) -> tuple[str, str]:
    url, folder = scene.visit.url, scene.visit.folder
    with times.step("Publishing the table and the algorithm as files, with encrypted file lists"):
        code = ServiceDraft("access", [local_file("algorithm.py")], url)
        terms = {"language": "python", "version": "1", "container": CONTAINER}
        algorithm = await _write(scene, AssetDraft("Statistics of a table", [code], type="algorithm", algorithm=terms))
        table = ServiceDraft("compute", [local_file("patients.csv")], url, compute=trusting(algorithm, folder))
        dataset = await _write(scene, AssetDraft("Ten thousand synthetic patients", [table]))
    times.console.print(f"  table {dataset}\n  algorithm {algorithm}")
    return dataset, algorithm


async def _write(scene: Scene, draft: AssetDraft) -> str:
    chain_id, folder = scene.settings.catalog.chain_id, scene.settings.catalog.folder
    if folder is None:
        raise AssertionError("the demo has a catalogue")
    nft, datatoken = (checksum("0x" + secrets.token_hex(_ADDRESS_BYTES)) for _ in range(2))
    document = await build_document(chain_id, nft, datatoken, draft, provider_encrypt(scene.visit.url, chain_id))
    await scene.visit.threads.run(write_asset, folder, document, scene.owner.address, 0)
    return str(document["id"])


async def _grant(times: Times, scene: Scene, table: str, algorithm: str) -> tuple[Bought, Bought]:
    until = int(time.time()) + PERIOD_SECONDS
    with times.step("Signing a grant of each for the consumer"):
        async with open_grants(scene.settings) as desk:
            made = []
            for did in (table, algorithm):
                wish = Wish(scene.consumer.address, did, None, until, _RUNS)
                record, _ = await desk.create(wish, scene.owner)
                made.append(Bought(did, record.id))
        times.console.print(f"  {made[0].order} pays for {_RUNS} runs on the table")
    return made[0], made[1]
