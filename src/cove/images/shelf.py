"""The folder of unpacked images: every change is one rename under a lock, so that processes can share it and be killed.

``images/<hex>`` holds one image each (``root`` and ``image.json``, whose time of change is that of the last use),
``names`` what names and digests lead to them, ``tmp`` what is being made, ``locks`` one lock for each image.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Final

from pydantic import TypeAdapter, ValidationError

from cove.core.images import ImageConfig
from cove.images.origins import Stopped
from cove.ports import Image

_GRACE_SECONDS: Final = 5.0
"""What was asked for so recently is in use, though no job says so yet."""

_LOOK_SECONDS: Final = 0.05
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class _Record:
    digest: str
    size: int
    names: tuple[str, ...]
    config: ImageConfig
    #: The start of this host at which it was written: see :meth:`Shelf.settle`.
    boot: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a name and a digest stand for."""

    digest: str
    #: Every digest that a DDO may state for it.
    known_as: frozenset[str]
    #: True: it was shown to a consumer's own login, and others have to prove that it is shown to them too.
    private: bool


_RECORD: Final = TypeAdapter(_Record)
_KNOWN: Final = TypeAdapter(Known)


class Shelf:
    """Blocking; every method may be called from any thread and process.

    Args:
        folder: Made when it is not there.
        used: Gives the digests that jobs under way need.
    """

    def __init__(self, folder: Path, used: Callable[[], Collection[str]]) -> None:
        self._folder = folder
        self._used = used
        self._boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
        for name in ("images", "names", "tmp", "locks"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        """Give the folder, on whose disk everything is."""
        return self._folder

    def get(self, digest: str) -> Image | None:
        """Give an image; None when it is not here."""
        place = self._place(digest)
        try:
            record = _RECORD.validate_json((place / "image.json").read_bytes())
            used_at = (place / "image.json").stat().st_mtime
        except (OSError, ValidationError):
            return None
        if record.boot != self._boot and not (place / "settled").exists():
            return None
        return Image(record.digest, place / "root", record.config, record.size, record.names, used_at)

    def touch(self, digest: str) -> Image | None:
        """Give an image and note that it is used; None when it is not here, or somebody changes that just now."""
        with self._locked(digest, fcntl.LOCK_SH | fcntl.LOCK_NB) as locked:
            image = self.get(digest) if locked else None
            if image is not None:
                os.utime(self._place(digest) / "image.json")
            return image

    def known(self, name: str, digest: str) -> Known | None:
        """Give what a name and a digest stand for; None when that has to be asked."""
        try:
            return _KNOWN.validate_json(self._entry(name, digest).read_bytes())
        except (OSError, ValidationError):
            return None

    def remember(self, name: str, digests: Collection[str], known: Known) -> None:
        """Note what a name and each of these digests stand for; what is known to be open stays open."""
        for digest in digests:
            before = self.known(name, digest)
            open_already = before is not None and before.digest == known.digest and not before.private
            kept = replace(known, private=False) if open_already else known
            self._write(self._entry(name, digest), _KNOWN.dump_json(kept))

    def put(self, made: Path, image: Image) -> None:
        """Put what was made in a :meth:`room` on the shelf. To be called under :meth:`lock`."""
        place = self._place(image.digest)
        self._discard(place)
        self._write(made / "image.json", self._record(image))
        made.rename(place)

    def name(self, image: Image, name: str) -> None:
        """Note a further name of an image. To be called under :meth:`lock`."""
        if name not in image.names:
            named = replace(image, names=(*image.names, name))
            self._write(self._place(image.digest) / "image.json", self._record(named))

    def settle(self, digest: str) -> None:
        """Have an image written to the disk itself, and note it.

        Before that a crash of this host may leave files without their contents, so after the next start of the host
        such an image counts as not here.
        """
        place = self._place(digest)
        with contextlib.suppress(OSError):
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) == 0:
                    (place / "settled").touch()
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """Give an empty folder to make an image in; what is still there in the end goes."""
        with self._file_locked("sweep", fcntl.LOCK_SH):
            made = self._folder / "tmp" / secrets.token_hex(8)
            made.mkdir(mode=0o700)
            held = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(held, fcntl.LOCK_SH)
        try:
            yield made
        finally:
            remove_tree(made)
            os.close(held)

    @contextlib.contextmanager
    def lock(self, digest: str, stop: Event) -> Iterator[None]:
        """Be the only one who makes or removes an image.

        Raises:
            Stopped: Nobody wants it any more.
        """
        while True:
            with self._locked(digest, fcntl.LOCK_EX | fcntl.LOCK_NB) as locked:
                if locked:
                    yield
                    return
            if stop.wait(_LOOK_SECONDS):
                raise Stopped

    def images(self) -> Sequence[Image]:
        """List what is here, the last used first."""
        used = self._used()
        found = [self.get(f"sha256:{entry.name}") for entry in (self._folder / "images").iterdir()]
        there = [replace(image, in_use=image.digest in used) for image in found if image is not None]
        return sorted(there, key=lambda image: image.used_at, reverse=True)

    def remove(self, digest: str) -> bool:
        """Remove an image unless it is in use; say whether it is gone."""
        place = self._place(digest)
        with self._locked(digest, fcntl.LOCK_EX | fcntl.LOCK_NB) as locked:
            if not locked:
                return False
            image = self.get(digest)
            if image is not None and (time.time() - image.used_at < _GRACE_SECONDS or digest in self._used()):
                return False
            self._discard(place)
            (self._folder / "locks" / place.name).unlink(missing_ok=True)
        return True

    def sweep(self) -> None:
        """Remove what killed processes left, what a crash of this host spoiled, and names that lead nowhere."""
        with self._file_locked("sweep", fcntl.LOCK_EX):
            for made in (self._folder / "tmp").iterdir():
                self._remove_abandoned(made)
        for entry in (self._folder / "images").iterdir():
            if self.get(f"sha256:{entry.name}") is None:
                self.remove(f"sha256:{entry.name}")
        for entry in (self._folder / "names").iterdir():
            with contextlib.suppress(OSError, ValidationError):
                if not self._place(_KNOWN.validate_json(entry.read_bytes()).digest).exists():
                    entry.unlink()

    # ------------------------------------------------------------------------------------------ below

    def _place(self, digest: str) -> Path:
        return self._folder / "images" / digest.removeprefix("sha256:")

    def _entry(self, name: str, digest: str) -> Path:
        return self._folder / "names" / hashlib.sha256(f"{name}@{digest}".encode()).hexdigest()

    def _record(self, image: Image) -> bytes:
        return _RECORD.dump_json(_Record(image.digest, image.size, image.names, image.config, self._boot))

    def _write(self, place: Path, content: bytes) -> None:
        made = self._folder / "tmp" / f"{secrets.token_hex(8)}.json"
        made.write_bytes(content)
        made.replace(place)

    def _discard(self, place: Path) -> None:
        with contextlib.suppress(FileNotFoundError), self.room() as folder:
            place.rename(folder / "old")

    def _remove_abandoned(self, made: Path) -> None:
        with contextlib.suppress(OSError):
            held = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISDIR(os.fstat(held).st_mode):
                    remove_tree(made)
                elif time.time() - os.fstat(held).st_mtime > _GRACE_SECONDS:
                    made.unlink()
            finally:
                os.close(held)

    @contextlib.contextmanager
    def _locked(self, digest: str, how: int) -> Iterator[bool]:
        with self._file_locked(digest.removeprefix("sha256:"), how) as locked:
            yield locked

    @contextlib.contextmanager
    def _file_locked(self, name: str, how: int) -> Iterator[bool]:
        """Hold a lock; False where another process or thread has it and ``how`` says not to wait."""
        place = self._folder / "locks" / name
        while True:
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, how)
                current = place.stat()
            except BlockingIOError:
                os.close(descriptor)
                yield False
                return
            except FileNotFoundError:
                os.close(descriptor)
                continue
            if os.path.samestat(current, os.fstat(descriptor)):
                break
            os.close(descriptor)  # its image was removed while we waited, and the file with it
        try:
            yield True
        finally:
            os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove a folder of ours; may be repeated."""
    shutil.rmtree(folder, ignore_errors=True)
