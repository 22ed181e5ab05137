"""Proofs of access: what a provider and a consumer both signed about a file that was handed out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

MAX_ATTEMPTS: Final = 30
"""With the pauses of :func:`pause_after` that is about a day."""

_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 3600.0


class ProofState(StrEnum):
    """How far a proof is."""

    OPEN = "open"
    DELIVERED = "delivered"
    #: Given up; ``note`` says why.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Access:
    """One consumer's access to one file under one order."""

    chain_id: int
    #: ``0x`` and 64 hex digits: the transaction that the consumer named.
    order_tx: str
    #: Checksummed.
    datatoken: str
    #: Checksummed.
    consumer: str
    #: JSON text, as :func:`provider_data` writes it.
    provider_data: str
    #: The text that the consumer signed.
    consumer_data: str
    #: ``0x`` hex; empty where a token stood for it.
    consumer_signature: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that was signed for a proof, and perhaps sent."""

    #: ``0x`` and 64 hex digits.
    tx_id: str
    #: What a node takes, ``0x`` hex.
    raw: str
    nonce: int
    #: Wei.
    gas_price: int
    #: Unix time at which it was signed.
    at: float


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof on its way to one place."""

    #: Counts up as proofs come in.
    number: int
    #: Where it goes: ``http``, or ``chain:<id>``.
    lane: str
    access: Access
    state: ProofState = ProofState.OPEN
    #: Failed attempts.
    attempts: int = 0
    #: Unix time before which nothing is tried.
    due_at: float = 0.0
    #: The newest last; all have one nonce.
    sent: tuple[Sent, ...] = field(default=())
    #: What went wrong last, in words without secrets.
    note: str = ""
    #: For compare-and-swap writes.
    version: int = 1


def provider_data(did: str, service_id: str, file_index: int) -> str:
    """Give what the provider signs about an access, in the very form of Ocean Provider.

    ``downloadedBytes`` is 0 there, and here: the proof is written down before the first byte goes out.
    """
    facts = {"documentId": did, "serviceId": service_id, "fileIndex": file_index, "downloadedBytes": 0}
    return json.dumps(facts, separators=(",", ":"))


def proof_key(lane: str, access: Access) -> str:
    """Name a proof so that the same access is proven once in each place, however often a file is fetched.

    A consumer can ask for a file as often as they like under one order; each proof on a chain costs the provider gas.
    """
    parts = (lane, str(access.chain_id), access.order_tx, access.datatoken, access.consumer, access.provider_data)
    return "|".join(parts).lower()


def postponed(proof: Proof, now: float, note: str) -> Proof:
    """Give a proof after an attempt that failed: it waits longer each time, and is given up at last."""
    attempts = proof.attempts + 1
    if attempts >= MAX_ATTEMPTS:
        return replace(proof, state=ProofState.FAILED, attempts=attempts, note=note)
    return replace(proof, attempts=attempts, due_at=now + pause_after(attempts), note=note)


def pause_after(attempts: int) -> float:
    """Give the seconds to wait after so many failed attempts."""
    return float(min(_FIRST_PAUSE * 2 ** min(attempts - 1, 20), _LONGEST_PAUSE))
