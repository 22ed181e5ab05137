"""Who asks, before anything else is read: proxies are believed where the owner named them, and everybody is counted."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from cove.access.limits import Limits
from cove.core.errors import RateLimited
from cove.core.forwarding import Network, address_of, client_address, client_key, is_trusted, last_host, last_scheme
from cove.web.errors import error_answer

log = logging.getLogger("cove.web")

_CLIENT: Final = "cove.client"
_UNCOUNTED: Final = frozenset({"/health"})
_FOR: Final = b"x-forwarded-for"
_PROTO: Final = b"x-forwarded-proto"
_HOST: Final = b"x-forwarded-host"


def client_of(request: Request) -> str:
    """Give the network that a request comes from, as it is counted; empty where it has none."""
    found: str = request.scope.get(_CLIENT, "")
    return found


class Proxied:
    """Takes the client's address, scheme and host from what the configured proxies say of them.

    Args:
        app: Is told them as if there were no proxy.
        trusted: The configured proxies; empty believes nobody.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted
        self._is_proxy = functools.lru_cache(maxsize=256)(self._known)
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            said = {name: value for name, value in scope["headers"] if name.startswith(b"x-forwarded-")}
            if said:
                self._heard(scope, said)
        await self._app(scope, receive, send)

    def _heard(self, scope: Scope, said: dict[bytes, bytes]) -> None:
        peer = scope["client"][0] if scope.get("client") else ""
        if not self._is_proxy(peer):
            self._warn(peer)
            return
        chain = b",".join(value for name, value in scope["headers"] if name == _FOR).decode("latin-1")
        scope["client"] = (client_address(peer, chain, self._trusted), 0)
        scope["scheme"] = last_scheme(said.get(_PROTO, b"").decode("latin-1")) or scope["scheme"]
        host = last_host(said.get(_HOST, b"").decode("latin-1"))
        if host is not None:
            kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [*kept, (b"host", host.encode("ascii"))]

    def _known(self, peer: str) -> bool:
        return is_trusted(address_of(peer), self._trusted)

    def _warn(self, peer: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "%s sends X-Forwarded headers, which are ignored. If it is your proxy, name it in "
                "listen.trusted_proxies: until then all who come through it count as one client.",
                peer or "somebody",
            )


class Counted:
    """Refuses clients that ask too often, before anything else is done for them."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            peer = scope.get("client")
            scope[_CLIENT] = client = client_key(peer[0]) if peer else ""
            if scope["path"] not in _UNCOUNTED:
                try:
                    self._limits.request(client)
                except RateLimited as problem:
                    await error_answer(problem)(scope, receive, send)
                    return
        await self._app(scope, receive, send)
