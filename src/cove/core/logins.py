"""What a consumer gives to log in at the registry of a private image (Ocean Node's ``encryptedDockerRegistryAuth``)."""

from __future__ import annotations

import base64
import json
from typing import Final

from cove.core.errors import Invalid
from cove.core.job import RegistryLogin

FIELD: Final = "encryptedDockerRegistryAuth"
_MAX_BYTES: Final = 64 << 10


def parse_login(plain: bytes) -> RegistryLogin:
    """Read a login: ``{"username", "password"}``, or ``{"auth"}`` with the base64 of ``username:password``.

    Raises:
        Invalid: It is neither; the text never quotes it.
    """
    try:
        given = json.loads(plain) if len(plain) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise _wrong("should hold a JSON object")
    username, password = given.get("username"), given.get("password")
    if not username and not password and isinstance(given.get("auth"), str):
        try:
            username, _, password = base64.b64decode(given["auth"], validate=True).decode().partition(":")
        except ValueError:
            raise _wrong("should hold an auth that is the base64 of username:password") from None
    if not isinstance(username, str) or not isinstance(password, str) or not username or not password:
        raise _wrong("should hold a username and a password, or auth")
    if ":" in username or not (username + password).isprintable():
        raise _wrong("should hold a username without a colon, and no control characters")
    return RegistryLogin(username, password)


def _wrong(text: str) -> Invalid:
    return Invalid({FIELD: [f"The {FIELD} {text}."]}, hint="Encrypt the JSON object to the provider's public key.")
