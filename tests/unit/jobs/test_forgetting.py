"""Which datasets' indexes are removed."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tests.support.inspectors import NullInspector

from cove.core.asset import Asset, Credentials
from cove.core.errors import NotFound, Unavailable
from cove.jobs.forgetting import forget_deleted


@dataclass
class Store:
    """Knows assets by their state; "down" is a chain that does not answer."""

    states: dict[str, int] = field(default_factory=dict)
    down: bool = False

    def knows(self, did: str) -> bool:
        return did in self.states

    async def asset(self, did: str) -> Asset:
        if self.down:
            raise Unavailable("The chain does not answer.")
        if did not in self.states:
            raise NotFound("There is no such asset.")
        return Asset(did, 1, "0x", "", "dataset", (), Credentials(), None, "", self.states[did], "{}")

    async def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("state", [1, 3])
async def test_what_ended_or_was_revoked_is_forgotten(state: int) -> None:
    inspector = NullInspector(kept=("did:op:1",))
    assert await forget_deleted(inspector, [Store({"did:op:1": state})]) == {"did:op:1": 1}


@pytest.mark.parametrize("state", [0, 2, 4, 5])
async def test_what_may_be_offered_again_is_kept(state: int) -> None:
    inspector = NullInspector(kept=("did:op:1",))
    assert await forget_deleted(inspector, [Store({"did:op:1": state})]) == {}
    assert inspector.forgotten == []


async def test_what_nobody_publishes_is_forgotten() -> None:
    inspector = NullInspector(kept=("did:op:1", "did:op:2"))
    assert await forget_deleted(inspector, [Store(), Store({"did:op:2": 0})]) == {"did:op:1": 1}


async def test_what_a_chain_that_is_down_may_know_is_kept() -> None:
    inspector = NullInspector(kept=("did:op:1", "did:op:2"))
    assert await forget_deleted(inspector, [Store(down=True), Store({"did:op:2": 3})]) == {"did:op:2": 1}
    assert inspector.forgotten == ["did:op:2"]
