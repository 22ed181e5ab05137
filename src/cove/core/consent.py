"""What a site's own policy is asked before something is done for a caller."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Action(StrEnum):
    """What is about to be done."""

    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    #: A quote for an access service.
    INITIALIZE = "initialize"
    #: A quote for a job.
    INITIALIZE_COMPUTE = "initializeCompute"
    DOWNLOAD = "download"
    #: A job starts, or runs again.
    COMPUTE = "compute"


FREE_TO_ASK: Final = frozenset({Action.ENCRYPT, Action.DECRYPT, Action.INITIALIZE, Action.INITIALIZE_COMPUTE})
"""What needs no order, so that anybody can ask for it as often as they like."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service of a published asset that is to be used."""

    did: str
    service_id: str
    #: The DDO as JSON text.
    document: str
    #: Transaction of its order; None where there is none yet.
    order_tx: str | None = None
    #: Which of its files; None where all are meant.
    file_index: int | None = None


@dataclass(frozen=True, slots=True)
class DecryptSubject:
    """The published document that is to be decrypted."""

    chain_id: int
    nft: str
    #: None where the document itself was sent.
    transaction_id: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that a caller wants done. It holds no signature, no token and no parameter of a file."""

    action: Action
    #: Checksummed; empty where the caller did not say. Only for DECRYPT, DOWNLOAD and COMPUTE was it proven.
    account: str
    #: The main one first.
    datasets: tuple[Wanted, ...] = ()
    #: None for raw code, and where there is none.
    algorithm: Wanted | None = None
    #: Only for DECRYPT.
    decrypt: DecryptSubject | None = None
    #: What the caller says to the policy server, JSON text; empty where it says nothing.
    passed_on: str = ""
    #: Whether it is about a mock job, which reads synthetic samples and needs no order.
    mock: bool = False
