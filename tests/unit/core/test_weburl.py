from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.weburl import WebUrl, joined, parse_url, with_parameters


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://Host", WebUrl("http", "host", 80, "/")),
        ("HTTPS://host:8443/a/b?c=d#e", WebUrl("https", "host", 8443, "/a/b?c=d")),
        ("http://[::1]:80/", WebUrl("http", "::1", 80, "/")),
        ("http://host/%20é?ü=1", WebUrl("http", "host", 80, "/%20%C3%A9?%C3%BC=1")),
        ("http://0x7f.1/", WebUrl("http", "0x7f.1", 80, "/")),
        ("https://host:/", WebUrl("https", "host", 443, "/")),
    ],
)
def test_urls_are_taken_apart(text: str, url: WebUrl) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "", "host", "//host/", "ftp://host/", "file:///etc/passwd", "http://", "http:///path", "http://user@host/",
        "http://user:password@host/", "http://host@evil/", "http://evil\\@host/", "http://host\\/", "http://ho st/",
        "http://host/\r\nX: 1", "http://host/a b", "http://host:99999/", "http://host:0/", "http://host:-1/",
        "http://host:80:80/", "http://[::1/", "http://[fe80::1%25eth0]/", "http://é/", "http://\uff11/",
        "http://host/\ud800", "http://host/" + "a" * 8192, "http://host:80a/", "http://ho%73t/",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        parse_url(text)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    for candidate in (text, f"http://{text}", f"http://h/{text}"):
        try:
            url = parse_url(candidate)
        except ValueError:
            continue
        assert url.target.startswith("/")
        assert url.target.isascii()
        assert not set(url.target) & set(" \r\n\t")


def test_authority_and_origin() -> None:
    assert parse_url("http://[::1]:81/").authority == "[::1]:81"
    assert parse_url("https://h:443/").authority == "h"
    assert parse_url("https://h/").origin == parse_url("https://H:443/x").origin
    assert parse_url("https://h/").origin != parse_url("http://h:443/").origin


def test_redirects_are_relative_to_where_they_come_from() -> None:
    base = parse_url("https://h:81/a/b?c")
    assert joined(base, "d") == parse_url("https://h:81/a/d")
    assert joined(base, "//other/x") == parse_url("https://other/x")
    assert joined(base, "http://other:82/") == parse_url("http://other:82/")
    for wrong in ("ftp://x/", "http://u:p@x/", "\0", "javascript:1"):
        with pytest.raises(ValueError, match="URL"):
            joined(base, wrong)


def test_parameters_never_replace_the_owners() -> None:
    url = parse_url("http://h/p?table=public&x=")
    assert with_parameters(url, '{"TABLE": "secret", "x": 1}') == url
    assert with_parameters(url, '{"a b": "c&d", "n": 1.5, "l": [1]}').target == (
        "/p?table=public&x=&a+b=c%26d&n=1.5&l=%5B1%5D"
    )
    assert with_parameters(parse_url("http://h"), '{"a": "\\ud800é"}').target == "/?a=%3F%C3%A9"
    assert with_parameters(url, "{}") == url
    with pytest.raises(ValueError, match="object"):
        with_parameters(url, "[]")


def test_urls_do_not_show() -> None:
    assert "s3cret" not in repr(parse_url("https://s3cret:1/s3cret?s3cret"))
