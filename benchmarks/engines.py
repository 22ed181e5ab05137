"""One trivial run on each engine, from submit to the end that the engine tells of, beside bare bubblewrap.

    python benchmarks/engines.py [--rounds 40] [--folder /tmp] [ENGINE ...]

Two runs of the same algorithm take turns: the engine's, with its outputs collected and its end recorded, and that of
the reference. An engine that cannot run here is passed over with a word.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from _bare import ALGORITHM, RESOURCES, Bare

from cove.core.job import Bind, Container, JobId, Resources, Run, RunId, run_id
from cove.core.lifecycle import Exited
from cove.engines.inside import ALGORITHM as PLACE
from cove.engines.sandbox import ImageSource, SandboxConfig, SandboxEngine
from cove.ports import Engine


@dataclass(frozen=True)
class Measured:
    """An engine, how it is opened, and what is expected of it."""

    #: Gives the started engine for a folder; None where it cannot run here.
    opened: Callable[[Path], contextlib.AbstractAsyncContextManager[Engine | None]]
    #: The goal: at most so many times the reference, and so many seconds more; None for no goal.
    ratio: float | None = None
    more_seconds: float = 0.0
    #: Image that the run asks for.
    image: str = "host"


@contextlib.asynccontextmanager
async def sandbox(folder: Path, **settings: int) -> AsyncIterator[Engine | None]:
    engine = SandboxEngine(SandboxConfig(folder / "engine", {"host": ImageSource("host")}, **settings))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def sandbox_on_a_file(folder: Path) -> AsyncIterator[Engine | None]:
    """The same with each run's disk as ext4 in a file, where this machine can make one."""
    async with sandbox(folder, disk_in_memory=0) as engine:
        yield engine if engine is not None and "ext4" in engine.enforcement()["disk"] else None


ENGINES = {
    "sandbox": Measured(sandbox, ratio=1.5, more_seconds=0.02),
    "sandbox, disk in a file": Measured(sandbox_on_a_file),
}
"""By the name that is printed: one line for each further engine."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", choices=[[], *ENGINES], default=[])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    for name in options.engines or ENGINES:
        with tempfile.TemporaryDirectory(dir=options.folder) as made:
            folder = Path(made)
            folder.chmod(0o755)
            asyncio.run(measure(name, folder, options.rounds))


async def measure(name: str, folder: Path, rounds: int) -> None:
    """Let an engine and the reference take turns, and print what came of it."""
    wanted = ENGINES[name]
    bare = Bare(folder)
    seconds: dict[str, list[float]] = {"engine": [], "bare": []}
    async with wanted.opened(folder) as engine:
        if engine is None:
            print(f"{name}: cannot run on this machine")
            return
        ends: dict[RunId, asyncio.Event] = {}
        engine.on_exit(lambda run: ends[run].set())
        for number in range(rounds + 1):
            for which in sorted(seconds, reverse=bool(number % 2)):
                if which == "engine":
                    taken = await once(engine, ends, wanted.image)
                else:
                    taken = await asyncio.to_thread(bare.run)
                if number:  # the first round warms the caches
                    seconds[which].append(taken)
    bare.clean()
    own, other = statistics.median(seconds["engine"]), statistics.median(seconds["bare"])
    print(f"bare sandbox, median  {other * 1000:7.1f} ms")
    print(f"{name}, median  {own * 1000:7.1f} ms")
    print(f"{name} / bare   {own / other:7.2f}")
    if wanted.ratio is not None:
        bound = wanted.ratio * other + wanted.more_seconds
        goal = f"goal: under {wanted.ratio:g} times bare plus {wanted.more_seconds * 1000:.0f} ms"
        print(f"{name}: {own / bound:.2f} of {bound * 1000:.1f} ms  ({goal}: {'met' if own < bound else 'not met'})")


async def once(engine: Engine, ends: dict[RunId, asyncio.Event], image: str) -> float:
    """Run the algorithm to its end, and give the seconds that it took."""
    run = a_run(image, RESOURCES)
    ended = ends[run.id] = asyncio.Event()
    began = time.perf_counter()
    await engine.submit(run)
    await ended.wait()
    seen = (await engine.observe([run.id]))[run.id]
    taken = time.perf_counter() - began
    assert isinstance(seen, Exited), seen
    assert seen.code == 0, seen
    assert ((await engine.collect(run.id)).outputs / "sum.json").read_text() == '{"sum": 3}'
    await engine.remove(run.id)
    return taken


def a_run(image: str, resources: Resources) -> Run:
    binds = (Bind("", PLACE, ALGORITHM.encode()), Bind("", "/data/inputs/table", b"1\n2\n"))
    return Run(
        run_id(JobId(secrets.token_hex(16)), 1),
        Container(image, entrypoint=f"python3 {PLACE}"),
        binds,
        (),
        resources,
    )


if __name__ == "__main__":
    main()
