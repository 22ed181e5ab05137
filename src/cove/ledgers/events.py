"""Reads the logs that Cove knows into facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eth_hash.auto import keccak

from cove.core.fees import packed_fee
from cove.core.order import OrderReused, OrderStarted, ProviderFeePaid, TokenTransfer
from cove.ledgers import abi
from cove.ports import MetadataEvent

Recover = Callable[[bytes, bytes], str | None]
"""Gives the signer of a 32-byte digest from r, s, v (65 bytes), or None."""


def event_of(
    log: Mapping[str, Any], recover: Recover
) -> OrderStarted | OrderReused | ProviderFeePaid | TokenTransfer | None:
    """Give what a log of a receipt says of an order; None for other logs and for data that is not the event's.

    Args:
        log: As :func:`cove.ledgers.abi.logs` gives it.
        recover: Finds who signed a provider fee.
    """
    address, index = abi.checksum(log["address"]), abi.quantity(log["logIndex"])
    topic = log["topics"][0].lower() if log["topics"] else ""
    if topic == abi.ORDER_STARTED.topic and (found := abi.ORDER_STARTED.read(log)) is not None:
        return OrderStarted(
            address,
            index,
            found["consumer"],
            found["payer"],
            found["amount"],
            found["serviceIndex"],
            found["timestamp"],
        )
    if topic == abi.ORDER_REUSED.topic and (found := abi.ORDER_REUSED.read(log)) is not None:
        return OrderReused(address, index, "0x" + found["orderTxId"].hex(), found["caller"], found["timestamp"])
    if topic == abi.PROVIDER_FEE.topic and (found := abi.PROVIDER_FEE.read(log)) is not None:
        return _fee_of(address, index, found, recover)
    if topic == abi.TRANSFER.topic and (found := abi.TRANSFER.read(log)) is not None:
        return TokenTransfer(address, index, found["from"], found["to"], found["value"])
    return None


def _fee_of(address: str, index: int, found: Mapping[str, Any], recover: Recover) -> ProviderFeePaid:
    packed = packed_fee(
        found["providerData"],
        found["providerFeeAddress"],
        found["providerFeeToken"],
        found["providerFeeAmount"],
        found["validUntil"],
    )
    digest = keccak(b"\x19Ethereum Signed Message:\n32" + keccak(packed))  # as the ERC20 template checks it
    signature = found["r"] + found["s"] + bytes((found["v"],))
    return ProviderFeePaid(
        address=address,
        log_index=index,
        fee_address=found["providerFeeAddress"],
        fee_token=found["providerFeeToken"],
        amount=found["providerFeeAmount"],
        provider_data=found["providerData"],
        v=found["v"],
        r=found["r"],
        s=found["s"],
        valid_until=found["validUntil"],
        signer=recover(digest, signature) or "",
    )


def metadata_event(log: Mapping[str, Any]) -> MetadataEvent | None:
    """Give the metadata event of a log; None when it is none.

    Raises:
        BadAnswer: The node left out where the log stands.
    """
    found = abi.METADATA_CREATED.read(log) or abi.METADATA_UPDATED.read(log)
    if found is None:
        return None
    return MetadataEvent(
        nft=abi.checksum(log["address"]),
        tx_id="0x" + abi.raw(log.get("transactionHash"), 32).hex(),
        block_number=abi.quantity(log.get("blockNumber")),
        log_index=abi.quantity(log["logIndex"]),
        state=found["state"],
        flags=int.from_bytes(found["flags"][:1]),
        data=found["data"],
        metadata_hash=found["metaDataHash"],
        timestamp=found["timestamp"],
        decryptor_url=found["decryptorUrl"],
    )
