"""Whose request it is, where proxies stand in front: each adds who it heard from on the right of ``X-Forwarded-For``.

What stands further left than the last address that a configured proxy vouches for was sent by the client, and may be
made up. It is never looked at.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from cove.core.addresses import Address, unmapped

Network = IPv4Network | IPv6Network

_MOST_HOPS: Final = 16
_SITE_BITS: Final = 64
_LONGEST: Final = 64
_WITH_PORT: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?", re.ASCII)
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)


@functools.lru_cache(maxsize=4096)
def client_key(peer: str) -> str:
    """Name the network that counts as one client: an IPv4 address, or the 64 bits of an IPv6 site.

    Args:
        peer: An address; what is none (the name of a socket) is a client of its own.
    """
    address = address_of(peer)
    if address is None:
        return peer[:_LONGEST]
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address) >> _SITE_BITS << _SITE_BITS, _SITE_BITS)))
    return str(address)


def address_of(text: str) -> Address | None:
    """Read an address, as proxies write it: also with a port, IPv6 then in brackets; None for anything else."""
    text = text.strip()
    return _address(text) if len(text) <= _LONGEST else None  # before anything is remembered of it


@functools.lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    match = _WITH_PORT.fullmatch(text)
    try:
        address = unmapped(ip_address((match["six"] or match["four"]) if match else text))
    except ValueError:
        return None
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address  # without its zone


def is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    """Say whether an address is one of the configured proxies."""
    return address is not None and any(address in network for network in trusted)


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Give the address that a request comes from.

    Args:
        peer: Who is connected to us.
        forwarded_for: ``X-Forwarded-For``, several headers joined by commas; empty for none.
        trusted: The configured proxies.

    Returns:
        The right-most address that is no configured proxy; where all are, or where what stands next is no address, the
        last one that a proxy vouched for.
    """
    client = peer
    hops = forwarded_for.rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]
    while hops and is_trusted(address_of(client), trusted):
        found = address_of(hops.pop())
        if found is None:
            break
        client = str(found)
    return client


def last_scheme(header: str) -> str | None:
    """Give the scheme that the nearest proxy was asked by (``X-Forwarded-Proto``); None where it says none."""
    scheme = header.rpartition(",")[2].strip().lower()
    return scheme if scheme in {"http", "https"} else None


def last_host(header: str) -> str | None:
    """Give the host, with a port or without, that the nearest proxy was asked for (``X-Forwarded-Host``)."""
    host = header.rpartition(",")[2].strip()
    return host if _HOST.fullmatch(host) else None


def parse_network(text: str) -> Network:
    """Read an address or a network (``10.0.0.0/8``).

    Raises:
        ValueError: It is neither.
    """
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise ValueError("should be addresses or networks, as 10.0.0.7 or 10.0.0.0/8") from None
    return network
