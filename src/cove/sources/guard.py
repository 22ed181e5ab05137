"""Keeps outgoing requests away from this host and its network (sections 4 and 6.3 of the API).

A name is resolved once, every address that it has is checked, and the connection goes to one of these very addresses:
a name that changes between check and use changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import Any, Final

from cove.core.addresses import Address, is_public, unmapped
from cove.core.errors import DataMissing, SettingsWrong

_PENDING: Final = BoundedSemaphore(32)
"""Look-ups that may hang at one time in this process; each holds a thread until the system gives up."""

_HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that was checked, to be connected to as it is."""

    family: socket.AddressFamily
    address: Address = field(repr=False)
    port: int = field(repr=False)

    def connect(self, timeout_seconds: float) -> socket.socket:
        """Open a TCP connection to it.

        Raises:
            OSError: It does not answer.
        """
        plain = socket.socket(self.family, socket.SOCK_STREAM)
        try:
            plain.settimeout(timeout_seconds)
            plain.connect((str(self.address), self.port))
        except OSError:
            plain.close()
            raise
        return plain


@dataclass(frozen=True, slots=True)
class _Allowed:
    networks: tuple[IPv4Network | IPv6Network, ...]
    #: Host (name, or address in its normal form) and port.
    hosts: frozenset[tuple[str, int]]


class AddressGuard:
    """Says which addresses a request may go to.

    Args:
        allowed: What the owner lets through although it is not public: networks (``10.1.0.0/16``, ``10.1.2.3``), for
            any port, or ``host:port``. A name that is listed with its port may resolve to any address.
        resolve_seconds: Seconds to wait for a name.
        resolver: As ``socket.getaddrinfo``.

    Raises:
        SettingsWrong: An entry of ``allowed`` is neither.
    """

    def __init__(
        self,
        allowed: Sequence[str] = (),
        *,
        resolve_seconds: float = 5.0,
        resolver: Callable[..., list[Any]] = socket.getaddrinfo,
    ) -> None:
        self._allowed = _parse_allowed(allowed)
        self._resolve_seconds = resolve_seconds
        self._resolver = resolver

    def endpoints(self, host: str, port: int) -> tuple[Endpoint, ...]:
        """Give the addresses of a host, all checked; never empty.

        Raises:
            DataMissing: The name has no address, none in time, or one that may not be reached.
        """
        found = self._resolve(host, port)
        if not found:
            raise DataMissing("The source's host name has no address.")
        if (host.lower(), port) not in self._allowed.hosts:
            for endpoint in found:
                if not self._may_reach(endpoint):
                    raise DataMissing(
                        "The source's address is not allowed: it belongs to this host or a private network.",
                        hint="The provider's owner can list it under url.allowed in the settings.",
                    )
        return found

    def _may_reach(self, endpoint: Endpoint) -> bool:
        address = unmapped(endpoint.address)
        if is_public(endpoint.address) or (str(address), endpoint.port) in self._allowed.hosts:
            return True
        return any(address in network for network in self._allowed.networks)

    def _resolve(self, host: str, port: int) -> tuple[Endpoint, ...]:
        try:
            return _distinct(self._resolver(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST), port)
        except (OSError, ValueError):
            pass
        if not _PENDING.acquire(timeout=self._resolve_seconds):
            raise DataMissing("The source's host name could not be resolved in time.")
        answers: SimpleQueue[tuple[Endpoint, ...] | None] = SimpleQueue()
        Thread(target=self._look_up, args=(host, port, answers), name="cove-resolve", daemon=True).start()
        try:
            found = answers.get(timeout=self._resolve_seconds)
        except Empty:
            raise DataMissing("The source's host name could not be resolved in time.") from None
        if found is None:
            raise DataMissing("The source's host name cannot be resolved.")
        return found

    def _look_up(self, host: str, port: int, answers: SimpleQueue[tuple[Endpoint, ...] | None]) -> None:
        try:
            answers.put(_distinct(self._resolver(host, port, type=socket.SOCK_STREAM), port))
        except (OSError, ValueError):
            answers.put(None)
        finally:
            _PENDING.release()


def _distinct(found: list[Any], port: int) -> tuple[Endpoint, ...]:
    endpoints = [
        Endpoint(family, ip_address(place[0]), port)
        for family, _, _, _, place in found
        if family in {socket.AF_INET, socket.AF_INET6}
    ]
    return tuple(dict.fromkeys(endpoints))


def _parse_allowed(allowed: Sequence[str]) -> _Allowed:
    networks: list[IPv4Network | IPv6Network] = []
    hosts: set[tuple[str, int]] = set()
    for entry in allowed:
        try:
            networks.append(ip_network(entry.strip()))
        except ValueError:
            hosts.add(_parse_host(entry.strip()))
    return _Allowed(tuple(networks), frozenset(hosts))


def _parse_host(entry: str) -> tuple[str, int]:
    host, _, port = entry.rpartition(":")
    name = host.removeprefix("[").removesuffix("]").lower()
    if not name or "/" in name or not (port.isascii() and port.isdigit()) or not 0 < int(port) <= _HIGHEST_PORT:
        raise SettingsWrong(
            f"Setting url.allowed: {entry} is neither a network nor host:port.",
            hint="Write 10.1.0.0/16, 10.1.2.3, minio.local:9000 or [fd00::1]:9000.",
        )
    try:
        return str(unmapped(ip_address(name))), int(port)
    except ValueError:
        return name, int(port)
