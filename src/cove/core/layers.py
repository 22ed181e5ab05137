"""What a layer's tar says, entry by entry: pure rules over bytes that anybody may have written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from cove.core.errors import ImageRefused

BLOCK: Final = 512
"""Bytes: the unit of a tar."""

MAX_EXTENSION_BYTES: Final = 1 << 20
"""Of what stands before an entry and says more about it."""

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_OURS: Final = ".wh..wh."
_MAX_DEPTH: Final = 256
_MAX_NAME_BYTES: Final = 255
_MAX_NUMBER_TEXT: Final = 20
_BASE_256: Final = 0x80
_NEGATIVE: Final = 0xFF
_MAX_SECONDS: Final = 1 << 32


class Kind(Enum):
    """What an entry is."""

    FILE = auto()
    FOLDER = auto()
    SYMLINK = auto()
    HARDLINK = auto()
    #: A device or a named pipe: nothing is made of it.
    SPECIAL = auto()
    #: Says more about the next entry (pax, or GNU's long names).
    PAX = auto()
    LONG_NAME = auto()
    LONG_LINK = auto()
    #: Says something about all entries; nothing that is needed.
    GLOBAL = auto()


class Whiteout(Enum):
    """What an entry takes away from the layers below."""

    NONE = auto()
    #: The entry that it names.
    ONE = auto()
    #: Everything in its folder.
    ALL = auto()
    #: Nothing: it is a mark of the tool that made the layer.
    MARK = auto()


_KINDS: Final = {
    b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"1": Kind.HARDLINK, b"2": Kind.SYMLINK, b"3": Kind.SPECIAL,
    b"4": Kind.SPECIAL, b"5": Kind.FOLDER, b"6": Kind.SPECIAL, b"x": Kind.PAX, b"X": Kind.PAX, b"g": Kind.GLOBAL,
    b"L": Kind.LONG_NAME, b"K": Kind.LONG_LINK,
}  # fmt: skip


@dataclass(slots=True)
class Entry:
    """One entry; what stood before it may still change it."""

    kind: Kind
    #: As it stands in the tar.
    name: str
    #: Permission bits, set-id bits and all.
    mode: int
    #: Bytes that follow.
    size: int
    #: Unix time in nanoseconds.
    modified_ns: int
    #: Where a link leads; empty for others.
    link: str

    def apply(self, extension: dict[str, str]) -> None:
        """Take over what a pax header says of this entry.

        Raises:
            ImageRefused: It says nonsense, or that the file has holes.
        """
        if any(key.startswith("GNU.sparse") for key in extension):
            raise _sparse()
        self.name = extension.get("path", self.name)
        self.link = extension.get("linkpath", self.link)
        try:
            self.size = int(extension.get("size", self.size))
            if "mtime" in extension:
                self.modified_ns = _bounded(int(float(extension["mtime"])))
        except (ValueError, OverflowError):
            raise _damaged() from None
        if self.size < 0:
            raise _damaged()


def parse_header(block: bytes) -> Entry | None:
    """Read one header; None for the empty block that ends a tar.

    Raises:
        ImageRefused: It is none.
    """
    if block.count(0) == BLOCK:
        return None
    if len(block) != BLOCK or _number(block[148:156]) != sum(block[:148]) + 256 + sum(block[156:]):
        raise _damaged()
    flag = block[156:157]
    if flag == b"S":
        raise _sparse()
    kind = _KINDS.get(flag)
    if kind is None:
        raise ImageRefused("A layer of the image has an entry of a kind that tar does not know.")
    name = _string(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_string(block[345:500])}/{name}"
    if kind is Kind.FILE and name.endswith("/"):
        kind = Kind.FOLDER
    size = 0 if kind in {Kind.FOLDER, Kind.SYMLINK, Kind.HARDLINK, Kind.SPECIAL} else _number(block[124:136])
    return Entry(kind, name, _number(block[100:108]) & 0o7777, size, _time(block[136:148]), _string(block[157:257]))


def parse_pax(content: bytes) -> dict[str, str]:
    """Read a pax header: records of ``<length> <key>=<value>``, the last of a key counts.

    Raises:
        ImageRefused: It is none.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(content):
        space = content.find(b" ", position, position + _MAX_NUMBER_TEXT)
        digits = content[position:space]
        if space < 0 or not digits.isdigit():
            raise _damaged()
        end = position + int(digits)
        record = content[space + 1 : end]
        if end > len(content) or not record.endswith(b"\n") or b"=" not in record:
            raise _damaged()
        key, _, value = record[:-1].partition(b"=")
        # Attributes, file capabilities among them, are never taken over.
        if not key.startswith((b"SCHILY.xattr.", b"LIBARCHIVE.xattr.")):
            found[_decoded(key)] = _decoded(value)
        position = end
    return found


def parse_long(content: bytes) -> str:
    """Read one of GNU's long names."""
    return _string(content)


def parts_of(name: str) -> tuple[str, ...]:
    """Split an entry's name into the folders that lead to it and its own; empty for the root.

    Raises:
        ImageRefused: It leads out of the image, or no file system could have it.
    """
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts:
        raise ImageRefused("A layer of the image has an entry that leads out of the image.")
    if len(parts) > _MAX_DEPTH or any(
        "\0" in part or len(part.encode("utf-8", "surrogateescape")) > _MAX_NAME_BYTES for part in parts
    ):
        raise ImageRefused("A layer of the image has an entry whose name is no file system's.")
    return parts


def whiteout_of(name: str) -> tuple[Whiteout, str]:
    """Say what an entry takes away, by the last part of its name, and the name of what is taken away.

    Raises:
        ImageRefused: It would take away something that is not in its folder.
    """
    if not name.startswith(_WHITEOUT):
        return Whiteout.NONE, ""
    if name == _OPAQUE:
        return Whiteout.ALL, ""
    if name.startswith(_OURS):
        return Whiteout.MARK, ""
    hidden = name.removeprefix(_WHITEOUT)
    if hidden in {"", ".", ".."}:
        raise ImageRefused("A layer of the image has an entry that leads out of the image.")
    return Whiteout.ONE, hidden


def safe_mode(kind: Kind, mode: int) -> int:
    """Give the permissions that an entry gets: all may read it, its owner alone may change it, no set-id bits.

    The owner's right to write counts in the throw-away layer of a run alone.
    """
    if kind is Kind.FOLDER:
        return 0o755
    return 0o755 if mode & 0o111 else 0o644


def _number(field: bytes) -> int:
    if field[0] & _BASE_256:
        if field[0] != _BASE_256:
            raise _damaged()
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise _damaged() from None


def _time(field: bytes) -> int:
    """Read a time; one before 1970, which no file that a program looks at has, counts as 1970."""
    return 0 if field[0] == _NEGATIVE else _bounded(_number(field))


def _bounded(seconds: int) -> int:
    return min(max(seconds, 0), _MAX_SECONDS) * 1_000_000_000


def _string(field: bytes) -> str:
    return _decoded(field.partition(b"\0")[0])


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _damaged() -> ImageRefused:
    return ImageRefused("A layer of the image is damaged: it is not a tar.")


def _sparse() -> ImageRefused:
    return ImageRefused("A layer of the image has a file with holes, which no registry's tools make: build it again.")
