"""Signs requests to S3 with AWS signature version 4 (AWS: "Using the Authorization Header")."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, quote

from cove.core.weburl import WebUrl

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "s3"
_UNRESERVED: Final = "-_.~"
EMPTY: Final = hashlib.sha256(b"").hexdigest()
"""Digest of no body."""


@dataclass(frozen=True, slots=True)
class AwsKey:
    """What signs; all of it is secret."""

    region: str = field(repr=False)
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


def signed_headers(
    method: str, url: WebUrl, headers: tuple[tuple[str, str], ...], key: AwsKey, now: float, *, body: str = EMPTY
) -> tuple[tuple[str, str], ...]:
    """Give the headers that sign a request.

    Args:
        method: ``GET``, ``HEAD`` or ``PUT``.
        url: Its path is signed as it stands: percent-encoded once, as S3 wants it.
        headers: Others of the request that shall be signed too.
        key: Whose request it is.
        now: Unix time in seconds; the server refuses a time that is more than 15 minutes off.
        body: sha256 of the request's body, hex.
    """
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = (("x-amz-content-sha256", body), ("x-amz-date", moment))
    signed = sorted(
        (name.lower(), " ".join(value.split())) for name, value in (("host", url.authority), *headers, *added)
    )
    names = ";".join(name for name, _ in signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed)
    asked = "\n".join((method, url.path, _canonical_query(url), lines, names, body))
    scope = f"{moment[:8]}/{key.region}/{_SERVICE}/aws4_request"
    text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(asked.encode()).hexdigest()))
    signature = hmac.new(_signing_key(key, moment[:8]), text.encode(), "sha256").hexdigest()
    credential = f"{key.access_key_id}/{scope}"
    authorization = f"{_ALGORITHM} Credential={credential},SignedHeaders={names},Signature={signature}"
    return (*added, ("Authorization", authorization))


def encoded_path(text: str) -> str:
    """Give an object's key as a path, percent-encoded as S3 does it before it compares signatures."""
    return quote(text, safe=f"/{_UNRESERVED}")


def _canonical_query(url: WebUrl) -> str:
    parameters = parse_qsl(url.target.partition("?")[2], keep_blank_values=True)
    encoded = sorted((quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _signing_key(key: AwsKey, day: str) -> bytes:
    found = f"AWS4{key.secret_access_key}".encode()
    for part in (day, key.region, _SERVICE, "aws4_request"):
        found = hmac.new(found, part.encode(), "sha256").digest()
    return found
