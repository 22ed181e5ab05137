"""A folder that is written from hostile descriptions: every step is one system call below an open folder's descriptor.

No link is ever followed by the system. A link in the middle of a path is resolved here, as it would be inside the
image, and leads to another place below the same root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Collection, Sequence
from typing import Final

from cove.core.errors import ImageRefused
from cove.core.layers import Kind, safe_mode

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_LINKS: Final = 40

Parts = tuple[str, ...]


class Tree:
    """A root folder, and what can be made and taken away below it.

    Args:
        root: Descriptor of the folder; it stays the caller's.
        max_entries: How many entries may be made.
    """

    def __init__(self, root: int, max_entries: int) -> None:
        self._root = root
        self._left = max_entries
        #: The folder that the last entry was made in: most entries of a tar stand beside the one before.
        self._near: tuple[Parts, int] | None = None
        #: True once something was taken away, which may have been the folder that is held open.
        self._stale = False

    def close(self) -> None:
        """Let go of the folder that is held open."""
        if self._near is not None:
            os.close(self._near[1])
            self._near = None

    def folder(self, parts: Parts) -> None:
        """Make a folder, unless there is one; what else stands there goes, links too."""
        if not parts:
            return
        parent = self._parent(parts)
        self._count()
        try:
            os.mkdir(parts[-1], 0o755, dir_fd=parent)
        except FileExistsError:
            mode = os.lstat(parts[-1], dir_fd=parent).st_mode
            if stat.S_ISDIR(mode):
                return
            self._remove_at(parent, parts[-1])
            os.mkdir(parts[-1], 0o755, dir_fd=parent)
        os.chmod(parts[-1], 0o755, dir_fd=parent)  # noqa: S103 - jobs read it

    def file(self, parts: Parts, mode: int) -> int:
        """Make an empty file in place of whatever is there, and give its descriptor for writing."""
        parent = self._parent(parts)
        self._count()
        try:
            made = os.open(parts[-1], _NEW, 0o600, dir_fd=parent)
        except FileExistsError:
            self._remove_at(parent, parts[-1])
            made = os.open(parts[-1], _NEW, 0o600, dir_fd=parent)
        os.fchmod(made, safe_mode(Kind.FILE, mode))
        return made

    def symlink(self, parts: Parts, target: str) -> None:
        """Make a link in place of whatever is there."""
        if not target or "\0" in target or len(target.encode("utf-8", "surrogateescape")) >= 4096:  # noqa: PLR2004 - PATH_MAX
            raise ImageRefused("A layer of the image has a link that leads to no name.")
        parent = self._parent(parts)
        self._count()
        try:
            os.symlink(target, parts[-1], dir_fd=parent)
        except FileExistsError:
            self._remove_at(parent, parts[-1])
            os.symlink(target, parts[-1], dir_fd=parent)

    def hardlink(self, parts: Parts, target: Parts) -> None:
        """Give a regular file, or a link, of this tree a second name.

        Raises:
            ImageRefused: There is no such file in the image.
        """
        problem = ImageRefused("A layer of the image has a hard link to a file that is not in the image.")
        if not target:
            raise problem
        try:
            source = os.dup(self._parent(target, make=False))
        except OSError:
            raise problem from None
        try:
            parent = self._parent(parts)
            self._count()
            self._link_again(source, target[-1], parent, parts[-1])
        except FileNotFoundError:
            raise problem from None
        finally:
            os.close(source)

    def remove(self, parts: Parts) -> None:
        """Take an entry away with everything in it; nothing there is fine."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._remove_at(self._parent(parts, make=False), parts[-1])

    def empty(self, parts: Parts, kept: Collection[Parts]) -> None:
        """Take away what is in a folder, but for entries to be kept, which come with their folders."""
        try:
            folder = self._open(parts, make=False)
        except (FileNotFoundError, NotADirectoryError):
            return
        self.close()
        try:
            self._empty(
                folder, parts, {made[:length] for made in kept for length in range(len(parts) + 1, len(made) + 1)}
            )
        finally:
            os.close(folder)

    def stat(self, parts: Parts) -> os.stat_result | None:
        """Look at an entry, not at what it leads to; None when there is none."""
        if not parts:
            return os.fstat(self._root)
        try:
            return os.lstat(parts[-1], dir_fd=self._parent(parts, make=False))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def resolve(self, parts: Parts) -> Parts:
        """Give where a path leads inside the image, with no link left in it; what is not there counts as named."""
        done: list[str] = []
        todo, links = list(reversed(parts)), 0
        while todo:
            part = todo.pop()
            if part == "..":
                done = done[:-1]
            target = self._link(done, part) if part not in {"", ".", ".."} else None
            if target is None:
                done.extend(() if part in {"", ".", ".."} else (part,))
                continue
            links += 1
            if links > _MAX_LINKS:
                raise ImageRefused("The image has links that lead in a circle.")
            todo.extend(reversed(target.split("/")))
            if target.startswith("/"):
                done = []
        return tuple(done)

    def read(self, parts: Parts, limit: int) -> bytes:
        """Give the beginning of a regular file; empty where there is none."""
        try:
            descriptor = os.open(
                parts[-1],
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                dir_fd=self._parent(parts, make=False),
            )
        except OSError:
            return b""
        try:
            return os.read(descriptor, limit) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        finally:
            os.close(descriptor)

    # ------------------------------------------------------------------------------------------ below

    def _link_again(self, source: int, name: str, parent: int, new_name: str) -> None:
        mode = os.lstat(name, dir_fd=source).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise FileNotFoundError
        if os.path.samestat(os.fstat(source), os.fstat(parent)) and name == new_name:
            return
        with contextlib.suppress(FileNotFoundError):
            self._remove_at(parent, new_name)  # which may take the file itself away, where it lies below that
        os.link(name, new_name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ImageRefused("The image has more files than this provider takes.")

    def _parent(self, parts: Parts, *, make: bool = True) -> int:
        """Give the folder that an entry is in; it is held open here and closed with the next one."""
        folder = parts[:-1]
        if not parts:
            raise ImageRefused("A layer of the image has an entry in place of the image itself.")
        if self._near is None or self._near[0] != folder or self._stale:
            opened = self._open(folder, make=make)
            self.close()
            self._near, self._stale = (folder, opened), False
        return self._near[1]

    def _open(self, parts: Parts, *, make: bool) -> int:
        """Open a folder; with ``make`` one that is not there is made."""
        current = os.dup(self._root)
        for depth, part in enumerate(parts):
            try:
                following = self._step(current, part, make=make)
            except OSError as problem:
                if problem.errno not in {errno.ELOOP, errno.ENOTDIR}:
                    raise
                following = -1
            finally:
                os.close(current)
            if following < 0:
                return self._open_around(parts, parts[: depth + 1], make=make)
            current = following
        return current

    def _step(self, current: int, part: str, *, make: bool) -> int:
        try:
            return os.open(part, _FOLDER, dir_fd=current)
        except FileNotFoundError:
            if not make:
                raise
        self._count()
        os.mkdir(part, 0o755, dir_fd=current)
        made = os.open(part, _FOLDER, dir_fd=current)
        os.fchmod(made, 0o755)
        return made

    def _open_around(self, parts: Parts, hindered: Parts, *, make: bool) -> int:
        """Open a folder that a link, or a file, stands in the way of."""
        place = self.resolve(hindered)
        if place == hindered:
            if not make:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            raise ImageRefused("A layer of the image has an entry below something that is no folder.")
        return self._open((*place, *parts[len(hindered) :]), make=make)

    def _link(self, folder: Sequence[str], name: str) -> str | None:
        """Give where a link leads; None where there is none. No link may stand on the way to its folder."""
        current = os.dup(self._root)
        try:
            for part in folder:
                following = os.open(part, _FOLDER, dir_fd=current)
                os.close(current)
                current = following
            return os.readlink(name, dir_fd=current)
        except OSError as problem:
            if problem.errno not in {errno.EINVAL, errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                raise
            return None
        finally:
            os.close(current)

    def _remove_at(self, parent: int, name: str) -> None:
        self._stale = True
        if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)

    def _empty(self, folder: int, place: Parts, kept: Collection[Parts]) -> None:
        for name in os.listdir(folder):
            if (*place, name) not in kept:
                self._remove_at(folder, name)
                continue
            try:
                below = os.open(name, _FOLDER, dir_fd=folder)
            except OSError:
                continue
            try:
                self._empty(below, (*place, name), kept)
            finally:
                os.close(below)
