"""Parts of answers that several routes give."""

from __future__ import annotations

from typing import Any

from cove.core.environment import Access
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


def access_answer(access: Access) -> dict[str, Any]:
    """Say who may use an environment, as Ocean Node does; the ids of ERC-1155 tokens stand beside."""
    lists: dict[str, list[str]] = {}
    ids: dict[str, list[str]] = {}
    for token in access.tokens:
        contracts = lists.setdefault(str(token.chain_id), [])
        if token.contract not in contracts:
            contracts.append(token.contract)
        if token.token_id is not None:
            ids.setdefault(token.contract, []).append(str(token.token_id))
    answer: dict[str, Any] = {"addresses": list(access.addresses), "accessLists": [lists] if lists else None}
    return answer | ({"tokenIds": ids} if ids else {})
