from __future__ import annotations

import socket
import threading
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.addresses import is_public
from cove.core.errors import DataMissing, SettingsWrong
from cove.sources.guard import AddressGuard

CLOSED_NETWORKS = [(10 << 24, 24), (127 << 24, 24), ((169 << 24) + (254 << 16), 16), ((192 << 24) + (168 << 16), 16)]
CLOSED = st.sampled_from(CLOSED_NETWORKS).flatmap(
    lambda network: st.integers(0, (1 << network[1]) - 1).map(lambda low: IPv4Address(network[0] + low))
)


def resolving(*addresses: str) -> Any:
    """Give a resolver that knows one name, and literals as the system knows them."""

    def resolver(host: str, port: int, **options: Any) -> list[Any]:
        if options.get("flags") == socket.AI_NUMERICHOST:
            return socket.getaddrinfo(host, port, **options)
        return [entry for address in addresses for entry in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)]

    return resolver


def refused(host: str, *allowed: str, port: int = 80, resolver: Any = None) -> bool:
    guard = AddressGuard(allowed, resolver=resolver or resolving())
    try:
        endpoints = guard.endpoints(host, port)
    except DataMissing as problem:
        assert host not in f"{problem} {problem.hint}"
        return True
    assert endpoints
    return False


def number(value: int, base: str) -> str:
    return {"d": str(value), "x": hex(value), "X": hex(value).upper().replace("X", "x"), "o": f"0{value:o}"}[base]


@given(CLOSED, st.integers(1, 4), st.lists(st.sampled_from("dxXo"), min_size=4, max_size=4))
def test_no_spelling_of_a_closed_ipv4_address_passes(address: IPv4Address, parts: int, bases: list[str]) -> None:
    """Spells it as inet_aton reads it: one to four parts, the last holding the rest, each decimal, hex or octal."""
    value = int(address)
    first = [(value >> (24 - 8 * position)) & 0xFF for position in range(parts - 1)]
    rest = value & ((1 << (32 - 8 * (parts - 1))) - 1)
    text = ".".join(number(part, base) for part, base in zip([*first, rest], bases, strict=False))
    assert socket.inet_aton(text) == address.packed
    assert refused(text)


@given(CLOSED, st.sampled_from(["::", "::ffff:0:0", "64:ff9b::", "2002::", "::ffff:0:0:0"]), st.booleans())
def test_no_ipv6_form_of_a_closed_ipv4_address_passes(address: IPv4Address, prefix: str, exploded: bool) -> None:  # noqa: FBT001
    shift = 80 if prefix == "2002::" else 0
    whole = IPv6Address(int(IPv6Address(prefix)) + (int(address) << shift))
    assert refused(whole.exploded if exploded else str(whole))


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_a_name_passes_when_its_address_is_public(address: IPv4Address | IPv6Address) -> None:
    assert refused("name.example", resolver=resolving(str(address))) == (not is_public(address))


def test_one_closed_address_among_public_ones_is_enough() -> None:
    assert refused("name.example", resolver=resolving("8.8.8.8", "127.0.0.1"))
    assert not refused("name.example", resolver=resolving("8.8.8.8", "8.8.4.4"))


def test_a_name_is_resolved_once_and_the_address_kept() -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]

    def changing(host: str, port: int, **options: Any) -> list[Any]:
        if options.get("flags") == socket.AI_NUMERICHOST:
            raise socket.gaierror
        return resolving(*answers.pop(0))(host, port)  # type: ignore[no-any-return]

    endpoints = AddressGuard(resolver=changing).endpoints("name.example", 443)
    assert [(str(endpoint.address), endpoint.port) for endpoint in endpoints] == [("8.8.8.8", 443)]
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("allowed", "host", "port", "passes"),
    [
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.0.0.1", 80, True),
        ("10.0.0.0/8", "192.168.0.1", 80, False),
        ("10.1.2.3", "10.1.2.3", 1, True),
        ("10.1.2.3", "10.1.2.4", 1, False),
        ("10.1.2.3:9000", "10.1.2.3", 9000, True),
        ("10.1.2.3:9000", "0xa.1.2.3", 9000, True),
        ("10.1.2.3:9000", "10.1.2.3", 9001, False),
        ("[fd00::1]:9000", "fd00::1", 9000, True),
        ("fd00::/8", "fd00::1", 1, True),
        ("minio.local:9000", "MINIO.local", 9000, True),
        ("minio.local:9000", "minio.local", 80, False),
        ("minio.local:9000", "127.0.0.1", 9000, False),
    ],
)
def test_what_the_owner_lists_passes(allowed: str, host: str, port: int, passes: bool) -> None:  # noqa: FBT001
    assert refused(host, allowed, port=port, resolver=resolving("127.0.0.1")) != passes


@pytest.mark.parametrize(
    "entry", ["", "minio.local", "host:0", "host:65536", "host:x", "10.0.0.1/8", ":80", "http://h:80"]
)
def test_a_setting_that_makes_no_sense_is_named(entry: str) -> None:
    with pytest.raises(SettingsWrong, match="url.allowed"):
        AddressGuard([entry])


def test_a_name_that_hangs_is_given_up() -> None:
    free = threading.Event()

    def hanging(host: str, port: int, **options: Any) -> list[Any]:
        if options.get("flags") == socket.AI_NUMERICHOST:
            raise socket.gaierror
        free.wait(120)
        return []

    try:
        with pytest.raises(DataMissing, match="in time"):
            AddressGuard(resolver=hanging, resolve_seconds=0.01).endpoints("name.example", 80)
    finally:
        free.set()


def test_a_name_without_address() -> None:
    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror

    with pytest.raises(DataMissing, match="cannot be resolved"):
        AddressGuard(resolver=unknown).endpoints("name.example", 80)
    with pytest.raises(DataMissing, match="no address"):
        AddressGuard(resolver=lambda *_, **__: []).endpoints("name.example", 80)
