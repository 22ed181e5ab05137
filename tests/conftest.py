"""What tests of every kind share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.chain import Ocean


@pytest.fixture(scope="session")
def ocean() -> Iterator[Ocean]:
    """A chain with Ocean's contracts; tests share it, so each publishes its own assets."""
    pytest.importorskip("eth", reason="the in-process chain needs: pip install 'cove[demo]'")
    from tests.chain import make_ocean  # noqa: PLC0415 - the chain takes a second to import

    made = make_ocean()
    yield made
    asyncio.run(made.chain.close())
