"""How a registry is told who asks: by password, or by a token that its own server gives for one."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from threading import Lock
from typing import Final

import httpx2

from cove.core.errors import ImageRefused
from cove.core.image_names import Reference
from cove.core.job import RegistryLogin

_CHALLENGE: Final = re.compile(r'\s*(?:,\s*)?([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_SCHEME: Final = re.compile(r"(bearer|basic)\b", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,65536}", re.ASCII)
_MAX_ANSWER_BYTES: Final = 1 << 20
_OK: Final = 200
_FIRST_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Access:
    """Who wants to read what."""

    reference: Reference
    #: None: nobody in particular.
    login: RegistryLogin | None
    #: Whether a token may be asked for over plain HTTP.
    insecure: bool


class Login:
    """Gives the ``Authorization`` of one repository; threads share it.

    Args:
        access: Who wants to read what.
        http: Asks for tokens; follows no redirects.
    """

    def __init__(self, access: Access, http: httpx2.Client) -> None:
        self._access = access
        self._http = http
        self._lock = Lock()
        #: Empty as long as the registry did not ask for anything.
        self.header = ""

    def answer(self, challenge: str, refused: str) -> bool:
        """Take a registry's challenge; say whether there is now another header to try.

        Args:
            challenge: ``WWW-Authenticate`` of the answer.
            refused: The header that the registry did not accept; empty for none.

        Raises:
            ImageRefused: The challenge, or the token's server, makes no sense.
            httpx2.HTTPError: The token's server does not answer.
        """
        with self._lock:
            if self.header != refused:  # another thread was here
                return True
            made = self._made(challenge)
            if made in {"", refused}:
                return False
            self.header = made
            return True

    def _made(self, challenge: str) -> str:
        scheme = _SCHEME.match(challenge.strip())
        if scheme is None:
            raise ImageRefused(f"The registry {self._access.reference.registry} asks for a login of an unknown kind.")
        if scheme[1].lower() == "basic":
            return self._basic()
        fields = {
            name.lower(): quoted.replace("\\", "") or plain
            for name, quoted, plain in _CHALLENGE.findall(challenge.strip()[scheme.end() :])
        }
        return f"Bearer {self._token(fields)}"

    def _basic(self) -> str:
        login = self._access.login
        if login is None:
            return ""
        return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()

    def _token(self, fields: dict[str, str]) -> str:
        registry = self._access.reference.registry
        try:
            realm = httpx2.URL(fields.get("realm", ""))
        except httpx2.InvalidURL:
            realm = httpx2.URL("")
        if realm.scheme not in ({"http", "https"} if self._access.insecure else {"https"}) or realm.userinfo:
            raise ImageRefused(f"The registry {registry} sends its clients to no safe place for a token.")
        query = {"scope": f"repository:{self._access.reference.repository}:pull"}
        if fields.get("service"):
            query["service"] = fields["service"]
        basic = self._basic()
        headers = {"Authorization": basic} if basic else {}
        with self._http.stream("GET", realm.copy_merge_params(query), headers=headers) as answer:
            if answer.status_code >= _FIRST_SERVER_ERROR:
                raise httpx2.ReadError("the server of tokens cannot answer now")
            if answer.status_code != _OK:
                raise ImageRefused(
                    f"The registry {registry} refuses the login.", hint="Check the user and the password."
                )
            return _token_in(bounded(answer, _MAX_ANSWER_BYTES), registry)


def bounded(answer: httpx2.Response, limit: int) -> bytes:
    """Read a small answer.

    Raises:
        ImageRefused: It is not small.
    """
    content = bytearray()
    for piece in answer.iter_raw():
        content += piece
        if len(content) > limit:
            raise ImageRefused(f"The registry's answer is larger than {limit >> 20} MiB, which is allowed for it.")
    return bytes(content)


def _token_in(content: bytes, registry: str) -> str:
    try:
        given = json.loads(content)
    except (ValueError, RecursionError):
        given = None
    token = (given.get("token") or given.get("access_token")) if isinstance(given, dict) else None
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise ImageRefused(f"The registry {registry} gave no token that can be used.")
    return token
