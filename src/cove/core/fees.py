"""What a provider asks for compute time, and the bytes that it signs for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Final

SECONDS_PER_MINUTE: Final = 60
_PRECISION: Final = 120
_ADDRESS_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class SignedFee:
    """A provider fee, signed by the provider that asks for it."""

    fee_address: str
    fee_token: str
    #: Base units of the token.
    amount: int
    provider_data: bytes
    v: int
    r: bytes
    s: bytes
    #: Unix time; 0 where it does not end.
    valid_until: int


def fee_amount(seconds: int, price_per_minute: Decimal, decimals: int) -> int:
    """Give the fee of a period, rounded up to a whole base unit so that no priced period is free.

    Args:
        seconds: The whole period, days included; nothing is paid for zero or less.
        price_per_minute: Whole tokens.
        decimals: Of the token.
    """
    if seconds <= 0:
        return 0
    with localcontext(prec=_PRECISION):
        minutes = Decimal(seconds) * price_per_minute / SECONDS_PER_MINUTE
        return int(minutes.scaleb(decimals).to_integral_value(rounding=ROUND_CEILING))


def provider_data(environment: str | None, timestamp: float, datatoken: str, service_id: str) -> bytes:
    """Give the compact JSON that ties a fee to an environment, a time and a service.

    Args:
        environment: Its id; None for a service that needs none.
        timestamp: Unix time of the quote.
        datatoken: Address of the service's datatoken.
        service_id: Id of the service.
    """
    fields = {"environment": environment, "timestamp": timestamp, "dt": datatoken, "id": service_id}
    return json.dumps(fields, separators=(",", ":")).encode()


def packed_fee(data: bytes, fee_address: str, fee_token: str, amount: int, valid_until: int) -> bytes:
    """Give what the provider's signature of a fee covers.

    It is ``abi.encodePacked(bytes, address, address, uint256, uint256)``, as the ERC20 template checks it: keccak of
    it is signed as a personal message (EIP-191).

    Args:
        data: What :func:`provider_data` gave.
        fee_address: Who is paid.
        fee_token: The token that is paid.
        amount: Base units of the token.
        valid_until: Unix time.

    Raises:
        ValueError: An address has not 20 bytes.
        OverflowError: A number is negative or has more than 256 bits.
    """
    return b"".join(
        (data, _address(fee_address), _address(fee_token), amount.to_bytes(32, "big"), valid_until.to_bytes(32, "big"))
    )


def _address(text: str) -> bytes:
    raw = bytes.fromhex(text.removeprefix("0x"))
    if len(raw) != _ADDRESS_BYTES:
        raise ValueError("an address has 20 bytes")
    return raw
