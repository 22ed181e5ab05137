"""The way to a chain, which a test can break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chain import Ocean

from cove.core.errors import Unavailable


@dataclass
class Line:
    """Passes calls on to a chain, and loses what it is told to."""

    ocean: Ocean
    #: The next transactions are answered and lost.
    lose: int = 0
    down: bool = False
    sent: list[str] = field(default_factory=list)

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        if self.down:
            raise Unavailable("chain 8996")
        if method == "eth_sendRawTransaction":
            self.sent.append(str(params[0]))
            if self.lose:
                self.lose -= 1
                return "0x" + "0" * 64
        return await self.ocean.chain.call(method, params)

    async def close(self) -> None:
        """Leave the chain open."""
