"""How often clients and accounts may ask, and how much of what costs outside calls may be under way.

A client is a network address (``core.forwarding.client_key``). An account counts once it has proven itself: otherwise
anybody could use another's budget up. Everything is kept in memory, within a bound, and forgotten with the process.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cove.core import rates
from cove.core.errors import RateLimited, TooMany
from cove.core.rates import Rate

MOST_KEPT: Final = 16_384
"""Callers of whom a table keeps more than it may have to: twice as many at the most."""

_SECOND: Final = 1_000_000_000
_SHARE: Final = 4
_STREAMING_ACCOUNTS: Final = 64


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """How often is too often. Each rate is per minute, and 0 turns it off."""

    #: Requests of one client.
    client: int
    #: Requests of one account that proved to be its own.
    address: int
    #: Requests of one client that cost outside calls and need no order.
    outside: int
    #: Proofs of one client that were wrong.
    failures: int
    #: Outside calls of one kind, of all clients together, at one time; a quarter of them of one client.
    outside_at_once: int
    #: Live logs of one account at one time.
    log_streams: int


class Budgets:
    """The budgets of many callers under one rate.

    Callers come into one table, which becomes the older one when it is full or when a budget's period has passed. So a
    caller who is forgotten was quiet for a period, and their budget is whole; only when more callers come than
    the table holds, some are forgiven what they used.

    Args:
        per_minute: How often each may ask; 0 for as often as they like.
        most: Callers in one table.
    """

    def __init__(self, per_minute: int, *, most: int = MOST_KEPT) -> None:
        self._rate = Rate.per_minute(per_minute) if per_minute else None
        self._period = self._rate.period if self._rate else 0
        self._most = most
        self._began = 0
        self._recent: dict[str, int] = {}
        self._older: dict[str, int] = {}

    def __len__(self) -> int:
        """Give the number of entries that are kept."""
        return len(self._recent) + len(self._older)

    def wait(self, caller: str, now: int) -> int:
        """Say for how many nanoseconds a caller must wait; 0: they may ask."""
        return rates.wait(self._rate, self._whole_at(caller), now) if self._rate else 0

    def charge(self, caller: str, now: int) -> None:
        """Count one request of a caller."""
        if self._rate is None:
            return
        whole_at = rates.charged(self._rate, self._whole_at(caller), now)
        if now - self._began >= self._period or (len(self._recent) >= self._most and caller not in self._recent):
            self._older, self._recent, self._began = self._recent, {}, now
        self._recent[caller] = whole_at

    def take(self, caller: str, now: int) -> int:
        """Count one request of a caller who may ask, and give 0; else how many nanoseconds they must wait."""
        waiting = self.wait(caller, now)
        if not waiting:
            self.charge(caller, now)
        return waiting

    def _whole_at(self, caller: str) -> int:
        found = self._recent.get(caller)
        return self._older.get(caller, 0) if found is None else found


class AtOnce:
    """How many of something may be under way.

    Args:
        most: In all.
        share: Of one client.
    """

    def __init__(self, most: int, share: int) -> None:
        self._most = most
        self._share = share
        self._open: Counter[str] = Counter()
        self._total = 0

    @contextlib.contextmanager
    def one(self, client: str) -> Iterator[None]:
        """Hold one place.

        Raises:
            TooMany: None is free.
        """
        if self._total >= self._most or self._open[client] >= self._share:
            raise TooMany(
                "Too many requests of this kind are under way.", hint="Wait for answers before you ask for more."
            )
        self._total += 1
        self._open[client] += 1
        try:
            yield
        finally:
            self._total -= 1
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]


class Limits:
    """The limits of one Cove.

    Args:
        options: How often is too often.
        monotonic: Nanoseconds, on a clock that never goes back.
    """

    def __init__(self, options: LimitOptions, monotonic: Callable[[], int] = time.monotonic_ns) -> None:
        self._now = monotonic
        self._clients = Budgets(options.client)
        self._accounts = Budgets(options.address)
        self._outside = Budgets(options.outside)
        self._failures = Budgets(options.failures)
        share = max(1, options.outside_at_once // _SHARE)
        self._looking = AtOnce(options.outside_at_once, share)
        self._asking = AtOnce(options.outside_at_once, share)
        #: Of live logs, by account.
        self.streams = AtOnce(options.log_streams * _STREAMING_ACCOUNTS, options.log_streams)

    def request(self, client: str) -> None:
        """Count a request.

        Raises:
            RateLimited: The client asks too often.
        """
        _refuse(self._clients.take(client, self._now()), "This client sends too many requests.")

    def may_prove(self, client: str) -> None:
        """See that a client may try to prove who they are.

        Raises:
            RateLimited: Too many proofs of theirs were wrong.
        """
        waiting = self._failures.wait(client, self._now())
        _refuse(waiting, "Too many signatures or tokens of this client were wrong.")

    def failed(self, client: str) -> None:
        """Count a wrong proof of a client's."""
        self._failures.charge(client, self._now())

    def may_ask(self, account: str) -> None:
        """See that an account, which signed this request, may ask; it is counted by :meth:`asked`.

        Raises:
            RateLimited: It asks too often. Its nonce is not taken, so the same request is good later.
        """
        waiting = self._accounts.wait(account.lower(), self._now())
        _refuse(waiting, "This account sends too many requests.")

    def asked(self, account: str) -> None:
        """Count a request of an account whose nonce was good, so that nobody uses its budget up by replays."""
        self._accounts.charge(account.lower(), self._now())

    def outside(self, client: str) -> None:
        """Count a request that costs outside calls, or as much, and needs no order.

        Raises:
            RateLimited: The client makes too many of these.
        """
        waiting = self._outside.take(client, self._now())
        _refuse(waiting, "This client sends too many requests that cost this provider more than an answer.")

    @contextlib.contextmanager
    def asking(self, client: str) -> Iterator[None]:
        """Count such a request whose calls go to chains and caches, and hold a place for it.

        Raises:
            RateLimited: The client makes too many.
            TooMany: Too many are under way.
        """
        with self._asking.one(client):
            self.outside(client)
            yield

    @contextlib.contextmanager
    def looking(self, client: str) -> Iterator[None]:
        """Count such a request whose calls go to wherever files are, and hold a place for it.

        Raises:
            RateLimited: The client makes too many.
            TooMany: Too many are under way.
        """
        with self._looking.one(client):
            self.outside(client)
            yield


def _refuse(waiting: int, message: str) -> None:
    if waiting:
        seconds = -(-waiting // _SECOND)
        raise RateLimited(message, retry_after=seconds, hint=f"Try again in {seconds} s, and less often.")
