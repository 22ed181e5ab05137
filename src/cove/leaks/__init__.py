"""Compares what algorithms wrote with the actual input, row by row: docs/reference/leak-check.md.

``open_inspector`` gives the Inspector; nothing heavy is loaded by it, nor ever in the service's own process.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cove.leaks.cache import Cache
from cove.leaks.inspector import LeakInspector
from cove.leaks.limits import LeakLimits
from cove.leaks.process.starting import Template
from cove.leaks.shelf import Shelf

__all__ = ["LeakInspector", "LeakLimits", "open_inspector"]


def open_inspector(folder: Path, key: bytes, limits: LeakLimits | None = None) -> LeakInspector:
    """Give the Inspector; it starts no process before it has something to do.

    Args:
        folder: For encrypted indexes; made when it is needed.
        key: 32 bytes derived from the provider's key (``KeyVault.derive``); what is used is derived from it again.
        limits: None for the usual ones.
    """
    limits = limits or LeakLimits()
    template = Template(limits.idle_seconds)
    cells = _derive(key, b"cove leaks: cells, 1")
    shelf = Shelf(Cache(folder, _derive(key, b"cove leaks: cache, 1"), limits.cache_bytes), template, cells, limits)
    return LeakInspector(shelf, template, cells, limits)


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)
