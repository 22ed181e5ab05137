"""The demo's chain: in this process, or another development chain by its URL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from cove.client.market import Transport
from cove.core.errors import SettingsWrong, Unavailable
from cove.ledgers.rpc import HttpRpc, Rpc, RpcError
from cove.settings import ChainSettings


@dataclass(frozen=True)
class DemoChain:
    """A chain with two accounts that own ether."""

    id: int
    #: None for a chain in this process.
    url: str | None
    #: What wallets send through.
    transport: Transport
    #: How the service reaches it.
    connect: Callable[[ChainSettings], Rpc]
    #: Private keys, worth nothing: publisher, consumer.
    keys: tuple[str, str]


@contextlib.asynccontextmanager
async def open_chain(rpc: str | None) -> AsyncIterator[DemoChain]:
    """Open the demo's chain.

    Args:
        rpc: URL of another development chain; its accounts must be those of anvil's and hardhat's usual mnemonic.

    Raises:
        SettingsWrong: There is no chain to run in this process.
        Unavailable: No chain answers at the URL.
    """
    if rpc is not None:
        async with _elsewhere(rpc) as found:
            yield found
        return
    try:
        from cove.ledgers.devchain import DevChain  # noqa: PLC0415 - needs the demo's extra
    except ModuleNotFoundError as problem:
        raise SettingsWrong(
            f"The chain in this process needs the package {problem.name}.", hint="pip install 'cove[demo]'"
        ) from None
    chain = DevChain()
    try:
        keys = (chain.accounts[0].private_key, chain.accounts[1].private_key)
        yield DemoChain(chain.chain_id, None, chain, lambda _: _Shared(chain), keys)
    finally:
        await chain.close()


@contextlib.asynccontextmanager
async def _elsewhere(rpc: str) -> AsyncIterator[DemoChain]:
    from cove.client.accounts import key_of_words  # noqa: PLC0415 - slow to import, and only for other chains

    number = await _chain_id(rpc)
    words = "test test test test test test test test test test test junk"
    keys = (key_of_words(words, 0), key_of_words(words, 1))
    async with HttpRpc(rpc, number) as client:
        yield DemoChain(number, rpc, client, lambda settings: HttpRpc(rpc, settings.id), keys)


async def _chain_id(rpc: str) -> int:
    """Ask a node for its chain; the URL may hold an access key, so no text quotes it."""
    try:
        async with HttpRpc(rpc, 0) as client:
            return int(str(await client.call("eth_chainId")), 16)
    except (Unavailable, RpcError, ValueError, TypeError):
        raise Unavailable(
            "the chain",
            "No chain answers at the URL of --rpc.",
            hint="It should be a development chain's JSON-RPC over HTTP: anvil, for one, at http://127.0.0.1:8545",
        ) from None


class _Shared:
    """The in-process chain for the service, which must not close it."""

    def __init__(self, chain: Rpc) -> None:
        self.call = chain.call

    async def close(self) -> None:
        """Leave the chain open."""
