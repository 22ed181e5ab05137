"""Brings one image from its origin to the shelf. Blocking, in a thread of its own."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final, Protocol

from cove.core.errors import ImageRefused, NoSpace
from cove.core.images import Descriptor, ImageConfig
from cove.images.finishing import finish
from cove.images.layers import unpack
from cove.images.origins import Located, Origin, Stopped
from cove.images.shelf import Known, Shelf
from cove.images.streams import PIECE_BYTES, ahead, checked, decompressed
from cove.images.tree import Tree
from cove.ports import Image

_DOWNLOADS: Final = 3
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_OF_THE_IMAGE: Final = frozenset({errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be brought, and how much of it may be."""

    #: What the shelf remembers it under.
    name: str
    #: What a DDO states; empty for nothing.
    checksum: str
    #: As ``core.images.platform_of`` gives it.
    platform: str
    #: True: a consumer's own login is used.
    private: bool
    #: Bytes of all layers' tars together.
    max_bytes: int
    #: Files, folders and links.
    max_entries: int


class Tell(Protocol):
    """Is told how far it is."""

    def __call__(self, more: int, total: int) -> None:
        """Say that so many more bytes are here, of so many in all."""
        ...


def pull(shelf: Shelf, origin: Origin, wanted: Wanted, tell: Tell, stop: Event) -> Image:
    """Bring an image, unless the shelf has it.

    Args:
        shelf: Where to.
        origin: Where from; ends what it does when ``stop`` is set.
        wanted: What.
        tell: Is told how far it is, from several threads.
        stop: Set from outside when nobody wants it any more, and here when it failed.

    Raises:
        ImageRefused: It is not there, is not what the DDO says, or cannot be unpacked.
        ImagePullFailed: The registry does not answer.
        NoSpace: The disk is full.
        Stopped: Nobody wants it any more.
    """
    located = origin.locate(wanted.platform, wanted.checksum)
    if wanted.checksum and wanted.checksum not in located.known_as:
        raise ImageRefused(f"The image has the digest {located.digest}, and the algorithm states {wanted.checksum}.")
    with shelf.lock(located.digest, stop), _disk_errors():
        image = shelf.get(located.digest) or _made(shelf, origin, located, wanted, tell, stop)
        shelf.name(image, wanted.name)
        shelf.remember(wanted.name, located.known_as, Known(located.digest, located.known_as, wanted.private))
        os.utime(image.root.parent / "image.json")
    return image


def _made(  # noqa: PLR0917 - each once
    shelf: Shelf, origin: Origin, located: Located, wanted: Wanted, tell: Tell, stop: Event
) -> Image:
    if located.size > wanted.max_bytes:
        raise ImageRefused("The image is larger than this provider takes.")
    if located.size > shutil.disk_usage(shelf.folder).free:
        raise NoSpace("There is no space left for the image.")
    tell(0, located.size)
    with shelf.room() as folder:
        size, config = _bring(folder, origin, located, wanted, tell, stop)
        image = Image(located.digest, folder / "root", config, size, (wanted.name,), time.time())
        shelf.put(folder, image)
    return shelf.get(located.digest) or image


def _bring(  # noqa: PLR0917 - each once
    folder: Path, origin: Origin, located: Located, wanted: Wanted, tell: Tell, stop: Event
) -> tuple[int, ImageConfig]:
    """Download the layers side by side, and unpack them one upon the other."""
    root = folder / "root"
    root.mkdir()
    root.chmod(0o755)
    budget = _Budget(wanted.max_bytes)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = Tree(descriptor, wanted.max_entries)
    downloads = ThreadPoolExecutor(_DOWNLOADS, "cove-image")
    try:
        coming = [
            downloads.submit(_download, origin, layer, folder / str(number), tell, located.size)
            for number, layer in enumerate(located.manifest.layers)
        ]
        for number, diff_id in enumerate(located.config.diff_ids):
            coming[number].result()
            _unpack(folder / str(number), diff_id, tree, budget, stop)
            (folder / str(number)).unlink()
        return budget.used, finish(tree, located.config)
    except BaseException:
        stop.set()
        raise
    finally:
        downloads.shutdown(cancel_futures=True)
        tree.close()
        os.close(descriptor)


def _download(origin: Origin, layer: Descriptor, place: Path, tell: Tell, total: int) -> None:
    with place.open("xb", buffering=0) as file:
        for piece in checked(origin.layer(layer), layer.digest, layer.size):
            view = memoryview(piece)
            while view:
                view = view[file.write(view) :]
            tell(len(piece), total)


def _unpack(place: Path, diff_id: str, tree: Tree, budget: _Budget, stop: Event) -> None:
    tar = ahead(checked(decompressed(_pieces(place, stop)), diff_id, budget.left))
    try:
        unpack(budget.counted(tar), tree)
    except OSError as problem:
        if problem.errno in _FULL or problem.errno in _NOT_OF_THE_IMAGE:
            raise
        raise ImageRefused(
            f"A layer of the image has an entry that no file system here takes: {problem.strerror}."
        ) from None
    finally:
        tar.close()


def _pieces(place: Path, stop: Event) -> Iterator[bytes]:
    with place.open("rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            if stop.is_set():
                raise Stopped
            yield piece


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if problem.errno in _FULL:
            raise NoSpace("There is no space left for the image.") from None
        raise


class _Budget:
    def __init__(self, most: int) -> None:
        self._most = most
        self.used = 0

    @property
    def left(self) -> int:
        return self._most - self.used

    def counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.used += len(piece)
            yield piece
