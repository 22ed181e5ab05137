"""What an image name stands for on this host, and what its root shows."""

from __future__ import annotations

import functools
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cove.core.errors import ImageRefused
from cove.core.image_names import find
from cove.core.images import ImageConfig
from cove.core.job import Container
from cove.engines.sandbox.plan import BASE, PYTHON, hidden, is_home
from cove.ports import ImageSource, ImageStore

_ETC = ("ld.so.cache", "alternatives", "ssl", "mime.types")


Root = tuple[Sequence[tuple[str, str]], Sequence[tuple[str, str]]]
"""What the root shows (place, source), and what must be bound for it (path on this host, place below our folder)."""


@dataclass(frozen=True, slots=True)
class View:
    """An image, as a run sees it."""

    root: Root
    has_shell: bool
    config: ImageConfig
    #: Folder on this host that the run may change in a throw-away layer; empty: the working directory is no such one.
    work: str = ""


_NO_CONFIG: Final = ImageConfig(())


def source_of(table: Mapping[str, ImageSource], container: Container) -> ImageSource:
    """Give what stands behind an image's name.

    Raises:
        ImageRefused: The owner's table has no such image, or wants another checksum.
    """
    source = find(table, container)
    if source is None:
        raise ImageRefused(
            f"The image {container.reference} is not one of this environment's.", hint="computeEnvironments lists them."
        )
    if source.checksum and source.checksum != container.checksum:
        raise ImageRefused(f"The image {container.reference} has another checksum here than the algorithm states.")
    return source


def view_of(table: Mapping[str, ImageSource], store: ImageStore | None, container: Container, interpreter: str) -> View:
    """Give an image as a run sees it.

    Args:
        table: The owner's images.
        store: Where those of registries and archives are.
        container: What the algorithm asks for; its ``digest`` names one of the store's.
        interpreter: Prefix of the Python that runs Cove, for hosts whose /usr has none.

    Raises:
        ImageRefused: The table has no such image, or what stands behind it cannot be used.
    """
    source = source_of(table, container)
    if not is_unpacked(source):
        return View(root_of(table, container, interpreter), _has_shell(source), _NO_CONFIG)
    image = store.get(container.digest) if store is not None else None
    if image is None:
        raise ImageRefused(f"The image {container.reference} is not here any more.", hint="Start the job again.")
    work = image.config.working_directory
    is_own = work == "/" or hidden(work.split("/")[1]) or is_home(work)
    return View(
        _folder(image.root, container.reference),
        os.path.lexists(image.root / "bin/sh"),
        image.config,
        "" if is_own else f"{image.root}{work}",
    )


def is_unpacked(source: ImageSource) -> bool:
    """Say whether an image is made ready by the store."""
    return source.kind in {"archive", "registry"}


def root_of(table: Mapping[str, ImageSource], container: Container, interpreter: str) -> Root:
    """Give the entries of a root that is a folder of this host, and which folders must be bound where for them.

    Args:
        table: The owner's images.
        container: What the algorithm asks for.
        interpreter: Prefix of the Python that runs Cove, for hosts whose /usr has none.

    Raises:
        ImageRefused: The table has no such image, or what stands behind it cannot be used.
    """
    source = source_of(table, container)
    return _host(interpreter) if source.kind == "host" else _folder(Path(source.path or ""), container.reference)


def _has_shell(source: ImageSource) -> bool:
    """Say whether an image has ``/bin/sh``; a link counts, for what it leads to is known inside alone."""
    return source.kind == "host" or os.path.lexists(f"{source.path}/bin/sh")


def programs_of_host() -> list[tuple[str, str]]:
    """Give the entries of a root that shows this host's programs and their libraries."""
    entries = [("/usr", "/usr")]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/") / name
        if place.is_symlink():
            entries.append((str(place), f"-> {place.readlink()}"))
        elif place.is_dir():
            entries.append((str(place), str(place)))
    return entries


@functools.cache  # how a host's top folders are laid out does not change while it runs
def _host(interpreter: str) -> Root:
    entries = programs_of_host()
    binds: list[tuple[str, str]] = []
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
    for place in _opened(found):
        if hidden(place.name):
            continue
        if place.is_symlink():
            entries.append((f"/{place.relative_to(root)}", f"-> {place.readlink()}"))
            continue
        name = str(place.relative_to(root))
        binds.append((str(place), f"bw/root/{name}"))
        entries.append((f"/{name}", f"{BASE}/bw/root/{name}"))
    if not entries:
        raise ImageRefused(f"The folder of image {name} is empty.", hint="Tell the provider.")
    return entries, binds


def _opened(places: Sequence[Path]) -> Iterator[Path]:
    """Show the folders in ``/home`` one by one where there is none for the job's own to stand on."""
    for place in places:
        if place.name == "home" and not place.is_symlink() and place.is_dir() and not (place / "job").is_dir():
            yield from sorted(place.iterdir())
        else:
            yield place


def remove_tree(folder: Path) -> None:
    """Remove a folder whatever an algorithm named its files; may be repeated."""

    def unlock(_call: object, path: str, _problem: object) -> None:
        parent = Path(path).parent
        if not stat.S_ISLNK(os.lstat(parent).st_mode):
            parent.chmod(0o700)

    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        shutil.rmtree(folder, onerror=unlock)
