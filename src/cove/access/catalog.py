"""Answers searches over the index of published assets, each within a bound on what it looks at."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cove.core import indexed
from cove.core.assetquery import Narrowing, Search, parse_search, ranked
from cove.core.assetsums import Totals
from cove.core.errors import Invalid
from cove.core.indexed import Entry
from cove.core.searchtext import Document
from cove.ports import Cursor, Finding, IndexStore, Lag

MAX_ASSETS: Final = 10_000
"""Assets that one search looks at, after what narrows it down."""

MAX_CHARACTERS: Final = 64 << 20
"""Of the documents of these, and of those in one answer."""

MAX_NAMES: Final = 1_000
LATE_SECONDS: Final = 60.0
"""How old the last good look at a chain may be before that is a finding."""

_AT_ONCE: Final = 100
_INDEX: Final = "aquarius"
_TOO_MANY: Final = (
    "The search would look at more than {} assets: narrow it down by chainId, nft.owner, metadata.type or ids."
)
_TOO_LONG: Final = "The search would look at documents of more than {} MiB: narrow it down, or ask for a smaller size."


@dataclass(order=True, slots=True)
class _Hit:
    rank: tuple[object, ...]
    did: str
    score: float


class Catalog:
    """What the index knows, as a metadata cache tells it.

    Args:
        index: The index.
        lags: Says how far it is, for each chain that is indexed.
    """

    def __init__(self, index: IndexStore, lags: Callable[[], Sequence[Lag]]) -> None:
        self._index = index
        self.lags = lags
        #: Searches cost processor time: one at a time leaves the others' requests theirs.
        self._searching = asyncio.Lock()

    async def search(self, body: Mapping[str, object]) -> dict[str, Any]:
        """Answer a search in the form of Elasticsearch.

        Raises:
            Invalid: It is wrong, not supported, or would look at too much.
        """
        search = parse_search(body)
        async with self._searching:
            began = time.monotonic()
            looked = _Looked(search)
            async for part in self._parts(search.narrowing):
                await asyncio.to_thread(looked.at, part)
            hits = looked.page()
            sources = await self._sources([hit.did for hit in hits])
            took = time.monotonic() - began
        return {
            "took": int(took * 1000),
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {
                "total": {"value": looked.count, "relation": "eq"},
                "max_score": looked.best,
                "hits": [
                    {"_index": _INDEX, "_type": "_doc", "_id": hit.did, "_score": hit.score, "_source": source}
                    for hit in hits
                    if (source := sources.get(hit.did)) is not None
                ],
            },
            **({"aggregations": looked.totals.answer()} if search.sums else {}),
        }

    async def names(self, dids: Sequence[str]) -> dict[str, str]:
        """Give the names of those of these assets that are known; at most :data:`MAX_NAMES` are asked for."""
        given = {did.lower(): did for did in dids}
        found = await self._index.entries(list(given))
        return {
            given[did]: str(indexed.served(entry)["metadata"].get("name", ""))
            for did, entry in found.items()
            if indexed.is_shown(entry)
        }

    async def findings(self) -> list[Finding]:
        """Say how far the index is."""
        return [_finding(lag, await self._index.cursor(lag.chain_id)) for lag in self.lags()]

    async def _parts(self, narrowing: Narrowing) -> AsyncIterator[Sequence[Entry]]:
        after, assets, characters = "", 0, 0
        while part := await self._index.shown(narrowing, after, _AT_ONCE):
            assets += len(part)
            characters += sum(len(entry.document) for entry in part)
            if assets > MAX_ASSETS:
                raise Invalid({"query": [_TOO_MANY.format(MAX_ASSETS)]})
            if characters > MAX_CHARACTERS:
                raise Invalid({"query": [_TOO_LONG.format(MAX_CHARACTERS >> 20)]})
            yield part
            after = part[-1].did

    async def _sources(self, dids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Give the documents of an answer; one that was hidden meanwhile is left out."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(dids), _AT_ONCE):
            entries = await self._index.entries(dids[start : start + _AT_ONCE])
            shown = [entry for entry in entries.values() if indexed.is_shown(entry)]
            found |= await asyncio.to_thread(lambda some: {one.did: indexed.served(one) for one in some}, shown)
        return found


class _Looked:
    """What a search saw so far. Of what it found, only the best are kept, as far as the answer reaches."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._hits: list[_Hit] = []
        self._reach = search.start + search.size
        self.count = 0
        self.best: float | None = None
        self.totals = Totals(search.sums)

    def at(self, entries: Sequence[Entry]) -> None:
        """Look at some assets."""
        for entry in entries:
            document = Document(indexed.served(entry))
            score = self._search.score(document)
            if score is None:
                continue
            self.count += 1
            self.best = score if self.best is None else max(self.best, score)
            self.totals.add(document)
            self._hits.append(_Hit(ranked(self._search.order, document, score), entry.did, score))
        if len(self._hits) > 2 * self._reach:
            self._hits = heapq.nsmallest(self._reach, self._hits)

    def page(self) -> list[_Hit]:
        """Give what belongs into the answer."""
        return heapq.nsmallest(self._reach, self._hits)[self._search.start :]


def _finding(lag: Lag, cursor: Cursor | None) -> Finding:
    part = f"index of chain {lag.chain_id}"
    if lag.head is None:  # nobody looked since the start: what is stored says how far it was
        seen = "nothing was read yet" if cursor is None else f"block {max(0, cursor.block)} was read last"
        advice = "Check chains.rpc in the settings and the node." if lag.problem else ""
        return Finding(part, ok=not lag.problem, seen=lag.problem or seen, advice=advice)
    late = bool(lag.behind) and (lag.age is None or lag.age > LATE_SECONDS)
    seen = f"block {max(0, lag.block)} of {lag.head} is read" + (f"; {lag.problem}" if lag.problem else "")
    advice = "Wait until the chain's past is read, or check chains.rpc." if late else ""
    return Finding(part, ok=not late, seen=seen, advice=advice)
