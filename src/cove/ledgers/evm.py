"""A chain of the Ethereum kind, read over JSON-RPC. It gives facts and judges nothing."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from cove.core.errors import Unavailable
from cove.core.indexed import ChainEvent
from cove.core.order import Receipt
from cove.ledgers import abi, assetlogs
from cove.ledgers.events import Recover, metadata_event
from cove.ledgers.receipts import Receipts, keep
from cove.ledgers.rpc import Rpc, RpcError, is_revert
from cove.ports import Block, MetadataEvent, NftFacts

_CACHED_ANSWERS: Final = 10_000
_BLOCKS_PER_QUERY: Final = 10_000
_ERC1271_MAGIC: Final = bytes.fromhex("1626ba7e")
_FIRST_TOKEN: Final = 1
_NO_ADDRESS: Final = "0x" + "0" * 40
_METADATA_TOPICS: Final = [[abi.METADATA_CREATED.topic, abi.METADATA_UPDATED.topic]]

_T = TypeVar("_T")


class EvmLedger:
    """One chain, as ``cove.ports.Ledger`` and ``cove.ports.ChainReader`` describe it.

    Args:
        rpc: Its node.
        chain_id: What ``eth_chainId`` must say; another chain is never read.
        factory: Address of Ocean's ERC721Factory.
        recover: Gives the signer of a 32-byte digest from r, s, v (65 bytes), or None.
        monotonic: Gives seconds, for waiting.
        confirmations: How deep an order must be on this chain.
    """

    def __init__(
        self,
        rpc: Rpc,
        chain_id: int,
        factory: str,
        *,
        recover: Recover,
        monotonic: Callable[[], float] = time.monotonic,
        confirmations: int = 1,
    ) -> None:
        self.chain_id = chain_id
        self.charges_fees = True
        self._rpc = rpc
        self.factory = factory
        self._part = f"chain {chain_id}"
        self._chain_checked = False
        self._receipts = Receipts(self._call, recover=recover, monotonic=monotonic, confirmations=confirmations)
        self._facts: OrderedDict[tuple[str, ...], int] = OrderedDict()

    async def receipt(self, tx_id: str) -> Receipt | None:
        """Give the facts of a mined transaction; None at once when the chain does not know it.

        A transaction that is known and not mined yet is waited for ``receipts.WAIT_SECONDS`` at the most, then None.

        Raises:
            Unavailable: The chain does not answer, or not in its own form.
        """
        return await self._reading(self._receipts.facts(tx_id.lower()))

    async def nft(self, address: str) -> NftFacts | None:
        """Give an NFT's owner and state; None when the factory did not make this contract.

        Raises:
            Unavailable: The chain does not answer.
        """
        return await self._reading(self._nft(address))

    async def has_datatoken(self, nft: str, datatoken: str) -> bool:
        """Say whether the NFT, which the factory made, deployed this datatoken.

        Raises:
            Unavailable: The chain does not answer.
        """
        return await self._reading(self._has_datatoken(nft, datatoken))

    async def token_decimals(self, token: str) -> int:
        """Give an ERC-20's decimals.

        Raises:
            Unavailable: The chain does not answer, or there is no such token.
        """
        return await self._reading(self._token_decimals(token))

    async def head(self) -> tuple[int, int]:
        """Give the newest block's number and Unix time.

        Raises:
            Unavailable: The chain does not answer.
        """
        found = await self._reading(self._receipts.head())
        return found.number, found.time

    async def metadata_events(self, first_block: int, last_block: int) -> Sequence[MetadataEvent]:
        """Give all metadata events of these blocks, both ends included, in chain order, from any contract.

        Long ranges are asked for in parts, and in smaller ones where the node finds a part too large.

        Raises:
            Unavailable: The chain does not answer.
        """
        return await self._reading(self._metadata_events(first_block, last_block))

    async def metadata_of_transaction(self, tx_id: str, nft: str) -> MetadataEvent | None:
        """Give the last metadata event of that NFT in one transaction; None when there is none.

        Raises:
            Unavailable: The chain does not answer.
        """
        return await self._reading(self._metadata_of_transaction(tx_id.lower(), nft))

    async def has_code(self, address: str) -> bool:
        """Say whether a contract stands at an address.

        Raises:
            Unavailable: The chain does not answer.
        """
        return len(await self._reading(self._code(address))) > 0

    async def valid_wallet_signature(self, wallet: str, digest: bytes, signature: bytes) -> bool:
        """Ask a contract wallet (ERC-1271) whether a signature of a 32-byte digest is its own; False for no contract.

        Raises:
            Unavailable: The chain does not answer.
        """
        asked = abi.IS_VALID_SIGNATURE.data(digest, signature)
        answer = await self._reading(self._ask(wallet, asked))
        return answer is not None and answer[:32] == _ERC1271_MAGIC.ljust(32, b"\0")

    async def call(self, to: str, data: bytes) -> bytes | None:
        """Give what a contract returns to a call that changes nothing; None when it refused. See ``cove.ports``.

        Raises:
            Unavailable: The chain does not answer.
        """
        return await self._reading(self._ask(to, "0x" + data.hex()))

    async def block(self, number: int | None) -> Block | None:
        """Give a block of the chain as it is now; None: the newest one. None when it does not know the block.

        Raises:
            Unavailable: The chain does not answer.
        """
        return await self._reading(assetlogs.read_block(self._call, number))

    async def asset_events(self, first_block: int, last_block: int) -> Sequence[ChainEvent]:
        """Give what the index needs of these blocks, both ends included, in chain order.

        Raises:
            Unavailable: The chain does not answer.
        """
        return await self._reading(assetlogs.read_range(self._call, self.factory, first_block, last_block))

    async def asset_events_of(self, block: Block) -> Sequence[ChainEvent]:
        """Give the same of one very block.

        Raises:
            Unavailable: The chain does not answer, or does not know the block.
        """
        return await self._reading(assetlogs.read_one(self._call, self.factory, block))

    async def close(self) -> None:
        """Let go of connections."""
        await self._rpc.close()

    # ------------------------------------------------------------------------------------------ one call

    async def _reading(self, answer: Awaitable[_T]) -> _T:
        """Turn whatever a node does wrong into :class:`Unavailable`: nothing is known then."""
        try:
            return await answer
        except RpcError:
            raise Unavailable(self._part, f"{self._part} refused a call") from None
        except abi.BadAnswer as problem:
            raise Unavailable(self._part, f"{self._part} answered nonsense: {problem}") from None

    async def _call(self, method: str, *params: object) -> object:
        if not self._chain_checked:
            found = abi.quantity(await self._rpc.call("eth_chainId"))
            if found != self.chain_id:
                raise Unavailable(self._part, f"the node of {self._part} serves chain {found}")
            self._chain_checked = True
        return await self._rpc.call(method, params)

    async def _ask(self, to: str, call_data: str) -> bytes | None:
        """Give what a contract answers; None when it reverted."""
        try:
            return abi.raw(await self._call("eth_call", {"to": to, "data": call_data}, "latest"))
        except RpcError as problem:
            if is_revert(problem):
                return None
            raise

    async def _code(self, address: str) -> bytes:
        return abi.raw(await self._call("eth_getCode", address, "latest"))

    # ------------------------------------------------------------------------------------------ contracts

    async def _nft(self, address: str) -> NftFacts | None:
        if not await self._made_by_factory(address):
            return None
        owner, metadata = await asyncio.gather(
            self._ask(address, abi.OWNER_OF.data(_FIRST_TOKEN)), self._ask(address, abi.GET_METADATA.data())
        )
        if owner is None or metadata is None:
            return None
        whose, facts = abi.OWNER_OF.read(owner), abi.GET_METADATA.read(metadata)
        if whose is None or facts is None:
            raise abi.BadAnswer("an NFT without owner and state")
        return NftFacts(abi.checksum(whose[0]), int(facts[2]))

    async def _made_by_factory(self, nft: str) -> bool:
        key = ("nft", nft.lower())
        if key not in self._facts:
            answer = await self._ask(self.factory, abi.ERC721_LIST.data(nft))
            listed = abi.ERC721_LIST.read(answer or b"")
            if listed is None:
                raise Unavailable(self._part, f"{self._part} has no ERC721Factory at {self.factory}")
            if nft.lower() == _NO_ADDRESS or listed[0].lower() != nft.lower():  # the list gives zero for the unknown
                return False
            keep(self._facts, key, 1, _CACHED_ANSWERS)
        return True

    async def _has_datatoken(self, nft: str, datatoken: str) -> bool:
        key = ("datatoken", nft.lower(), datatoken.lower())
        if key not in self._facts:
            if not await self._made_by_factory(nft):
                return False
            answer = abi.IS_DEPLOYED.read(await self._ask(nft, abi.IS_DEPLOYED.data(datatoken)) or b"")
            if answer is None or not answer[0]:
                return False
            keep(self._facts, key, 1, _CACHED_ANSWERS)
        return True

    async def _token_decimals(self, token: str) -> int:
        key = ("decimals", token.lower())
        if key not in self._facts:
            answer = abi.DECIMALS.read(await self._ask(token, abi.DECIMALS.data()) or b"")
            if answer is None:
                raise Unavailable(self._part, f"{self._part} has no ERC-20 token at {token}")
            keep(self._facts, key, int(answer[0]), _CACHED_ANSWERS)
        return self._facts[key]

    # ------------------------------------------------------------------------------------------ metadata

    async def _metadata_events(self, first_block: int, last_block: int) -> Sequence[MetadataEvent]:
        found: list[MetadataEvent] = []
        step = _BLOCKS_PER_QUERY
        start = first_block
        while start <= last_block:
            end = min(start + step - 1, last_block)
            wanted = {"fromBlock": hex(start), "toBlock": hex(end), "topics": _METADATA_TOPICS}
            try:
                entries = abi.logs(await self._call("eth_getLogs", wanted))
            except RpcError:
                if step == 1:
                    raise
                step = max(1, step // 10)
                continue
            found.extend(event for entry in entries if (event := metadata_event(entry)) is not None)
            start = end + 1
        return sorted(found, key=lambda event: (event.block_number, event.log_index))

    async def _metadata_of_transaction(self, tx_id: str, nft: str) -> MetadataEvent | None:
        body = await self._receipts.mined(tx_id)
        if body is None or body.get("status") != "0x1":
            return None
        events = [metadata_event(entry) for entry in abi.logs(body.get("logs"))]
        own = [event for event in events if event is not None and event.nft.lower() == nft.lower()]
        return max(own, key=lambda event: event.log_index, default=None)
