"""``cove.ports.ImageStore``: what several ask for at one time is brought once, and each is told how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Timer
from typing import Final

from cove.core.errors import ImagePullFailed, ImageRefused
from cove.core.image_names import Reference, is_digest, parse_reference
from cove.core.images import platform_of
from cove.core.job import Container, RegistryLogin
from cove.images.archive import Archive
from cove.images.origins import Origin, Stopped
from cove.images.pulling import Wanted, pull
from cove.images.registry import Registry, RegistryOptions
from cove.images.shelf import Shelf
from cove.ports import Image, ImageSource, Preparation

_PATIENCE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """What the owner set."""

    #: By registry, as names of images have it.
    registries: Mapping[str, RegistryOptions] = field(default_factory=dict)
    #: Bytes of one image's layers, unpacked.
    max_bytes: int = 20 << 30
    #: Files, folders and links of one image.
    max_entries: int = 1_000_000
    #: Seconds that the bringing of one image may take.
    pull_seconds: float = 3600.0
    #: Images that may be brought at one time.
    at_once: int = 2
    #: Seconds after the last use until an image goes; 0 for never.
    keep_seconds: float = 30 * 86_400.0
    #: Bytes of all images together; over it those go that were not used for longest. 0 for no bound.
    keep_bytes: int = 50 << 30


class _Pull:
    """The bringing of one image, and all who wait for it."""

    def __init__(self) -> None:
        self.stop = Event()
        self.future: asyncio.Future[Image] | None = None
        self.waiting: list[Preparation] = []
        self.is_late = False
        self._lock = Lock()
        self._done = 0
        self._total: int | None = None

    def tell(self, more: int, total: int) -> None:
        """Take note of how far it is, from any thread."""
        with self._lock:
            self._done, self._total = self._done + more, total
            for progress in self.waiting:
                progress.bytes_done, progress.bytes_total = self._done, total

    def join(self, progress: Preparation) -> None:
        """Have somebody told from now on."""
        with self._lock:
            self.waiting.append(progress)
            progress.bytes_done, progress.bytes_total = self._done, self._total

    def leave(self, progress: Preparation) -> bool:
        """Have somebody not told any more; True when nobody is left."""
        with self._lock:
            self.waiting = [other for other in self.waiting if other is not progress]
            return not self.waiting

    def expire(self) -> None:
        """End it, because it takes too long."""
        self.is_late = True
        self.stop.set()


class DiskImages:
    """Images in a folder of this host.

    Args:
        folder: Made when it is not there.
        options: The owner's.
        used: Gives the digests that jobs under way need; called in any thread.
    """

    def __init__(self, folder: Path, options: StoreOptions, used: Callable[[], Collection[str]]) -> None:
        self._shelf = Shelf(folder, used)
        self._options = options
        self._platform = platform_of(os.uname().machine)
        self._pulls: dict[object, _Pull] = {}
        self._threads = ThreadPoolExecutor(options.at_once, "cove-images")

    def close(self) -> None:
        """End what is under way, and leave nothing of it."""
        for under_way in self._pulls.values():
            under_way.stop.set()
        self._threads.shutdown(cancel_futures=True)

    async def prepare(self, source: ImageSource, container: Container, progress: Preparation) -> Image:
        """Have an image here."""
        reference = parse_reference(container.image, container.tag)
        checksum = _stated(source, container)
        if checksum and not is_digest(checksum):
            raise ImageRefused(f"The algorithm's checksum {checksum} is not sha256: and 64 hex digits in lower case.")
        name, key = reference.name, (reference.digest or checksum)
        if source.kind == "archive":
            name, key = await asyncio.to_thread(_name_of_archive, source), str(reference)
        known = self._shelf.known(name, key) if key else None
        if known is not None and not known.private:
            if checksum and checksum not in known.known_as:
                raise ImageRefused(f"The image has the digest {known.digest}, and the algorithm states {checksum}.")
            image = self._shelf.touch(known.digest)
            if image is not None:
                return image
        progress.doing = f"bringing image {reference}"
        try:
            return await self._shared(source, reference, container, name, progress)
        finally:
            progress.doing = ""

    def get(self, digest: str) -> Image | None:
        """Give an image that was made ready earlier."""
        return self._shelf.get(digest) if is_digest(digest) else None

    async def images(self) -> Sequence[Image]:
        """List what is here, the last used first."""
        return await asyncio.to_thread(self._shelf.images)

    async def remove(self, digest: str) -> bool:
        """Remove an image unless a job needs it."""
        return await asyncio.to_thread(self._shelf.remove, digest)

    async def clean(self) -> Sequence[Image]:
        """Remove what is too old or too much, and what a killed process left."""
        return await asyncio.to_thread(self._clean)

    # ------------------------------------------------------------------------------------------ below

    async def _shared(
        self, source: ImageSource, reference: Reference, container: Container, name: str, progress: Preparation
    ) -> Image:
        """Wait for an image that is being brought, or begin to bring it."""
        key = (name, reference.tag, reference.digest, container.checksum, container.login)
        under_way = self._pulls.get(key)
        if under_way is None or under_way.future is None:
            under_way = self._pulls[key] = _Pull()
            under_way.future = self._begin(under_way, source, reference, container, name)
            under_way.future.add_done_callback(lambda _: self._forget(key, under_way))
        under_way.join(progress)
        try:
            return await asyncio.shield(under_way.future)
        except Stopped:
            reason = f"it took longer than {self._options.pull_seconds:.0f} s" if under_way.is_late else "it was ended"
            raise ImagePullFailed(f"The image {reference} was not brought: {reason}.") from None
        finally:
            if under_way.leave(progress) and not under_way.future.done():
                self._forget(key, under_way)
                under_way.stop.set()
                await asyncio.wait([under_way.future], timeout=_PATIENCE_SECONDS)

    def _begin(
        self, under_way: _Pull, source: ImageSource, reference: Reference, container: Container, name: str
    ) -> asyncio.Future[Image]:
        wanted = Wanted(
            name=name,
            checksum=_stated(source, container),
            platform=self._platform,
            private=container.login is not None,
            max_bytes=self._options.max_bytes,
            max_entries=self._options.max_entries,
        )
        return asyncio.get_running_loop().run_in_executor(
            self._threads, self._pull, under_way, source, reference, container.login, wanted
        )

    def _pull(
        self,
        under_way: _Pull,
        source: ImageSource,
        reference: Reference,
        login: RegistryLogin | None,
        wanted: Wanted,
    ) -> Image:
        origin = self._origin(under_way.stop, source, reference, login)
        timer = Timer(self._options.pull_seconds, under_way.expire)
        timer.daemon = True
        timer.start()
        try:
            image = pull(self._shelf, origin, wanted, under_way.tell, under_way.stop)
        finally:
            timer.cancel()
            origin.close()
        if source.kind == "archive":  # it is looked up by name, whatever a DDO states: an archive may hold several
            known = self._shelf.known(wanted.name, image.digest)
            if known is not None:
                self._shelf.remember(wanted.name, [str(reference)], known)
        self._settle(image.digest)
        return image

    def _origin(self, stop: Event, source: ImageSource, reference: Reference, login: RegistryLogin | None) -> Origin:
        if source.kind == "archive":
            return Archive(Path(source.path or ""), reference, stop)
        options = self._options.registries.get(reference.registry, RegistryOptions())
        return Registry(reference, options, login, stop)

    def _settle(self, digest: str) -> None:
        with contextlib.suppress(RuntimeError):  # the store is being closed
            self._threads.submit(self._shelf.settle, digest)

    def _forget(self, key: object, under_way: _Pull) -> None:
        if self._pulls.get(key) is under_way:
            del self._pulls[key]
        future = under_way.future
        if future is not None and future.done() and not future.cancelled():
            future.exception()  # who waited has it; nobody may be left who did

    def _clean(self) -> Sequence[Image]:
        self._shelf.sweep()
        gone: list[Image] = []
        total, now = 0, time.time()
        for image in self._shelf.images():
            is_old = 0 < self._options.keep_seconds < now - image.used_at
            is_much = 0 < self._options.keep_bytes < total + image.size
            if (is_old or is_much) and not image.in_use and self._shelf.remove(image.digest):
                gone.append(image)
            else:
                total += image.size
        return gone


def _stated(source: ImageSource, container: Container) -> str:
    """Give what an image's digest must be; empty where the owner gave an archive a checksum of their own choice."""
    return "" if source.kind == "archive" and source.checksum else container.checksum


def _name_of_archive(source: ImageSource) -> str:
    """Name what an archive holds now: another name once somebody writes it anew."""
    path = Path(source.path or "")
    try:
        facts = (path / "index.json" if path.is_dir() else path).stat()
    except OSError:
        raise ImageRefused("The archive of this image cannot be read.", hint="Tell the provider.") from None
    return f"archive:{path}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"
