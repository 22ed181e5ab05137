"""An image of 150 MB from a registry on loopback: Cove beside skopeo and umoci; and what a cached one adds to a job.

    python benchmarks/images.py [--megabytes 150] [--rounds 5] [--folder /tmp]

The image is like those of algorithms: two layers, thousands of small files and a few large ones, half of them
compressible. Both check every blob and unpack to a folder, from an empty one, in turn. What a cached image adds is the
time of ``prepare`` and of finding it again at the start, without the run itself.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from _parts import need
from tests.support.images import MadeImage, an_image, tar_of
from tests.support.registries import a_registry
from tests.support.runs import Told

from cove.core.job import Container
from cove.engines.sandbox import images
from cove.images.registry import RegistryOptions
from cove.images.store import DiskImages, StoreOptions
from cove.ports import ImageSource

GOAL = 0.8
GOAL_MS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    need("docker-registry", "skopeo", "umoci")
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        with a_registry(folder / "registry") as registry:
            image = like_an_algorithms(options.megabytes)
            name = registry.push(image, "bench", "1")
            taken: dict[str, list[float]] = {"cove": [], "skopeo + umoci": []}
            for number in range(options.rounds + 1):
                for tool in sorted(taken, reverse=bool(number % 2)):
                    began = time.perf_counter()
                    if tool == "cove":
                        asyncio.run(by_cove(folder / "cove", registry.host, name, image.digest))
                    else:
                        by_others(folder / "others", name)
                    if number:  # the first of each finds everything cold
                        taken[tool].append(time.perf_counter() - began)
                    for place in ("cove", "others"):
                        shutil.rmtree(folder / place, ignore_errors=True)
            cached = asyncio.run(again(folder / "cove", registry.host, name, image.digest))
    ours, theirs = (statistics.median(taken[tool]) for tool in ("cove", "skopeo + umoci"))
    for tool, seconds in taken.items():
        print(f"{tool}: median {statistics.median(seconds):.2f} s, of {min(seconds):.2f} to {max(seconds):.2f}")
    print(f"ratio of speeds {theirs / ours:.2f} (goal: at least {GOAL})")
    print(f"a cached image adds {cached:.2f} ms (goal: under {GOAL_MS:.0f} ms)")
    if theirs / ours < GOAL or cached > GOAL_MS:
        sys.exit(1)


def like_an_algorithms(megabytes: int) -> MadeImage:
    """Make half of it small files, and half large ones."""
    chance = random.Random(1)
    text = b"def function(argument):\n    return argument + 1\n" * 200
    layers = []
    for number in range(2):
        entries: list[tuple[str, bytes]] = []
        left = megabytes * 1_000_000 // 2
        while left > megabytes * 1_000_000 // 4:
            size = min(int(chance.expovariate(1 / 12_000)) + 1, 200_000)
            content = chance.randbytes(size // 2) + (text * (size // len(text) + 1))[: size - size // 2]
            entries.append((f"usr/lib/{number}/{len(entries) // 40}/{len(entries)}.py", content))
            left -= size
        for large in range(3):
            part = left // 3
            entries.append((f"usr/lib/{number}/large{large}.so", chance.randbytes(part // 2) + bytes(part - part // 2)))
        layers.append(tar_of(entries))
    return an_image(*layers)


async def by_cove(folder: Path, host: str, name: str, digest: str) -> None:
    store = open_store(folder, host)
    await store.prepare(ImageSource("registry"), Container(name, "1", digest), Told())
    store.close()  # until it is on the disk


def by_others(folder: Path, name: str) -> None:
    copy = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{name}:1", f"oci:{folder}/image:1"]
    folder.mkdir()
    subprocess.run(copy, check=True)
    unpack = ["umoci", "raw", "unpack", "--image", f"{folder}/image:1", f"{folder}/root"]
    subprocess.run(unpack, check=True, capture_output=True)


def open_store(folder: Path, host: str) -> DiskImages:
    return DiskImages(folder, StoreOptions({host: RegistryOptions(insecure=True)}), tuple)


async def again(folder: Path, host: str, name: str, digest: str) -> float:
    """Give the milliseconds that a job loses to an image that is here."""
    store = open_store(folder, host)
    source, container = ImageSource("registry"), Container(name, "1", digest)
    await store.prepare(source, container, Told())
    taken = []
    for _ in range(200):
        began = time.perf_counter()
        image = await store.prepare(source, container, Told())
        images.view_of({name: source}, store, Container(name, "1", digest, digest=image.digest), "")
        taken.append((time.perf_counter() - began) * 1000)
    store.close()
    return statistics.median(taken)


if __name__ == "__main__":
    main()
