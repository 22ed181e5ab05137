"""Base64 and hex in texts, and frames that were printed in several blocks."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]{48,}={0,2}(?:\r?\n[A-Za-z0-9+/_-]{4,}={0,2})*")
_HEX: Final = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)\Z")
_SPACED: Final = re.compile(r"(?:[0-9a-fA-F]{2}[ :]){32,}[0-9a-fA-F]{2}")
_INTEGERS: Final = re.compile(r"(?:\d{1,3}, ?){64,}\d{1,3}")
_BYTE: Final = 256
_EIGHT: Final = 8
_ALL_EIGHT: Final = np.uint64(0x0101010101010101)

Alphabet = npt.NDArray[np.bool_]


def _alphabet(signs: str) -> Alphabet:
    found = np.zeros(256, np.bool_)
    found[np.frombuffer(signs.encode(), np.uint8)] = True
    return found


_DIGITS: Final = "0123456789"
_BASE64: Final = _alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/=_-\r\n" + _DIGITS)
_PAIRS: Final = _alphabet("abcdefABCDEF :" + _DIGITS)
_LISTS: Final = _alphabet(", " + _DIGITS)


def decoded(text: str) -> Iterator[bytes]:
    """Give what every long enough run of base64, hex, or numbers of bytes in a text stands for."""
    for found in _within(text, _RUN, _BASE64, 48):
        run = re.sub(r"\s", "", found[0])
        if (digits := _HEX.match(run)) is not None:
            yield bytes.fromhex(digits[1])
            continue
        for part in _RUN.finditer(run):
            plain = part[0].rstrip("=").translate({45: 43, 95: 47})
            try:
                yield base64.b64decode(plain[: len(plain) - (len(plain) % 4 == 1)] + "==")
            except (binascii.Error, ValueError):
                continue
    for found in _within(text, _SPACED, _PAIRS, 98):
        yield bytes.fromhex(found[0].replace(":", " "))
    for found in _within(text, _INTEGERS, _LISTS, 128):
        numbers = [int(number) for number in found[0].split(",")]
        if max(numbers) < _BYTE:
            yield bytes(numbers)


def _within(text: str, pattern: re.Pattern[str], alphabet: Alphabet, least: int) -> Iterator[re.Match[str]]:
    """Search where signs of an alphabet follow each other for long, which is found much faster than a pattern is."""
    signs = np.frombuffer(text.encode("latin-1", "replace") + bytes(-len(text) % _EIGHT), np.uint8)
    full = np.zeros(len(signs) // _EIGHT + 2, np.bool_)
    full[1:-1] = alphabet[signs].view(np.uint64) == _ALL_EIGHT
    edges = np.flatnonzero(full[1:] != full[:-1])
    begins, ends = edges[0::2], edges[1::2]
    long = (ends - begins) * _EIGHT >= least - 2 * _EIGHT
    for begin, end in zip(begins[long].tolist(), ends[long].tolist(), strict=True):
        yield from pattern.finditer(text, max(0, begin - 1) * _EIGHT, (end + 1) * _EIGHT)


def unwrapped(lines: list[str]) -> list[str]:
    r"""Put the blocks of a printed frame side by side again; the first line of all but the last ends with ``\``."""
    if not any(line.rstrip().endswith("\\") for line in lines):
        return lines
    found: list[str] = []
    block: list[str] | None = None
    place = 0
    while place < len(lines):
        goes_on = lines[place].rstrip().endswith("\\")
        if not goes_on and block is None:
            found.append(lines[place])
            place += 1
            continue
        end = place + 1
        while end < len(lines) and lines[end].strip():
            end += 1
        rows = [line.rstrip().removesuffix("\\") for line in lines[place:end]]
        block = rows if block is None else [f"{one} {other}" for one, other in zip(block, rows, strict=False)]
        place = end + (end < len(lines))
        if not goes_on:
            found.extend(block)
            block = None
    return [*found, *(block or [])]
