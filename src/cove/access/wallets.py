"""Signatures of contract wallets (ERC-1271): only the wallet's own code can say whether one is good.

To ask costs a call to a chain, and anybody may send a wrong signature. So only addresses with code are asked, what an
address has is remembered for a while, and no more than a few questions are open at a time: beyond that a caller is told
to come back, which costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cove.core.errors import TooMany, Unavailable
from cove.ports import Clock, Ledger

_QUESTIONS_AT_ONCE: Final = 4
_REMEMBERED: Final = 10_000
_REMEMBER_SECONDS: Final = 60.0
_LONGEST_BYTES: Final = 4096


class Wallets:
    """Asks contract wallets on every chain.

    Args:
        ledgers: By chain id.
        digests: Gives the digests of a text that a wallet may have signed.
        clock: The time.
    """

    def __init__(self, ledgers: Mapping[int, Ledger], digests: Callable[[str], Iterable[bytes]], clock: Clock) -> None:
        self._ledgers = ledgers
        self._digests = digests
        self._clock = clock
        self._open = asyncio.Semaphore(_QUESTIONS_AT_ONCE)
        #: By chain and address: when it was seen to have no code.
        self._plain: OrderedDict[tuple[int, str], float] = OrderedDict()

    async def signed(self, account: str, message: str, signature: str) -> bool:
        """Say whether the account is a contract, on any chain, that holds the signature for its own.

        Args:
            account: Its address.
            message: The text, without any hashing.
            signature: Hex, with or without ``0x``.

        Raises:
            TooMany: Too many such questions are open.
            Unavailable: A chain that may know the wallet does not answer.
        """
        try:
            raw = bytes.fromhex(signature.removeprefix("0x"))
        except ValueError:
            return False
        if not 0 < len(raw) <= _LONGEST_BYTES:
            return False
        missing: Unavailable | None = None
        for chain, ledger in self._ledgers.items():
            if self._is_plain(chain, account):
                continue
            if self._open.locked():
                raise TooMany("Too many signatures of contract wallets are being checked.", retry_after=1)
            try:
                async with self._open:
                    if await self._signed_on(ledger, account, message, raw):
                        return True
            except Unavailable as problem:  # the wallet may be on another chain
                missing = problem
        if missing is not None:
            raise missing
        return False

    async def _signed_on(self, ledger: Ledger, account: str, message: str, raw: bytes) -> bool:
        if not await ledger.has_code(account):
            self._remember(ledger.chain_id, account)
            return False
        for digest in self._digests(message):
            if await ledger.valid_wallet_signature(account, digest, raw):
                return True
        return False

    def _is_plain(self, chain: int, account: str) -> bool:
        seen = self._plain.get((chain, account.lower()))
        return seen is not None and self._clock.now() - seen < _REMEMBER_SECONDS

    def _remember(self, chain: int, account: str) -> None:
        self._plain[chain, account.lower()] = self._clock.now()
        self._plain.move_to_end((chain, account.lower()))
        while len(self._plain) > _REMEMBERED:
            self._plain.popitem(last=False)
