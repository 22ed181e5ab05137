"""Requests made from the OpenAPI document: as schemathesis draws them, and with what this Cove knows put into them."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from schemathesis.core.transport import Response
from starlette.types import ASGIApp

Json = dict[str, Any]
BASE = "http://cove"


@dataclass(frozen=True)
class Wanted:
    """A request as it was drawn, every part of it as data."""

    method: str
    #: With names of parameters in it.
    path: str
    query: Json
    #: Bytes, JSON, or nothing.
    body: Any


class Sent(dict[str, Any]):
    """Arguments of a request to the HTTP library."""

    def prepared(self) -> requests.PreparedRequest:
        """Give the bytes and headers of it."""
        return requests.Request(**{name: value for name, value in self.items() if name in _PARTS}).prepare()

    def told(self) -> str:
        """Give it in short, for a report."""
        body = self.get("json", self.get("data"))
        return f"{self['method']} {self['url']} {self.get('params') or ''} {str(body)[:1500]}"


_PARTS = {"method", "url", "params", "json", "data", "files", "headers", "cookies"}


@dataclass
class Known:
    """What a service knows, so that requests get past the checks of form, and who signs."""

    #: Values that may stand under a field's name, anywhere.
    values: Mapping[str, Sequence[Any]]
    #: Complete and good requests of an operation, by its label; signature and nonce are added.
    good: Mapping[str, Callable[[], Json]]
    #: Parts of the text that an operation's signature covers; what begins with = stands there as it is, and what
    #: begins with + behind the nonce.
    signed: Mapping[str, tuple[str, ...]]
    #: Field of the account, where it is not consumerAddress.
    account_field: Mapping[str, str]
    account: str
    sign: Callable[[str], str]
    token: str
    next_nonce: Callable[[], int]
    chance: random.Random

    def variants(self, label: str, wanted: Wanted) -> Iterator[Sent]:
        """Give a drawn request with known values in it; the same signed; and good ones with drawn fields in them."""
        path = re.sub(r"\{(\w+)\}", lambda found: str(self.chance.choice(self.values[found[1]])), wanted.path)
        if isinstance(wanted.body, bytes):
            headers = {"Content-Type": "application/octet-stream"}
            query = _as_query(self._filled(wanted.query))
            yield Sent(method=wanted.method, url=BASE + path, params=query, data=wanted.body, headers=headers)
            return
        in_body = isinstance(wanted.body, dict)
        known = self._filled(wanted.body if in_body else wanted.query)
        for fields in (known, *self._proven(label, known), *self._grafted(label, known), *self._grafted(label, known)):
            rest = {"method": wanted.method, "url": BASE + path, "headers": self._headers(label, fields)}
            yield Sent(**rest, json=fields, params=wanted.query) if in_body else Sent(**rest, params=_as_query(fields))

    def _grafted(self, label: str, drawn: Json) -> Iterator[Json]:
        if label in self.good:
            good = copy.deepcopy(self.good[label]())
            _graft(good, drawn, self.chance)
            yield from self._proven(label, good) if label in self.signed else (good,)

    def _filled(self, value: Any, name: str = "") -> Any:
        if name in self.values and self.chance.random() < 0.8:
            return self.chance.choice(self.values[name])
        if isinstance(value, dict):
            return {key: self._filled(entry, key) for key, entry in value.items()}
        if isinstance(value, list):
            return [self._filled(entry) for entry in value[:5]]
        return value

    def _proven(self, label: str, fields: Json) -> Iterator[Json]:
        if label not in self.signed:
            return
        account = self.account_field.get(label, "consumerAddress")
        proven = {**fields, account: self.account, "nonce": str(self.next_nonce())}
        parts = self.signed[label]
        text = "".join(part[1:] if part[0] == "=" else str(_at(proven, part)) for part in parts if part[0] != "+")
        text += proven["nonce"] + "".join(part[1:] for part in parts if part[0] == "+")
        proven["signature"] = self.sign(text) if self.chance.random() < 0.7 else ""
        yield proven

    def _headers(self, label: str, fields: Json) -> dict[str, str]:
        headers = {} if fields.get("signature") or label not in self.signed else {"AuthToken": self.token}
        if label.endswith(("/download", "/computeResult")):
            extra = (
                {},
                {"Range": "bytes=0-3"},
                {"Range": "bytes=-1"},
                {"Range": "bytes=99999-"},
                {"If-None-Match": "*"},
            )
            headers |= self.chance.choice(extra)
        return headers


def _graft(good: Json, drawn: Json, chance: random.Random) -> None:
    """Put one or two drawn fields into a good request, at any depth."""
    for name in chance.sample(sorted(drawn), min(len(drawn), chance.randint(1, 2))):
        if isinstance(good.get(name), dict) and isinstance(drawn[name], dict) and drawn[name] and chance.random() < 0.7:
            _graft(good[name], drawn[name], chance)
        else:
            good[name] = drawn[name]


def _at(fields: Json, dotted: str) -> Any:
    value: Any = fields
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else value


def _as_query(fields: Json) -> Json:
    return {name: _text(value) for name, value in fields.items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def send(loop: asyncio.AbstractEventLoop, app: ASGIApp, sent: Sent) -> Response:
    """Have an application answer a request, in the loop that it lives in."""
    return loop.run_until_complete(_answer(app, sent.prepared()))


async def _answer(app: ASGIApp, request: requests.PreparedRequest) -> Response:
    parts = urlsplit(str(request.url))
    content = request.body or b""
    body = content.encode() if isinstance(content, str) else content
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
        "scheme": "http", "path": unquote(parts.path), "raw_path": parts.path.encode(), "root_path": "",
        "query_string": parts.query.encode(), "client": ("127.0.0.1", 1), "server": ("cove", 80),
        "headers": [(name.lower().encode(), _bytes(value)) for name, value in request.headers.items()],
    }  # fmt: skip
    status, headers, parts_of_body = 0, {}, []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def sent(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            for name, value in message["headers"]:
                headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        else:
            parts_of_body.append(message.get("body", b""))

    await app(scope, receive, sent)
    return Response(status, headers, b"".join(parts_of_body), request, 0.0, verify=False)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
