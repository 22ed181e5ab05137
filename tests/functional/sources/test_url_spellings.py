"""Every spelling of an address that is not public is refused, with the system's own resolver and real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.http_server import Server, serving

from cove.core.errors import DataMissing
from cove.core.files import UrlFile
from cove.sources.guard import AddressGuard
from cove.sources.url import UrlSource

PRIVATE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
PUBLIC = ("8.0.0.0/8", "11.0.0.0/8", "93.184.0.0/16", "126.0.0.0/8", "128.0.0.0/8", "172.32.0.0/16", "193.0.0.0/16")
#: How an IPv4 address is put into an IPv6 address: prefix, and bits that it is shifted to the left.
EMBEDDED = {
    "::": 0,  # compatible
    "::ffff:0:0": 0,  # mapped
    "::ffff:0:0:0": 0,  # translated (SIIT)
    "64:ff9b::": 0,  # NAT64
    "64:ff9b:1::": 0,  # NAT64 of a network of one's own
    "2002::": 80,  # 6to4
    "fe80::5efe:0:0": 0,  # ISATAP, link-local
    "2600::200:5efe:0:0": 0,  # ISATAP, global
}


def within(networks: tuple[str, ...]) -> st.SearchStrategy[IPv4Address]:
    return st.sampled_from(networks).flatmap(lambda network: st.ip_addresses(v=4, network=network))


def number(value: int, base: str, zeros: int) -> str:
    match base:
        case "x":
            return f"0x{'0' * zeros}{value:x}"
        case "X":
            return f"0X{'0' * zeros}{value:X}"
        case "o":
            return f"0{'0' * zeros}{value:o}"
        case _:
            return str(value)


@st.composite
def spelled_as_v4(draw: st.DrawFn, addresses: st.SearchStrategy[IPv4Address]) -> str:
    """Write an address as ``inet_aton`` reads it: one to four numbers, each in any base, the last holding the rest."""
    value, parts = int(draw(addresses)), draw(st.integers(1, 4))
    numbers = [(value >> (24 - 8 * position)) & 0xFF for position in range(parts - 1)]
    numbers.append(value & ((1 << (32 - 8 * (parts - 1))) - 1))
    return ".".join(number(part, draw(st.sampled_from("dxXo")), draw(st.integers(0, 3))) for part in numbers)


@st.composite
def spelled_as_v6(draw: st.DrawFn, addresses: st.SearchStrategy[IPv4Address], prefixes: list[str]) -> str:
    """Put an address into an IPv6 address, and write that in one of its forms."""
    address, prefix = draw(addresses), draw(st.sampled_from(prefixes))
    whole = IPv6Address(int(IPv6Address(prefix)) | int(address) << EMBEDDED[prefix])
    forms = [str(whole), whole.exploded, str(whole).upper()]
    if EMBEDDED[prefix] == 0:
        head = IPv6Address(int(whole) & ~0xFFFFFFFF)
        forms.append(f"{':'.join(head.exploded.split(':')[:6])}:{address}")
    return f"[{draw(st.sampled_from(forms))}]"


@st.composite
def teredo(draw: st.DrawFn) -> str:
    """Give a Teredo address: the client's IPv4 address stands in it with every bit turned."""
    server, client = draw(within(PUBLIC)), draw(within(PRIVATE + PUBLIC))
    return f"[{IPv6Address((0x20010000 << 96) | int(server) << 64 | (int(client) ^ 0xFFFFFFFF))}]"


SOURCE = UrlSource(AddressGuard(), max_bytes=1 << 20, stall_seconds=5.0)
"""One for all examples: the certificates that it reads take longer than they do."""


@contextlib.contextmanager
def no_connection() -> Iterator[list[Any]]:
    """See every attempt to connect, and let none succeed: what is public must not be bothered by a test."""
    tried: list[Any] = []
    plain = socket.socket.connect

    def refuse(_: socket.socket, place: Any) -> None:
        tried.append(place)
        raise ConnectionRefusedError

    socket.socket.connect = refuse  # type: ignore[method-assign]
    try:
        yield tried
    finally:
        socket.socket.connect = plain  # type: ignore[method-assign]


def tried(host: str) -> list[Any]:
    """Give the places that a fetch from a host tries to connect to."""
    with no_connection() as places:
        for path in ("/", "/%2e%2e/?url=http://8.8.8.8/", "/#@8.8.8.8"):
            with pytest.raises(DataMissing):
                SOURCE.open(UrlFile(f"http://{host}{path}"))
            assert not SOURCE.info(UrlFile(f"http://{host}{path}")).valid
    return places


@given(st.one_of(spelled_as_v4(within(PRIVATE)), spelled_as_v6(within(PRIVATE), list(EMBEDDED)), teredo()))
def test_no_spelling_of_a_private_address_is_connected_to(host: str) -> None:
    assert tried(host) == []


@given(spelled_as_v6(within(PUBLIC), [prefix for prefix in EMBEDDED if prefix not in {"::ffff:0:0", "64:ff9b::"}]))
def test_a_tunnel_is_no_public_address_wherever_it_leads(host: str) -> None:
    assert tried(host) == []


@given(st.one_of(spelled_as_v4(within(PUBLIC)), spelled_as_v6(within(PUBLIC), ["::ffff:0:0", "64:ff9b::"])))
def test_every_spelling_of_a_public_address_is(host: str) -> None:
    assert tried(host)


@given(spelled_as_v4(within(PRIVATE)), st.sampled_from(
    ["{}.", "{}..", "user@{}", "user:8.8.8.8@{}", "8.8.8.8@{}", "8.8.8.8\\@{}", "8.8.8.8#@{}", "%{0}", "[{}]",
     "{}%00.example", "{}%2e", "[::1%25lo]", "[fe80::1%25eth0]", "[fe80::{}%eth0]", "{}:80:80", "{}:0", "{}:99999",
     "\uff11{}", "{}\u3002", "\u2460{}", "xn--{}", "{}\t", " {}"]))  # fmt: skip
def test_what_two_readers_could_take_for_two_hosts_is_never_connected_to(host: str, form: str) -> None:
    with no_connection() as places, pytest.raises(DataMissing):
        SOURCE.open(UrlFile(f"http://{form.format(host)}/"))
    # What stands behind # is no host: such a URL means 8.8.8.8, and nothing else.
    assert all(place == ("8.8.8.8", 80) for place in places), places
    assert places == [] or "#" in form


@pytest.fixture(scope="module")
def private() -> Iterator[Server]:
    with serving() as running:
        running.serve(b"private")
        yield running


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(host=st.one_of(spelled_as_v4(st.just(IPv4Address("127.0.0.1"))),
                      spelled_as_v6(st.just(IPv4Address("127.0.0.1")), list(EMBEDDED)),
                      st.sampled_from(["localhost", "LocalHost", "localhost.", "[::1]", "0", "[::]"])))  # fmt: skip
def test_a_redirect_leads_to_no_spelling_of_this_host(private: Server, host: str) -> None:
    with serving() as public:
        asked = len(private.asked)
        guard = AddressGuard([f"{public.host}:{public.port}"])
        fetch = UrlSource(guard, max_bytes=1 << 20, stall_seconds=5.0)
        for status in (301, 302, 303, 307, 308):
            public.redirect(f"http://{host}:{private.port}/file", status=status)
            with pytest.raises(DataMissing):
                fetch.open(UrlFile(public.url()))
        public.redirect(f"//{host}:{private.port}/file")
        assert not fetch.info(UrlFile(public.url())).valid
        assert len(private.asked) == asked


def test_a_name_that_changes_between_check_and_connect_leads_where_it_was_checked(private: Server) -> None:
    """A name server that answers a public address first and loopback afterwards, as DNS rebinding does."""
    answers = ["93.184.216.34", *["127.0.0.1"] * 20]
    asked = threading.Lock()

    def rebinding(host: str, port: int, **options: Any) -> list[Any]:
        if options.get("flags") == socket.AI_NUMERICHOST:
            return socket.getaddrinfo(host, port, **options)
        with asked:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    fetch = UrlSource(AddressGuard(resolver=rebinding), max_bytes=1 << 20, stall_seconds=5.0)
    url = UrlFile(f"http://rebind.example:{private.port}/file")
    with no_connection() as places, pytest.raises(DataMissing, match="reached"):
        fetch.open(url)
    assert places == [("93.184.216.34", private.port)]
    before = len(private.asked)
    with pytest.raises(DataMissing, match="not allowed"):  # the second answer is checked anew
        fetch.open(url)
    assert len(private.asked) == before
