"""Unpacks one layer onto the ones below it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from cove.core.errors import ImageRefused
from cove.core.layers import (
    BLOCK,
    MAX_EXTENSION_BYTES,
    Entry,
    Kind,
    Whiteout,
    parse_header,
    parse_long,
    parse_pax,
    parts_of,
    whiteout_of,
)
from cove.images.tree import Parts, Tree

_ABOUT_THE_NEXT: Final = frozenset({Kind.PAX, Kind.LONG_NAME, Kind.LONG_LINK, Kind.GLOBAL})


def unpack(pieces: Iterator[bytes], tree: Tree) -> None:
    """Unpack a layer's tar, and read it to its end.

    Args:
        pieces: The tar's bytes.
        tree: What the layers below made.

    Raises:
        ImageRefused: It is no tar, or is hostile.
        OSError: The file system refused.
    """
    reader = _Reader(pieces)
    #: What this layer made itself: whiteouts take away what is below it alone.
    made: set[Parts] = set()
    emptied: set[Parts] = set()
    while (entry := _next(reader)) is not None:
        parts = parts_of(entry.name)
        if parts:
            _place(reader, tree, (made, emptied), entry, parts)
        reader.skip(entry.size)
        reader.align()
    reader.drain()


def _next(reader: _Reader) -> Entry | None:
    """Give the next entry, with all that stands before it taken in."""
    extension: dict[str, str] = {}
    while True:
        block = reader.take(BLOCK)
        entry = parse_header(block) if block else None
        if entry is None or entry.kind not in _ABOUT_THE_NEXT:
            break
        if entry.size > MAX_EXTENSION_BYTES:
            raise ImageRefused("A layer of the image is damaged: it has a header that is too large.")
        content = reader.take(entry.size)
        reader.align()
        match entry.kind:
            case Kind.PAX:
                extension |= parse_pax(content)
            case Kind.LONG_NAME:
                extension["path"] = parse_long(content)
            case Kind.LONG_LINK:
                extension["linkpath"] = parse_long(content)
            case _:
                continue
    if entry is not None and extension:
        entry.apply(extension)
    return entry


def _place(reader: _Reader, tree: Tree, own: tuple[set[Parts], set[Parts]], entry: Entry, parts: Parts) -> None:
    made, emptied = own
    whiteout, hidden = whiteout_of(parts[-1])
    match whiteout:
        case Whiteout.ALL:
            _empty(tree, parts[:-1], made, emptied)
            return
        case Whiteout.ONE:
            if (*parts[:-1], hidden) in made:
                _empty(tree, (*parts[:-1], hidden), made, emptied)
            else:
                tree.remove((*parts[:-1], hidden))
            return
        case Whiteout.MARK:
            return
        case Whiteout.NONE:
            made.update(parts[:length] for length in range(len(parts), 0, -1))
    match entry.kind:
        case Kind.FILE:
            _write(reader, tree.file(parts, entry.mode), entry)
        case Kind.FOLDER:
            tree.folder(parts)
        case Kind.SYMLINK:
            tree.symlink(parts, entry.link)
        case Kind.HARDLINK:
            tree.hardlink(parts, parts_of(entry.link))
        case _:
            return


def _empty(tree: Tree, folder: Parts, made: set[Parts], emptied: set[Parts]) -> None:
    """Take away what the layers below have in a folder, once: a second time there is nothing of theirs left."""
    if folder not in emptied:
        emptied.add(folder)
        tree.empty(folder, made)


def _write(reader: _Reader, descriptor: int, entry: Entry) -> None:
    try:
        while entry.size:
            piece = reader.some(entry.size)
            entry.size -= len(piece)
            while piece:
                piece = piece[os.write(descriptor, piece) :]
        # Programs look at it: Python takes a compiled module only where its source is as old as it was.
        os.utime(descriptor, ns=(entry.modified_ns, entry.modified_ns))
    finally:
        os.close(descriptor)


class _Reader:
    """Takes a tar's bytes as they come."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._taken = 0

    def some(self, most: int) -> memoryview:
        """Give at least one byte and at most so many."""
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
            if not self._rest:
                raise ImageRefused("A layer of the image is damaged: it ends too early.")
        found, self._rest = self._rest[:most], self._rest[most:]
        self._taken += len(found)
        return found

    def take(self, size: int) -> bytes:
        """Give exactly so many bytes; none at all at the end of the tar."""
        if len(self._rest) >= size:
            return bytes(self.some(size)) if size else b""
        found = bytearray(self._rest)
        self._taken += len(found)
        self._rest = memoryview(b"")
        while len(found) < size:
            piece = next(self._pieces, b"")
            if not piece:
                if not found:
                    return b""
                raise ImageRefused("A layer of the image is damaged: it ends too early.")
            self._rest = memoryview(piece)
            found += self.some(size - len(found))
        return bytes(found)

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        while size:
            size -= len(self.some(size))

    def align(self) -> None:
        """Pass over what fills the last block of an entry."""
        self.skip(-self._taken % BLOCK)

    def drain(self) -> None:
        """Read what stands behind the end of the tar: it is part of what the digest is about."""
        self._rest = memoryview(b"")
        for _ in self._pieces:
            pass
