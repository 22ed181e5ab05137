"""Parts of answers that several routes give."""

from __future__ import annotations

from typing import Any

from cove.core.fees import SignedFee


def fee_answer(fee: SignedFee | None) -> dict[str, Any] | None:
    """Write a provider fee as clients put it into their order; None where there is none."""
    if fee is None:
        return None
    return {
        "providerFeeAddress": fee.fee_address,
        "providerFeeToken": fee.fee_token,
        "providerFeeAmount": str(fee.amount),
        "providerData": "0x" + fee.provider_data.hex(),
        "v": fee.v,
        "r": "0x" + fee.r.hex(),
        "s": "0x" + fee.s.hex(),
        "validUntil": fee.valid_until,
    }
