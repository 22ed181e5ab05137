"""An index of made-up people, and a way to look at outputs in this process."""

from __future__ import annotations

import io
from typing import Final

from cove.core.releasepolicy import CountRules, LeakRules
from cove.leaks.cells import Hashing
from cove.leaks.index import Index, dumped, load
from cove.leaks.indexing import Indexer
from cove.leaks.limits import LeakLimits
from cove.leaks.scanning import Scanner

HASHING: Final = Hashing(bytes(range(32)))
DATASET: Final = "did:op:1"
PLAIN: Final = LeakRules()


def index_of(content: bytes, name: str = "", identifiers: frozenset[str] = frozenset()) -> Index:
    """Make an index, and read it as it is read from the cache."""
    indexer = Indexer(HASHING, identifiers, len(content))
    indexer.file(io.BytesIO(content), name)
    return load(dumped(indexer.finish()))


def scanner_of(index: Index, leaks: LeakRules = PLAIN, by: tuple[str, ...] = ("city",), **limits: int) -> Scanner:
    """Give what looks at the outputs of one job."""
    return Scanner(HASHING, [(DATASET, index)], leaks, CountRules(frozenset(by)), LeakLimits(**limits))
