"""Calls to contracts for worker threads, while the ledgers live in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from cove.core.errors import DataMissing, Unavailable
from cove.ports import Ledger


def blocking_calls(
    ledgers: Mapping[int, Ledger], loop: asyncio.AbstractEventLoop, *, seconds: float
) -> Callable[[int, str, bytes], bytes]:
    """Give a function that calls a contract: chain id, address, call data; it gives what the contract returned.

    It waits, so it must not be called in the loop's own thread. It raises DataMissing where the chain is not served or
    does not answer in time, and where the contract refuses.

    Args:
        ledgers: By chain id.
        loop: Runs, and holds the ledgers.
        seconds: How long a call may take.
    """

    def call(chain_id: int, to: str, data: bytes) -> bytes:
        ledger = ledgers.get(chain_id)
        if ledger is None:
            raise DataMissing("This provider does not read the contract's chain.")
        waiting = asyncio.run_coroutine_threadsafe(ledger.call(to, data), loop)
        try:
            found = waiting.result(seconds)
        except TimeoutError:
            waiting.cancel()
            raise DataMissing("The contract's chain did not answer in time.") from None
        except Unavailable:
            raise DataMissing("The contract's chain does not answer.") from None
        if found is None:
            raise DataMissing("The contract refused the call.")
        return found

    return call
