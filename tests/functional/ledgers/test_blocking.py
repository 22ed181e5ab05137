"""Calls from worker threads while the ledgers live in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from tests.chain import Ocean

from cove.core.errors import DataMissing, Unavailable
from cove.ledgers.blocking import blocking_calls
from cove.ledgers.evm import EvmLedger

SOMEBODY = "0x52908400098527886E0F7030069857D2E4169EE7"
DECIMALS = bytes.fromhex("313ce567")


class Dead:
    """A node that does not answer."""

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        raise Unavailable(f"{method} {params}")

    async def close(self) -> None:
        """Nothing is open."""


class Silent(Dead):
    """A node that answers never."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()
        raise Unavailable(f"{method} {params}")


def calls_of(rpc: Dead, seconds: float = 10) -> Callable[[int, str, bytes], bytes]:
    ledger = EvmLedger(rpc, 8996, SOMEBODY, recover=lambda *_: None)
    return blocking_calls({8996: ledger}, asyncio.get_running_loop(), seconds=seconds)


async def test_a_contract_answers(ocean: Ocean) -> None:
    call = blocking_calls({8996: ocean.ledger()}, asyncio.get_running_loop(), seconds=20)
    assert await asyncio.to_thread(call, 8996, ocean.addresses.fee_token, DECIMALS) == (18).to_bytes(32)
    with pytest.raises(DataMissing, match="refused"):
        await asyncio.to_thread(call, 8996, ocean.addresses.fee_token, b"\xff" * 4)


async def test_a_chain_that_is_not_served() -> None:
    with pytest.raises(DataMissing, match="does not read the contract's chain"):
        await asyncio.to_thread(calls_of(Dead()), 1, SOMEBODY, DECIMALS)


async def test_a_node_that_is_dead() -> None:
    with pytest.raises(DataMissing, match="does not answer"):
        await asyncio.to_thread(calls_of(Dead()), 8996, SOMEBODY, DECIMALS)


async def test_a_node_that_is_silent_is_given_up() -> None:
    node = Silent()
    with pytest.raises(DataMissing, match="in time"):
        await asyncio.to_thread(calls_of(node, 0.05), 8996, SOMEBODY, DECIMALS)
    await asyncio.wait_for(node.given_up.wait(), 120)
