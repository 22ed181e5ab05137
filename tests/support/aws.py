"""A server's side of AWS signature version 4, written from the request as it came: by what rules S3 lets it in."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from tests.support.http_server import Asked, Server

KEY_ID = "AKIDEXAMPLE"
SECRET_KEY = "a/Secret+s3cret"
REGION = "eu-central-1"


def lets_in(asked: Asked, secrets: Mapping[str, str], *, now: float) -> bool:
    """Say whether a request is signed by a key that is known, for this moment and for just what it asks."""
    given = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w{64})",
        asked.headers.get("authorization", ""),
    )
    if given is None or given[1] not in secrets:
        return False
    day, region, names = given[2], given[3], given[4].split(";")
    moment = asked.headers["x-amz-date"]
    at = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    amazon = {name for name in asked.headers if name.startswith("x-amz-")}
    if abs(at - now) > 900 or not moment.startswith(day) or not {"host", *amazon} <= set(names):
        return False
    if asked.headers["x-amz-content-sha256"] != hashlib.sha256(asked.body).hexdigest():
        return False
    path, _, query = asked.target.partition("?")
    canonical = f"{asked.method}\n{path}\n{'&'.join(sorted(query.split('&')))}\n"
    for name in names:
        canonical += f"{name}:{asked.headers[name]}\n"
    canonical += f"\n{';'.join(names)}\n{asked.headers['x-amz-content-sha256']}"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = b"AWS4" + secrets[given[1]].encode()
    for step in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{moment}\n{day}/{region}/s3/aws4_request\n{hashed}"
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), given[5])


def keep_out(server: Server, path: str, secrets: Mapping[str, str], *, now: float) -> None:
    """Let nobody ask for a path but who signs."""
    behind = server.handlers[path]

    def answer(connection: object, asked: Asked) -> None:
        if lets_in(asked, secrets, now=now):
            behind(connection, asked)  # type: ignore[arg-type]
        else:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]

    server.handlers[path] = answer
