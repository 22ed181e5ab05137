"""What an image name stands for on this host, and what its root shows."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from cove.core.errors import ImageRefused
from cove.core.job import Container
from cove.engines.sandbox.config import ImageSource
from cove.engines.sandbox.plan import BASE, hidden

_ETC = ("ld.so.cache", "alternatives", "ssl", "mime.types")


def root_of(
    table: Mapping[str, ImageSource], container: Container, interpreter: str
) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Give the root's entries, and which folders of this host must be bound where for them.

    Args:
        table: The owner's images.
        container: What the algorithm asks for.
        interpreter: Prefix of the Python that runs Cove, for hosts whose /usr has none.

    Raises:
        ImageRefused: The table has no such image, or what stands behind it cannot be used.
    """
    source = table.get(container.reference) or table.get(container.image)
    if source is None:
        raise ImageRefused(
            f"The image {container.reference} is not one of this environment's.", hint="computeEnvironments lists them."
        )
    if source.checksum and source.checksum != container.checksum:
        raise ImageRefused(f"The image {container.reference} has another checksum here than the algorithm states.")
    return _host(interpreter) if source.kind == "host" else _folder(Path(source.path or ""), container.reference)


def _host(interpreter: str) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    entries = [("/usr", "/usr")]
    sources: list[str] = []
    targets: list[str] = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/") / name
        if place.is_symlink():
            entries.append((str(place), f"-> {place.readlink()}"))
        elif place.is_dir():
            entries.append((str(place), str(place)))
    entries += [(f"/etc/{name}", f"/etc/{name}") for name in _ETC if (Path("/etc") / name).exists()]
    entries += [(f"/etc/{name}", f"{BASE}/etc/{name}") for name in ("passwd", "group", "hosts")]
    if not Path("/usr/bin/python3").exists() and not Path("/usr/local/bin/python3").exists():
        sources.append(interpreter)
        targets.append(f"{BASE}/bw/python")
        entries.append(("/opt/python", f"{BASE}/bw/python"))
    return entries, sources, targets


def _folder(root: Path, name: str) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    try:
        found = sorted(root.iterdir())
    except OSError:
        raise ImageRefused(f"The folder of image {name} cannot be read.", hint="Tell the provider.") from None
    entries: list[tuple[str, str]] = []
    sources: list[str] = []
    targets: list[str] = []
    for place in found:
        if hidden(place.name):
            continue
        if place.is_symlink():
            entries.append((f"/{place.name}", f"-> {place.readlink()}"))
            continue
        bound = f"{BASE}/bw/root/{place.name}"
        sources.append(str(place))
        targets.append(bound)
        entries.append((f"/{place.name}", bound))
    if not entries:
        raise ImageRefused(f"The folder of image {name} is empty.", hint="Tell the provider.")
    return entries, sources, targets


def remove_tree(folder: Path) -> None:
    """Remove a folder whatever an algorithm named its files; may be repeated."""

    def unlock(_call: object, path: str, _problem: object) -> None:
        parent = Path(path).parent
        if not stat.S_ISLNK(os.lstat(parent).st_mode):
            parent.chmod(0o700)

    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        shutil.rmtree(folder, onerror=unlock)
