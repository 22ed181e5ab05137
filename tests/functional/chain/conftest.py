"""Two chains for the tests of this folder that need two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.two_chains import Pair, World, serving, two_chains


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    pytest.importorskip("cove.ledgers.devchain", reason="the in-process chain needs: pip install 'cove[demo]'")
    yield from two_chains()


@pytest.fixture
async def world(pair: Pair, tmp_path: Path) -> AsyncIterator[World]:
    async with serving(pair, tmp_path) as made:
        yield made
