"""Asks other providers for what stands in JSON: the last nonce of our account, facts of files, fees of orders."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore
from typing import Final, TypeVar

from cove.core import json_form
from cove.core.errors import DataMissing, Invalid, TooMany
from cove.core.fees import SignedFee
from cove.core.files import FileFacts
from cove.core.peers import fileinfo_url, initialize_url, nonce_url, read_fee, read_files, read_nonce
from cove.sources.http_exchange import Request
from cove.sources.url import SourceRefusal, UrlSource

MAX_ANSWER_BYTES: Final = 1 << 20

T = TypeVar("T")

_QUESTIONS_AT_ONCE: Final = 2
"""Questions that anybody may have us ask; each holds a thread until the other provider answers, or its time is up."""


class OtherProviders:
    """Asks, as ``cove.ports.Peers`` describes it.

    Args:
        web: Asks behind the address guard; its limits of time and size are those of a short answer.
        account: This provider's own account.
    """

    def __init__(self, web: UrlSource, account: str) -> None:
        self._web = web
        self._account = account
        self._free = BoundedSemaphore(_QUESTIONS_AT_ONCE)

    def files(self, provider: str, did: str, service_id: str) -> tuple[FileFacts, ...]:
        """Give the facts of a service's files. See ``cove.ports``."""
        return self._files(provider, did, service_id, checksum=False)

    def digests(self, provider: str, did: str, service_id: str) -> tuple[str, ...]:
        """Give the sha256 of each file of a service. See ``cove.ports``."""
        with self._question():
            facts = self._files(provider, did, service_id, checksum=True)
        found = tuple(entry.checksum for entry in facts if entry.checksum is not None)
        if len(found) != len(facts):
            raise DataMissing("The other provider gives no checksum of the files.")
        return found

    def fee(self, provider: str, did: str, service_id: str, *, until: int, userdata: str) -> SignedFee:
        """Give what an order must pay. See ``cove.ports``."""
        url = initialize_url(provider, did, service_id, account=self._account, until=until, userdata=userdata)
        with self._question():
            return self._read(Request(url, "GET"), read_fee)

    def last_nonce(self, provider: str) -> int:
        """Give the greatest nonce of our account that a provider says it has seen; 0 for none.

        Raises:
            DataMissing: It does not answer, refuses, or answers something else.
        """
        return self._read(Request(nonce_url(provider, self._account), "GET"), read_nonce)

    def _files(self, provider: str, did: str, service_id: str, *, checksum: bool) -> tuple[FileFacts, ...]:
        body = json.dumps({"did": did, "serviceId": service_id, "checksum": checksum}).encode()
        headers = (("Content-Type", "application/json"),)
        return self._read(Request(fileinfo_url(provider), "POST", headers, body), read_files)

    def _read(self, request: Request, read: Callable[[object], T]) -> T:
        try:
            return read(json_form.load(self._fetch(request), "answer", limit=MAX_ANSWER_BYTES))
        except SourceRefusal as problem:
            raise DataMissing(f"The other provider refuses what it is asked (status {problem.status}).") from None
        except Invalid:
            raise DataMissing("The other provider answers in a form that is not the Provider API's.") from None

    def _fetch(self, request: Request) -> bytes:
        reader = self._web.fetch(request)
        parts: list[bytes] = []
        buffer = memoryview(bytearray(1 << 16))
        with contextlib.closing(reader):
            while count := reader.readinto(buffer):
                parts.append(bytes(buffer[:count]))
        return b"".join(parts)

    @contextlib.contextmanager
    def _question(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise TooMany("Other providers are being asked already.", retry_after=2)
        try:
            yield
        finally:
            self._free.release()
