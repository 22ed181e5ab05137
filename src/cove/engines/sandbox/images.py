"""What an image name stands for on this host, and what its root shows."""

from __future__ import annotations

import functools
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from cove.core.errors import ImageRefused
from cove.core.job import Container
from cove.engines.sandbox.plan import BASE, PYTHON, hidden
from cove.ports import ImageSource

_ETC = ("ld.so.cache", "alternatives", "ssl", "mime.types")


Root = tuple[Sequence[tuple[str, str]], Sequence[tuple[str, str]]]
"""What the root shows (place, source), and what must be bound for it (path on this host, place below our folder)."""


def root_of(table: Mapping[str, ImageSource], container: Container, interpreter: str) -> Root:
    """Give the root's entries, and which folders of this host must be bound where for them.

    Args:
        table: The owner's images.
        container: What the algorithm asks for.
        interpreter: Prefix of the Python that runs Cove, for hosts whose /usr has none.

    Raises:
        ImageRefused: The table has no such image, or what stands behind it cannot be used.
    """
    source = _source(table, container)
    if source is None:
        raise ImageRefused(
            f"The image {container.reference} is not one of this environment's.", hint="computeEnvironments lists them."
        )
    if source.checksum and source.checksum != container.checksum:
        raise ImageRefused(f"The image {container.reference} has another checksum here than the algorithm states.")
    return _host(interpreter) if source.kind == "host" else _folder(Path(source.path or ""), container.reference)


def has_shell(table: Mapping[str, ImageSource], container: Container) -> bool:
    """Say whether an image has ``/bin/sh``; a link counts, for what it leads to is known inside alone."""
    source = _source(table, container)
    return source is None or source.kind == "host" or os.path.lexists(f"{source.path}/bin/sh")


def _source(table: Mapping[str, ImageSource], container: Container) -> ImageSource | None:
    return table.get(container.reference) or table.get(container.image)


@functools.cache  # how a host's top folders are laid out does not change while it runs
def _host(interpreter: str) -> Root:
    entries = [("/usr", "/usr")]
    binds: list[tuple[str, str]] = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/") / name
        if place.is_symlink():
            entries.append((str(place), f"-> {place.readlink()}"))
        elif place.is_dir():
            entries.append((str(place), str(place)))
    entries += [(f"/etc/{name}", f"/etc/{name}") for name in _ETC if (Path("/etc") / name).exists()]
    entries += [(f"/etc/{name}", f"{BASE}/etc/{name}") for name in ("passwd", "group", "hosts")]
    if not Path("/usr/bin/python3").exists() and not Path("/usr/local/bin/python3").exists():
        binds.append((interpreter, "bw/python"))
        entries.append((PYTHON, f"{BASE}/bw/python"))
    return entries, binds


def _folder(root: Path, name: str) -> Root:
    try:
        found = sorted(root.iterdir())
    except OSError:
        raise ImageRefused(f"The folder of image {name} cannot be read.", hint="Tell the provider.") from None
    entries: list[tuple[str, str]] = []
    binds: list[tuple[str, str]] = []
    for place in found:
        if hidden(place.name):
            continue
        if place.is_symlink():
            entries.append((f"/{place.name}", f"-> {place.readlink()}"))
            continue
        binds.append((str(place), f"bw/root/{place.name}"))
        entries.append((f"/{place.name}", f"{BASE}/bw/root/{place.name}"))
    if not entries:
        raise ImageRefused(f"The folder of image {name} is empty.", hint="Tell the provider.")
    return entries, binds


def remove_tree(folder: Path) -> None:
    """Remove a folder whatever an algorithm named its files; may be repeated."""

    def unlock(_call: object, path: str, _problem: object) -> None:
        parent = Path(path).parent
        if not stat.S_ISLNK(os.lstat(parent).st_mode):
            parent.chmod(0o700)

    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        shutil.rmtree(folder, onerror=unlock)
