"""A transaction with a gas price, as bytes (EIP-155): what every chain of the Ethereum kind takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transaction:
    """A call of a contract, not signed yet. Amounts are wei."""

    chain_id: int
    nonce: int
    gas_price: int
    gas: int
    #: ``0x`` and 40 hex digits.
    to: str
    data: bytes

    def unsigned(self) -> bytes:
        """Give the bytes whose keccak is signed."""
        return _listed([*self._fields(), _number(self.chain_id), b"", b""])

    def signed(self, parity: int, r: bytes, s: bytes) -> bytes:
        """Give the bytes that a node takes.

        Args:
            parity: 0 or 1, of the signature's point.
            r: 32 bytes.
            s: 32 bytes.
        """
        v = self.chain_id * 2 + 35 + parity
        return _listed([*self._fields(), _number(v), r.lstrip(b"\0"), s.lstrip(b"\0")])

    def _fields(self) -> list[bytes]:
        numbers = [_number(part) for part in (self.nonce, self.gas_price, self.gas)]
        return [*numbers, bytes.fromhex(self.to.removeprefix("0x")), b"", self.data]


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8)


def _listed(parts: list[bytes]) -> bytes:
    """Write a list in RLP (Yellow Paper, appendix B)."""
    body = b"".join(part if len(part) == 1 and part[0] < 0x80 else _head(0x80, len(part)) + part for part in parts)  # noqa: PLR2004 - RLP's own
    return _head(0xC0, len(body)) + body


def _head(base: int, length: int) -> bytes:
    if length < 56:  # noqa: PLR2004 - RLP's own
        return bytes((base + length,))
    written = _number(length)
    return bytes((base + 55 + len(written),)) + written
