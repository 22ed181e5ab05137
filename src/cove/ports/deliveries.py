"""What keeps track of results that go further than to this host, and what takes them there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from cove.core.delivery import Delivery, DeliveryKind
from cove.core.files import S3File
from cove.core.job import Job, JobId
from cove.core.output import UrlPlace
from cove.ports.common import Finding


@dataclass(frozen=True, slots=True)
class DeliveryCount:
    """How many deliveries of a kind were given up, and why the last one."""

    kind: DeliveryKind
    count: int
    #: The job that it is of.
    job_id: JobId
    note: str


class DeliveryStore(Protocol):
    """Keeps deliveries. They come in with the very write that ends a job, so that none is lost or made up."""

    async def open(self, kind: DeliveryKind, limit: int) -> Sequence[Delivery]:
        """Give the open deliveries of a kind that are due first, due or not, at most ``limit``."""
        ...

    async def of(self, job_id: JobId) -> Sequence[Delivery]:
        """Give all deliveries of a job, the newest attempt first."""
        ...

    async def failed(self, since: float) -> Sequence[DeliveryCount]:
        """Count the deliveries that were given up, of jobs that ended after a Unix time, by kind.

        Those of an attempt of a job that was started again since are not counted.
        """
        ...

    async def retry(self) -> int:
        """Open every delivery that was given up, as if it was new and due now; give how many there were.

        Those of an attempt of a job that was started again since stay as they are.
        """
        ...

    async def save(self, delivery: Delivery) -> Delivery:
        """Write a delivery if nobody else did since it was read.

        Raises:
            StaleWrite: Somebody else did, or its job is deleted.
        """
        ...


Keep = Callable[[str], Awaitable[None]]
"""Writes down how far a delivery is (``Delivery.progress``); what was done before is then not done again."""


class Carrier(Protocol):
    """Takes the results of finished jobs further, in one respect."""

    async def carry(self, delivery: Delivery, job: Job, keep: Keep) -> None:
        """Do what is left to do. It may be cut off at any point, and begun again.

        Raises:
            Refused: It can never be done; the hint says why, in words without secrets.
            Unavailable: It cannot be done now.
        """
        ...

    async def examine(self) -> Sequence[Finding]:
        """Look at what it works with, for ``cove doctor``."""
        ...


class Content(Protocol):
    """Bytes that can be read more than once. Blocking."""

    #: How many.
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Give them from the beginning."""
        ...


OpenResult = Callable[[str], BinaryIO]
"""Opens a stored result by its key, to be read without a buffer; the caller closes it. Blocking.

It raises NotFound for an unknown key, Unavailable where the disk does not answer.
"""

EncryptTo = Callable[[str, Content], Content]
"""Gives a content as it is encrypted to a public key (hex); its size is known at once. Blocking.

It raises ValueError where this is no public key, or the content is too large.
"""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One file on its way to a consumer's storage."""

    place: UrlPlace | S3File
    #: Relative path below the place; empty: the place is the file's own.
    name: str
    content: Content


class Sender(Protocol):
    """Brings files to places that consumers named. No text of an error quotes a URL, or what was answered."""

    def send(self, parcel: Parcel) -> None:
        """Put a file to its place, over one that is there. Blocking.

        Raises:
            Refused: It can never be done.
            Unavailable: The storage does not answer, or did not take it.
        """
        ...
