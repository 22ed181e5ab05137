"""Sends released results to the storage that a job's consumer named, one file after the other."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cove.core.delivery import Delivery
from cove.core.errors import NotFound, Refused, Unavailable
from cove.core.job import Job, JobId, Package
from cove.core.output import STORAGE_FIELD, Storage
from cove.core.sending import chosen, name_of
from cove.jobs import tarball
from cove.jobs.tarball import Segment
from cove.ports import Finding
from cove.ports.deliveries import Content, EncryptTo, Keep, OpenResult, Parcel, Sender

_CHUNK: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class SendingParts:
    """What results are sent with."""

    #: Whether the owner allows it, now.
    allowed: bool
    #: Bytes of one job's results, encrypted as they are sent.
    max_bytes: int
    sender: Sender
    open_result: OpenResult
    encrypt_to: EncryptTo
    #: Gives what a job's consumer asked for.
    package: Callable[[JobId], Awaitable[Package]]


class StorageCarrier:
    """A ``Carrier`` to consumers' own storage. Its progress is how many of the chosen results were sent.

    Args:
        parts: What it works with.
    """

    def __init__(self, parts: SendingParts) -> None:
        self.parts = parts

    async def carry(self, delivery: Delivery, job: Job, keep: Keep) -> None:
        """Send what was not sent yet. See ``cove.ports.deliveries``."""
        output = (await self.parts.package(job.id)).output
        if output is None or output.storage is None:
            return
        if not self.parts.allowed:
            raise _refused("not_allowed", "The provider's owner does not allow any more that results are sent.")
        storage, stop = output.storage, threading.Event()
        parcels = [self._parcel(job, storage, index, stop) for index in chosen(job.results, storage)]
        if sum(parcel.content.size for parcel in parcels) > self.parts.max_bytes:
            raise _refused("too_large", "The results are larger than what this provider sends: fetch them here.")
        for number in range(sent(delivery), len(parcels)):
            try:
                await _in_thread(lambda number=number: self._send(parcels[number]))  # type: ignore[misc]
            finally:
                stop.set()
            stop.clear()
            await keep(str(number + 1))

    async def examine(self) -> Sequence[Finding]:
        """Give nothing: the storages are others'."""
        return ()

    def _parcel(self, job: Job, storage: Storage, index: int, stop: threading.Event) -> Parcel:
        result = job.results[index]
        segments: Sequence[Segment] = (Segment(result.filesize, key=result.key),)
        if not result.key:
            segments = tarball.plan([one for one in job.results if one.key], job.created_at)
        content: Content = Stored(segments, self.parts.open_result, stop)
        if storage.public_key:
            try:
                content = self.parts.encrypt_to(storage.public_key, content)
            except ValueError:
                raise _refused("too_large", "A result is larger than what can be encrypted to a key.") from None
        name = f"{job.run_id}/{name_of(result)}" if storage.is_folder else ""
        return Parcel(storage.place, name, content)

    def _send(self, parcel: Parcel) -> None:
        try:
            self.parts.sender.send(parcel)
        except NotFound:
            raise _refused("gone", "A result is not there any more.") from None
        except OSError as problem:
            raise Unavailable("results", f"A result cannot be read: {problem.strerror}.") from None


def sent(delivery: Delivery) -> int:
    """Give how many results were sent."""
    return int(delivery.progress or "0")


class Stored:
    """A ``Content`` of stored results and what stands between them.

    Args:
        segments: In their order.
        open_result: Opens a stored result.
        stop: Once it is set, nothing more is given.
    """

    def __init__(self, segments: Sequence[Segment], open_result: OpenResult, stop: threading.Event) -> None:
        self.size = tarball.total(segments)
        self._segments = segments
        self._open = open_result
        self._stop = stop

    def chunks(self) -> Iterator[bytes]:
        """Give the bytes from the beginning.

        Raises:
            NotFound: A result is gone.
            Unavailable: It is not what it was, or nothing more is to be given.
        """
        for segment in self._segments:
            if not segment.key:
                yield segment.literal
                continue
            left = segment.size
            with self._open(segment.key) as file:
                while left:
                    if self._stop.is_set():
                        raise Unavailable("results", "The provider ended while a result was being sent.")
                    chunk = file.read(min(_CHUNK, left))
                    if not chunk:
                        raise Unavailable("results", "A stored result is shorter than it was.")
                    left -= len(chunk)
                    yield chunk


async def _in_thread(call: Callable[[], None]) -> None:
    """Call something that blocks for hours: in a thread of its own, which the end of the service does not wait for."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(problem: BaseException | None) -> None:
        if ended.done():
            return
        if problem is None:
            ended.set_result(None)
        else:
            ended.set_exception(problem)

    def run() -> None:
        problem: BaseException | None = None
        try:
            call()
        except BaseException as caught:  # noqa: BLE001 - whatever it is, it is raised where the call was made
            problem = caught
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(settle, problem)

    threading.Thread(target=run, name="sending", daemon=True).start()
    await ended


def _refused(reason: str, text: str) -> Refused:
    return Refused(STORAGE_FIELD, reason, hint=text)
