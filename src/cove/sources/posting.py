"""Posts small messages to URLs that others named, never to an address that they may not reach."""

from __future__ import annotations

import ssl
from typing import Final

from cove.core.errors import DataMissing, Refused, Unavailable
from cove.core.webhook import Signed
from cove.core.weburl import parse_url
from cove.sources.guard import AddressGuard
from cove.sources.http_exchange import Limits, Request, exchange

PART: Final = "webhook"


class GuardedPoster:
    """A ``Poster`` over connections of its own, each to an address that was checked.

    Args:
        guard: Says which addresses may be reached.
        seconds: For a whole exchange.
        tls: Which certificates are believed; None: those that the system believes.
        mark: Value of the header ``Via``; empty sends none.
    """

    def __init__(
        self, guard: AddressGuard, *, seconds: float, tls: ssl.SSLContext | None = None, mark: str = ""
    ) -> None:
        self._guard = guard
        self._limits = Limits(seconds, seconds)
        self._tls = tls or ssl.create_default_context()
        self._mark = (("Via", mark),) if mark else ()

    def post(self, url: str, message: Signed) -> int:
        """Post a message, follow no redirect, and give the status of the answer."""
        try:
            target = parse_url(url)
        except ValueError:
            raise Refused("webhook", "url_invalid") from None
        try:
            endpoints = self._guard.endpoints(target.host, target.port)
            request = Request(target, "POST", (*message.headers, *self._mark), message.body)
            answer = exchange(request, endpoints, self._limits, self._tls)
        except DataMissing as problem:
            # An address that is not allowed now may be another one tomorrow: it is tried again like one that is down.
            raise Unavailable(PART, problem.message.replace("source", "receiver")) from None
        answer.close()
        return answer.status
