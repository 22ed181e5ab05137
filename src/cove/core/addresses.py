"""Which addresses belong to the public internet, and which lead into this host or its network (section 6.3 of the API).

The ranges are written out, instead of asking ``ipaddress`` for ``is_global``: its answer changed between versions of
Python, and it calls some addresses global that lead back inside (IPv6 forms that embed an IPv4 address, multicast).
Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and its updates).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address

_CLOSED_4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; the metadata service of one cloud is there
        "127.0.0.0/8",
        "168.63.129.16/32",  # the host of virtual machines at one cloud
        "169.254.0.0/16",  # link-local; the metadata service of most clouds is there
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_OPEN_6: Final = IPv6Network("2000::/3")
_CLOSED_6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = 0x5EFE
_LOW_32: Final = 0xFFFFFFFF


def unmapped(address: Address) -> Address:
    """Give the IPv4 address that an IPv4-mapped IPv6 address means; any other address as it is."""
    if isinstance(address, IPv6Address) and address in _MAPPED:
        return IPv4Address(int(address) & _LOW_32)
    return address


def is_public(address: Address) -> bool:
    """Say whether an address leads to the public internet, in whatever form it is written.

    IPv4-compatible, 6to4, Teredo and ISATAP addresses never do. NAT64 addresses do where the IPv4 address inside does,
    since networks without IPv4 reach every IPv4 server that way.
    """
    plain = unmapped(address)
    if isinstance(plain, IPv6Address) and plain in _NAT64:
        plain = IPv4Address(int(plain) & _LOW_32)
    if isinstance(plain, IPv4Address):
        return not any(plain in network for network in _CLOSED_4)
    if plain.scope_id is not None or plain not in _OPEN_6:
        return False
    isatap = (int(plain) >> 32) & 0xFFFF == _ISATAP
    return not isatap and not any(plain in network for network in _CLOSED_6)
