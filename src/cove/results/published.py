"""Results that were published as assets, kept for as long as the asset may be asked for.

They outlive the job that they are of. Where the file system can, each is a second name for the job's own result, so
that nothing is stored twice; a stored result never changes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cove.core.errors import NoSpace, StaleWrite, Unavailable
from cove.results import taking

_NFT: Final = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_NO_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})


_END: Final = ".ended"
"""Of an asset that has ended: holds the Unix time at which that was seen first."""


@dataclass(frozen=True, slots=True)
class KeptAsset:
    """Results that are kept for an asset."""

    #: Its NFT's address, lower case.
    nft: str
    files: int
    #: Of all of them.
    size: int
    #: Unix time at which the asset was seen to have ended; None while it has not.
    ended_at: float | None


class PublishedAssets:
    """The folder of published results, as its owner looks at it. Every method blocks.

    Args:
        root: The folder; it may not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def nfts(self) -> Sequence[str]:
        """Name the assets by their NFT, lower case."""
        return sorted(entry.name for entry in self._entries() if _NFT.fullmatch(entry.name))

    def look(self, nft: str) -> KeptAsset:
        """Say what is kept for an asset."""
        sizes = []
        with contextlib.suppress(FileNotFoundError):
            sizes = [entry.stat().st_size for entry in self._folder(nft).iterdir() if entry.name.isdecimal()]
        return KeptAsset(nft, len(sizes), sum(sizes), self._ended_at(nft))

    def note_end(self, nft: str, now: float) -> float:
        """Note that an asset has ended, and give the Unix time at which that was seen first."""
        before = self._ended_at(nft)
        if before is not None:
            return before
        (self._folder(nft) / _END).write_text(str(now), "ascii")
        return now

    def note_life(self, nft: str) -> None:
        """Take back :meth:`note_end`: the asset is offered again."""
        (self._folder(nft) / _END).unlink(missing_ok=True)

    def remove(self, nft: str) -> bool:
        """Remove an asset's files; False where there are none."""
        folder = self._folder(nft)
        if not folder.is_dir():
            return False
        passing = folder.with_name(f".{secrets.token_hex(8)}")  # gone at once, whatever ends the rest
        folder.rename(passing)
        shutil.rmtree(passing)
        return True

    def remove_rests(self) -> None:
        """Remove what a removal left that was ended in the middle."""
        for entry in self._entries():
            if entry.name.startswith("."):
                shutil.rmtree(entry, ignore_errors=True)

    def _entries(self) -> Sequence[Path]:
        return list(self._root.iterdir()) if self._root.is_dir() else []

    def _folder(self, nft: str) -> Path:
        if _NFT.fullmatch(nft) is None:
            raise ValueError("this is no address in lower case")
        return self._root / nft

    def _ended_at(self, nft: str) -> float | None:
        try:
            return float((self._folder(nft) / _END).read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return None


class PublishedResults:
    """A folder of published results, as ``sources.result`` reads it.

    Args:
        root: Made, for the service's user alone, when it is not there.
        open_result: Opens a job's stored result by its key.
    """

    def __init__(self, root: Path, open_result: Callable[[str], BinaryIO]) -> None:
        self._root = root.absolute()
        self._open = open_result

    def keep(self, nft: str, index: int, key: str, size: int, sha256: str) -> None:
        """Keep a stored result as one of an asset's. May be repeated. Blocking.

        Args:
            nft: Address of the asset's NFT, lower case.
            index: Its place in the asset's file list.
            key: Of the job's result.
            size: Bytes.
            sha256: Hex digest.

        Raises:
            NotFound: The job's result is gone.
            StaleWrite: It has other bytes.
            NoSpace: The disk is full.
            Unavailable: It does not answer.
        """
        if _NFT.fullmatch(nft) is None:
            raise ValueError("this is no address in lower case")
        target = self._root / nft / str(index)
        if taking.holds(target, size, sha256):
            return
        with self._open(key) as file:
            try:
                taking.make(target.parent)
                self._name(file, target, size, sha256)
                for changed in (target.parent, self._root, self._root.parent):
                    taking.flush_folder(changed)
            except OSError as problem:
                if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
                    raise NoSpace("There is no space left for published results.") from None
                raise Unavailable("results", f"Published results cannot be kept: {problem.strerror}.") from None

    def _name(self, file: BinaryIO, target: Path, size: int, sha256: str) -> None:
        """Give an open file a second name, or copy it where the file system wants that."""
        passing = target.with_name(f".{secrets.token_hex(8)}")
        try:
            # With a folder's descriptor, which such a path does not use, Python follows the link; without, it does not.
            os.link(f"/proc/self/fd/{file.fileno()}", passing, src_dir_fd=file.fileno(), follow_symlinks=True)
        except OSError as problem:
            if problem.errno not in _NO_LINK:
                raise
            taking.copy(file, target, size, sha256)
            return
        try:
            if not taking.holds(passing, size, sha256):
                raise StaleWrite("The result is not the one that was released.")
            passing.replace(target)
        finally:
            passing.unlink(missing_ok=True)
