"""Takes http and https URLs apart, strictly: what two readers could understand differently is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

MAX_URL: Final = 8192
"""Characters of a URL."""

_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]", re.ASCII)
_PORTS: Final = {"http": 80, "https": 443}
_SAFE_PATH: Final = "/%:@!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True)
class WebUrl:
    """A URL in its parts. All but the scheme are secrets."""

    scheme: str
    #: Lower case, without brackets.
    host: str = field(repr=False)
    port: int = field(repr=False)
    #: Path and query, percent-encoded, beginning with ``/``.
    target: str = field(repr=False)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Give what decides whether two URLs belong to one server."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Give the value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """Give the path, percent-encoded."""
        return self.target.partition("?")[0]


def own_mark(provider: str) -> str:
    """Give what a provider writes into ``Via`` (RFC 9110, 7.6.3) of all that it asks, to know its own requests again.

    Args:
        provider: Its address.
    """
    return f"1.1 cove-{provider.lower().removeprefix('0x')}"


def parse_url(text: str) -> WebUrl:
    """Take a URL apart.

    Raises:
        ValueError: It is no http or https URL, has a user name in it, or characters that do not belong there; the text
            says which, without the URL.
    """
    if len(text) > MAX_URL:
        raise ValueError(f"a URL of at most {MAX_URL} characters")
    if _FORBIDDEN.search(text):
        raise ValueError("a URL without blanks, backslashes and control characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("a well-formed URL") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise ValueError("a URL that begins with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("a URL without user name and password; send them as a header")
    host = parts.netloc.removesuffix(f":{parts.netloc.rpartition(':')[2]}") if _has_port(parts.netloc) else parts.netloc
    if _HOST.fullmatch(host) is None or port == 0:
        raise ValueError("a URL with a host name in ASCII (write other names in their xn-- form) and a port above 0")
    target = quote(parts.path or "/", safe=_SAFE_PATH) + (f"?{quote(parts.query, safe=_QUERY)}" if parts.query else "")
    return WebUrl(scheme, host.strip("[]").lower(), port or _PORTS[scheme], target)


def joined(base: WebUrl, location: str) -> WebUrl:
    """Give the URL that a redirect's ``Location`` means.

    Raises:
        ValueError: As :func:`parse_url`.
    """
    if len(location) > MAX_URL or _FORBIDDEN.search(location):
        raise ValueError("a well-formed URL")
    return parse_url(urljoin(f"{base.scheme}://{base.authority}{base.target}", location))


def with_parameters(url: WebUrl, parameters: str) -> WebUrl:
    """Add a consumer's parameters to the query.

    A parameter that the owner's URL has already is not added: its value is the owner's to choose.

    Args:
        url: As the owner wrote it.
        parameters: JSON object as text; values that are no texts are sent as JSON.

    Raises:
        ValueError: It is no JSON object.
    """
    given = json.loads(parameters)
    if not isinstance(given, Mapping):
        raise ValueError("a JSON object")  # noqa: TRY004 - the caller's text is malformed, no type is wrong
    path, _, query = url.target.partition("?")
    taken = {name.casefold() for name, _ in parse_qsl(query, keep_blank_values=True)}
    added = [(name, _as_parameter(value)) for name, value in given.items() if name.casefold() not in taken]
    if not added:
        return url
    more = urlencode(added, errors="replace")
    return WebUrl(url.scheme, url.host, url.port, f"{path}?{query}&{more}" if query else f"{path}?{more}")


def _has_port(netloc: str) -> bool:
    return ":" in netloc.rpartition("]")[2]


def _as_parameter(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


_QUERY: Final = _SAFE_PATH + "?"
