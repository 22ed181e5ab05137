"""Content-defined chunks: where a piece of bytes is cut depends on its content, not on its place."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np

from cove.leaks.cells import Hashes, Hashing

_WIDTH: Final = 32
_MASK: Final = np.uint32(0x1FF)
_LEAST: Final = 128
_BLOCK: Final = 1 << 20
_TELLING: Final = 24


def cuts(content: bytes) -> list[int]:
    """Give where some bytes are cut; chunks have 128 bytes or more, and some 640 in the middle."""
    data = np.frombuffer(content, np.uint8)
    found: list[int] = []
    last = 0
    for start in range(0, max(1, len(data) - _WIDTH), _BLOCK):
        block = data[start : start + _BLOCK + _WIDTH - 1].astype(np.uint32)
        if len(block) < _WIDTH:
            break
        mixed = (block * np.uint32(0x9E3779B1)) ^ ((block + np.uint32(0x7F)) * np.uint32(0x85EBCA77) >> np.uint32(7))
        rolled = np.zeros(len(block) - _WIDTH + 1, np.uint32)
        with np.errstate(over="ignore"):
            for place in range(_WIDTH):
                rolled += mixed[place : place + len(rolled)] * np.uint32(2 * place * place + 2_654_435_761 & 0xFFFFFFFF)
        for cut in (np.flatnonzero(((rolled >> np.uint32(15)) & _MASK) == 0) + start + _WIDTH).tolist():
            if cut - last >= _LEAST:
                found.append(cut)
                last = cut
    return found


def chunk_hashes(hashing: Hashing, content: bytes) -> Hashes:
    """Hash the chunks of some bytes, but for those that say little, as zeros do."""
    view = memoryview(content)
    edges = [0, *cuts(content), len(content)]
    parts = [view[begin:end] for begin, end in itertools.pairwise(edges) if end - begin >= _LEAST]
    return np.array([hashing.bytes(part) for part in parts if len(set(part)) >= _TELLING], np.uint64)
