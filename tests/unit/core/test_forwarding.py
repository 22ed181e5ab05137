from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.forwarding import (
    address_of,
    client_address,
    client_key,
    is_trusted,
    last_host,
    last_scheme,
    parse_network,
)

TRUSTED = tuple(map(parse_network, ("127.0.0.1", "10.0.0.0/8", "fd00::/8")))
PROXIES = st.sampled_from(["127.0.0.1", "10.1.2.3", "10.255.0.1:4711", "fd00::7", "[fd00::8]:80", "::ffff:10.0.0.9"])
STRANGERS = st.one_of(
    st.ip_addresses().filter(lambda one: not is_trusted(address_of(str(one)), TRUSTED)).map(str),
    st.sampled_from(["198.51.100.7", "2001:db8::1"]),
)
ANYTHING = st.text(st.characters(codec="latin-1"), max_size=300)


@given(peer=STRANGERS, header=ANYTHING)
def test_nobody_else_is_believed(peer: str, header: str) -> None:
    assert client_address(peer, header, TRUSTED) == peer
    assert client_address("127.0.0.1", header, ()) == "127.0.0.1"


@given(peer=PROXIES, made_up=ANYTHING, client=STRANGERS, between=st.lists(PROXIES, max_size=10))
def test_the_client_is_the_right_most_address_that_is_no_proxy(
    peer: str, made_up: str, client: str, between: list[str]
) -> None:
    found = client_address(peer, ",".join([made_up, client, *between]), TRUSTED)
    assert address_of(found) == address_of(client)


@given(peer=PROXIES, header=ANYTHING)
def test_whatever_a_proxy_sends_an_address_comes_out(peer: str, header: str) -> None:
    assert address_of(client_address(peer, header, TRUSTED)) is not None


@given(header=st.text(st.characters(codec="latin-1", exclude_characters=","), max_size=80))
def test_what_is_no_address_is_not_believed(header: str) -> None:
    if address_of(header) is None:
        assert client_address("127.0.0.1", f"198.51.100.7, {header}, 10.0.0.1", TRUSTED) == "10.0.0.1"


@pytest.mark.parametrize("header", ["", ",", "unknown", "127.0.0.1", "1.2.3", "10.0.0.1:", "[::1", "1" * 70_000])
def test_a_header_of_proxies_or_of_nothing_leaves_the_last_proxy(header: str) -> None:
    assert client_address("10.0.0.1", header, TRUSTED) in {"10.0.0.1", "127.0.0.1"}


def test_a_chain_of_proxies_that_never_ends_is_followed_a_while() -> None:
    assert client_address("127.0.0.1", "198.51.100.7," + "10.0.0.1," * 100_000 + "10.0.0.2", TRUSTED) == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("socket", "socket"),
    ],
)
def test_a_client_is_an_address_or_an_ipv6_site(peer: str, key: str) -> None:
    assert client_key(peer) == key


@given(address=st.ip_addresses(v=6), last=st.integers(0, (1 << 64) - 1))
def test_no_address_of_a_site_is_another_client(address: ipaddress.IPv6Address, last: int) -> None:
    neighbour = ipaddress.IPv6Address(int(address) >> 64 << 64 | last)
    if address.ipv4_mapped is None and neighbour.ipv4_mapped is None:
        assert client_key(str(address)) == client_key(str(neighbour))


def test_the_nearest_proxy_says_scheme_and_host() -> None:
    assert (last_scheme("https"), last_scheme("http, HTTPS "), last_scheme("ftp"), last_scheme("")) == (
        "https", "https", None, None,
    )  # fmt: skip
    assert last_host("evil.example, cove.example:8443") == "cove.example:8443"
    assert last_host("[2001:db8::1]:80") == "[2001:db8::1]:80"


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a@b", "a:b", "a:123456", "ä", "a\r\nb", "a" * 254, "[::1", "a?x"])
def test_a_host_that_is_none_is_ignored(host: str) -> None:
    assert last_host(host) is None


@pytest.mark.parametrize("text", ["", "proxy", "10.0.0.1/8", "10.0.0.0/33", "::/129"])
def test_a_network_that_is_none_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"as 10\.0\.0\.7 or 10\.0\.0\.0/8"):
        parse_network(text)
