"""What keeps proofs of access, and what brings them to where they belong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cove.core.proof import Access, Proof, ProofState

SaveProof = Callable[[Proof], Awaitable[Proof]]
"""Writes a proof down, and gives it with its new version."""


@dataclass(frozen=True, slots=True)
class ProofCount:
    """How many proofs of a lane are in a state."""

    lane: str
    state: ProofState
    count: int
    #: What was noted at the last of them.
    note: str


class ProofStore(Protocol):
    """Keeps proofs until they are delivered, and remembers for ever which were. Every write is one transaction."""

    async def add(self, access: Access, lanes: Sequence[str]) -> None:
        """Write an access down for each lane, unless it was written there before (``core.proof.proof_key``)."""
        ...

    async def next(self, lane: str, *, in_order: bool) -> Proof | None:
        """Give the open proof that is to be looked at next; None when there is none.

        Args:
            lane: Of which lane.
            in_order: True for the one that came first, whenever it is due; False for the one that is due first.
        """
        ...

    async def save(self, proof: Proof) -> Proof:
        """Write a proof if nobody else did since it was read; once it is delivered only its key is kept.

        Raises:
            StaleWrite: Somebody else did.
        """
        ...

    async def retry(self) -> int:
        """Open every proof that was given up, as if it was new and due now; give how many there were."""
        ...

    async def counts(self) -> Sequence[ProofCount]:
        """Count the proofs that are not delivered."""
        ...


class ProofSink(Protocol):
    """A place that proofs go to."""

    #: ``http``, or ``chain:<id>``.
    lane: str
    #: True where one proof must be done before the next is begun.
    in_order: bool

    def takes(self, access: Access) -> bool:
        """Say whether this place can take the proof of such an access at all."""
        ...

    async def deliver(self, proof: Proof, save: SaveProof) -> float | None:
        """Bring a proof as far as it can go now; None once it is there, else the seconds until it is looked at again.

        What must not be done twice is written down with ``save`` before it is done; a proof that was interrupted at any
        point is taken up by calling this again.

        Raises:
            Refused: It will never be taken; the reason says why.
            Unavailable: The place does not answer; to be tried again.
            StaleWrite: Somebody else works on it.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
