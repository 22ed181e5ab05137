"""What some bytes are, by what they are and not by their name."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from typing import Final

HEAD: Final = 65_536

_MAGIC: Final = (
    (b"\x1f\x8b\x08", "gzip", "application/gzip"),
    (b"BZh", "bzip2", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "xz", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "application/zstd"),
    (b"PK\x03\x04", "zip", "application/zip"),
    (b"PK\x05\x06", "zip", "application/zip"),
    (b"PAR1", "parquet", "application/vnd.apache.parquet"),
    (b"SQLite format 3\x00", "sqlite", "application/vnd.sqlite3"),
    (b"\x93NUMPY", "npy", "application/x-npy"),
    (b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (b"%PDF-", "pdf", "application/pdf"),
    (b"ARROW1\x00\x00", "arrow", "application/vnd.apache.arrow.file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "unread", "application/x-ole-storage"),
    (b"7z\xbc\xaf\x27\x1c", "unread", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "unread", "application/vnd.rar"),
    (b"\x89HDF\r\n\x1a\n", "binary", "application/x-hdf5"),
    (b"\xff\xd8\xff", "image", "image/jpeg"),
    (b"GIF8", "image", "image/gif"),
)
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_MARKUP: Final = re.compile(r"\s*(?:<\?xml|<!doctype html|<html|<svg|<table|<body|<div)", re.IGNORECASE)
_MOST_CONTROL: Final = 0.02
_PROTOCOL: Final = frozenset(range(2, 6))


@dataclass(frozen=True, slots=True)
class Form:
    """A form of bytes."""

    #: The reader's name.
    kind: str
    media: str
    #: Of a text.
    encoding: str = ""


def form_of(head: bytes, name: str = "") -> Form:
    """Say what some bytes are.

    Args:
        head: The first :data:`HEAD` bytes, or all.
        name: Tells a table of one column from a text, and nothing else.
    """
    for magic, kind, media in _MAGIC:
        if head.startswith(magic):
            return Form(kind, media)
    if head[257:262] == b"ustar":
        return Form("tar", "application/x-tar")
    if len(head) > 3 and head[0] == 0x80 and head[1] in _PROTOCOL:  # noqa: PLR2004 - protocol and one opcode
        return Form("pickle", "application/x-python-pickle")
    if _is_safetensors(head):
        return Form("safetensors", "application/x-safetensors")
    encoding = encoding_of(head)
    if encoding:
        return _text_form(head.decode(encoding, "ignore"), encoding, name)
    return Form("binary", _by_others(head))


def encoding_of(head: bytes) -> str:
    """Give the encoding of a text; empty when it is none."""
    if not head:
        return "utf-8"
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    for encoding, zeros in (("utf-16-le", head[1:400:2]), ("utf-16-be", head[0:400:2])):
        if len(zeros) > 1 and zeros.count(0) > len(zeros) * 0.7 and _is_plain(head, encoding):
            return encoding
    if 0 in head:
        return ""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "latin-1" if _is_plain(head, "latin-1") else ""
    return "utf-8" if _is_plain(head, "utf-8") else ""


def _is_plain(head: bytes, encoding: str) -> bool:
    text = head.decode(encoding, "replace")
    odd = sum(text.count(chr(code)) for code in range(32) if code not in {8, 9, 10, 12, 13, 27})
    odd += text.count("\ufffd")
    if encoding == "latin-1":
        odd += sum(text.count(chr(code)) for code in range(127, 160))
        letters = sum(character.isascii() for character in text)
        if letters < len(text) * 0.7:
            return False
    return odd <= len(text) * _MOST_CONTROL


def _text_form(text: str, encoding: str, name: str) -> Form:
    plain = text.lstrip("\ufeff \t\r\n")
    if plain[:1] in {"{", "["}:
        first = plain.split("\n", 1)[0].strip()
        if plain.startswith("{") and _is_json(first) and "\n" in plain.strip():
            return Form("jsonl", "application/x-ndjson", encoding)
        if first.startswith(("{", "[")):
            return Form("json", "application/json", encoding)
    if _MARKUP.match(plain):
        kind = "image/svg+xml" if "<svg" in plain[:2000].lower() else "text/html"
        return Form("markup", kind, encoding)
    from cove.leaks.readers.delimited import dialect_of  # noqa: PLC0415 - a reader knows its own form best

    if dialect := dialect_of(text, name):
        return Form("delimited", "text/tab-separated-values" if dialect == "\t" else "text/csv", encoding)
    return Form("text", "text/plain", encoding)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return 0 < length <= 100 << 20 and head[8:10] == b'{"'


def _by_others(head: bytes) -> str:
    import puremagic  # noqa: PLC0415 - its table is read when it is loaded

    try:
        found: str = puremagic.from_string(head[:8192], mime=True)
    except (puremagic.PureError, ValueError):
        return "application/octet-stream"
    return found or "application/octet-stream"
