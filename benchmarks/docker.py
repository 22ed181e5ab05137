"""One trivial run through the engine for Docker and Podman, beside the same container run by the API alone.

    python benchmarks/docker.py [--rounds 20] [--host unix:///run/docker.sock ...]

Both take turns at the same daemon: the engine's run, from submit to the end that it tells of with outputs and log on
this host, and one hardened container by hand: create, start, wait, log, with its inputs and outputs bound to folders.
Without ``--host`` both daemons are started as the tests start them, where they are installed.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx2
from _bare import ALGORITHM, TABLE

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.support import daemons

from cove.core.job import Bind, Container, JobId, Resources, Run, RunId, run_id
from cove.core.lifecycle import Exited
from cove.engines.docker import DockerConfig, DockerEngine
from cove.engines.inside import ALGORITHM as PLACE

RESOURCES = Resources(1.0, 256 << 20, 64 << 20, 10_000, 128, 3600, 1 << 20)
USER = 299_000
RATIO, MORE_SECONDS = 1.3, 0.03
REST_SECONDS = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--host", action="append", default=[])
    parser.add_argument("--image", default="host")
    parser.add_argument("--helper", default=daemons.HELPER)
    options = parser.parse_args()
    try:
        started = {} if options.host else {"docker": daemons.docker().host, "podman": daemons.podman().host}
        for name, host in (started or {host: host for host in options.host}).items():
            with tempfile.TemporaryDirectory() as made:
                folder = Path(made)
                folder.chmod(0o755)
                config = DockerConfig(folder / "engine", host, helper=options.helper, pull="never", name="cove-bench")
                asyncio.run(measure(name, folder, config, options.image, options.rounds))
    finally:
        daemons.end_all()


async def measure(name: str, folder: Path, config: DockerConfig, image: str, rounds: int) -> None:
    seconds: dict[str, list[float]] = {"engine": [], "alone": []}
    engine = DockerEngine(config)
    await engine.start()
    ends: dict[RunId, asyncio.Event] = {}
    engine.on_exit(lambda run: ends[run].set())
    for number in range(rounds + 1):
        await asyncio.sleep(REST_SECONDS)  # a spare keeper is made meanwhile, and not beside what is measured
        for which in sorted(seconds, reverse=bool(number % 2)):
            if which == "engine":
                taken = await by_engine(engine, ends, image)
            else:
                taken = await asyncio.to_thread(alone, config.host, folder, image)
            if number:  # the first round warms the caches
                seconds[which].append(taken)
    await engine.close()
    own, other = statistics.median(seconds["engine"]), statistics.median(seconds["alone"])
    bound = RATIO * other + MORE_SECONDS
    print(f"{name}: one container by the API, median {other * 1000:7.1f} ms (min {min(seconds['alone']) * 1000:.1f})")
    print(f"{name}: the engine, median               {own * 1000:7.1f} ms (min {min(seconds['engine']) * 1000:.1f})")
    goal = f"goal: under {RATIO:g} times plus {MORE_SECONDS * 1000:.0f} ms"
    print(
        f"{name}: {own / bound:.2f} of {bound * 1000:.1f} ms  ({goal}: {'met' if own < bound else 'not met'})",
        flush=True,
    )


async def by_engine(engine: DockerEngine, ends: dict[RunId, asyncio.Event], image: str) -> float:
    run = Run(
        run_id(JobId(secrets.token_hex(16)), 1),
        Container(image, entrypoint=f"python3 {PLACE}"),
        (Bind("", PLACE, ALGORITHM.encode()), Bind("", "/data/inputs/table", TABLE.encode())),
        (),
        RESOURCES,
    )
    ends[run.id] = asyncio.Event()
    began = time.perf_counter()
    await engine.submit(run)
    await ends[run.id].wait()
    seen = (await engine.observe([run.id]))[run.id]
    taken = time.perf_counter() - began
    assert isinstance(seen, Exited), seen
    assert seen.code == 0, await engine.logs(run.id, 0, 1 << 20)
    assert ((await engine.collect(run.id)).outputs / "sum.json").read_text() == '{"sum": 3}'
    await engine.remove(run.id)
    return taken


def alone(host: str, folder: Path, image: str) -> float:
    """Do the same by hand, with the isolation that one asks of a daemon: what Cove adds is left out."""
    own = Path(tempfile.mkdtemp(dir=folder))
    own.chmod(0o755)
    (own / "algorithm").write_text(ALGORITHM)
    (own / "table").write_text(TABLE)
    (own / "outputs").mkdir()
    (own / "outputs").chmod(0o777)
    limits = [{"Name": name, "Soft": 4096, "Hard": 4096} for name in ("nofile", "nproc")]
    body = {
        "Image": image,
        "Entrypoint": ["python3", PLACE],
        "User": f"{USER}:{USER}",
        "NetworkDisabled": True,
        "HostConfig": {
            "Init": True, "NetworkMode": "none", "ReadonlyRootfs": True, "CapDrop": ["ALL"], "Ulimits": limits,
            "SecurityOpt": ["no-new-privileges"], "Memory": 320 << 20, "MemorySwap": 320 << 20, "PidsLimit": 132,
            "NanoCpus": 1_000_000_000, "Tmpfs": {"/tmp": "size=64m"},  # noqa: S108 - inside
            "Binds": [
                f"{own}/algorithm:{PLACE}:ro", f"{own}/table:/data/inputs/table:ro", f"{own}/outputs:/data/outputs",
            ],
        },
    }  # fmt: skip
    transport = httpx2.HTTPTransport(uds=host.removeprefix("unix://"))
    with httpx2.Client(transport=transport, base_url="http://docker/v1.41", timeout=60) as http:
        began = time.perf_counter()
        made = http.post("/containers/create", json=body).json()["Id"]
        http.post(f"/containers/{made}/start")
        ended = http.post(f"/containers/{made}/wait").json()
        log = http.get(f"/containers/{made}/logs", params={"stdout": "1"}).content
        taken = time.perf_counter() - began
        assert ended["StatusCode"] == 0, log
        assert (own / "outputs" / "sum.json").read_text() == '{"sum": 3}'
        http.delete(f"/containers/{made}", params={"force": "true", "v": "true"})
    return taken


if __name__ == "__main__":
    main()
