"""One exchange with a server: bounded, and with every failure as a class of :mod:`cove.client.errors`."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn, TypeVar

import httpx2
from pydantic import BaseModel, TypeAdapter, ValidationError

from cove.client.errors import BadAnswer, NotReachable, TooLarge, UrlWrong, refusal
from cove.wire import ErrorBody

MAX_ANSWER: Final = 64 << 20
_MAX_ERROR: Final = 1 << 20
_MAX_SENTENCE: Final = 500
_CHUNK: Final = 256 << 10
_FIRST_ERROR: Final = 300
_LAST_PORT: Final = 65535
_USER: Final = re.compile(r"(?<=//)[^/]*@")
_WORDS: Final[Mapping[int, str]] = {
    401: "The server wants a valid signature.",
    403: "The server forbids it.",
    404: "There is no such thing on the server.",
    413: "The request is too large for the server.",
    429: "The server is asked too often.",
    502: "The service behind the server's proxy does not answer.",
    503: "The server cannot answer now.",
    504: "The service behind the server's proxy does not answer.",
}

Model = TypeVar("Model")
Parameters = Mapping[str, str | int | bool | None]


class Transport:
    """Sends requests to one base URL.

    Args:
        base_url: ``http://host:port``, with or without a path before the API's.
        timeout: Seconds to wait for a connection, and for the next bytes.

    Raises:
        UrlWrong: It is no such URL.
    """

    def __init__(self, base_url: str, timeout: float) -> None:
        self.base_url = base_url.rstrip("/")
        #: The same for people: a password in it is hidden.
        self.shown = _USER.sub("", self.base_url)
        if not _is_base(self.base_url):
            raise UrlWrong(f"{self.shown!r} is no URL of a server.", hint="It should look like http://127.0.0.1:8030")
        self._http = httpx2.Client(timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Parameters | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[httpx2.Response]:
        """Send a request and give the answer's head; its bytes are read by the caller.

        Raises:
            NotReachable: Nothing answered, or it broke off.
            ServerRefused: The answer is an error.
        """
        parameters = {key: _text(value) for key, value in (query or {}).items() if value is not None}
        try:
            with self._http.stream(
                method, self.base_url + path, params=parameters, content=body, headers=dict(headers or {})
            ) as answer:
                if answer.status_code >= _FIRST_ERROR:
                    _refuse(answer)
                yield answer
        except httpx2.TimeoutException:
            raise NotReachable(f"{self.shown} did not answer in time.", hint="Try again, or check the URL.") from None
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.InvalidURL) as problem:
            raise NotReachable(
                f"{self.shown} cannot be reached: {_reason(problem)}.",
                hint="Check the URL and that Cove runs there.",
            ) from None

    def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Parameters | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        limit: int = MAX_ANSWER,
    ) -> bytes:
        """Send a request and give the whole answer.

        Raises:
            TooLarge: The answer has more than ``limit`` bytes.
        """
        headers = {"Content-Type": content_type} if body is not None else {}
        with self.stream(method, path, query=query, body=body, headers=headers) as answer:
            return bounded(answer, limit)

    def ask(
        self,
        shape: type[Model] | TypeAdapter[Model],
        method: str,
        path: str,
        *,
        query: Parameters | None = None,
        document: BaseModel | Mapping[str, object] | None = None,
    ) -> Model:
        """Exchange JSON and give the answer as ``shape``.

        Raises:
            BadAnswer: The answer is not of this shape.
        """
        content = self.fetch(method, path, query=query, body=None if document is None else _json(document))
        adapter: TypeAdapter[Model] = shape if isinstance(shape, TypeAdapter) else TypeAdapter(shape)
        try:
            return adapter.validate_json(content)
        except ValidationError:
            raise BadAnswer(
                f"What answers at {self.shown} does not speak Cove's API ({method} {path}).",
                hint="Check the URL, and that client and server are of one version.",
            ) from None


def bounded(answer: httpx2.Response, limit: int) -> bytes:
    """Read an answer's bytes, at most ``limit``.

    Raises:
        TooLarge: There are more.
    """
    parts = bytearray()
    for chunk in answer.iter_bytes(_CHUNK):
        parts += chunk
        if len(parts) > limit:
            raise TooLarge(f"The answer has more than {limit} bytes.")
    return bytes(parts)


def _is_base(url: str) -> bool:
    """Say whether paths can be put behind a URL, and a server be asked for them."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    found = parsed.scheme in {"http", "https"} and bool(parsed.host) and "%" not in parsed.host
    port = 1 if parsed.port is None else parsed.port
    return found and 0 < port <= _LAST_PORT and not parsed.query and not parsed.fragment


def _json(document: BaseModel | Mapping[str, object]) -> bytes:
    if isinstance(document, BaseModel):
        return document.model_dump_json(exclude_none=True).encode()
    return json.dumps(document).encode()


def _text(value: str | int | bool | None) -> str:  # noqa: FBT001 - a parameter's value
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _reason(problem: Exception) -> str:
    if isinstance(problem, httpx2.ConnectError):
        if "WRONG_VERSION_NUMBER" in str(problem):
            return "what answers there does not speak TLS, so that its URL begins with http://"
        return str(problem).split("]")[-1].strip().rstrip(".").lower() or "no connection"
    if isinstance(problem, httpx2.DecodingError):
        return "its answer is damaged"
    return (
        "the connection broke off"
        if isinstance(problem, httpx2.NetworkError | httpx2.ProtocolError)
        else "no connection"
    )


def _refuse(answer: httpx2.Response) -> NoReturn:
    """Raise what an error answer says."""
    status = answer.status_code
    try:
        body = ErrorBody.model_validate_json(bounded(answer, _MAX_ERROR))
    except (ValidationError, TooLarge):
        body = ErrorBody()
    fields: dict[str, list[str]] = {}
    source: Mapping[str, Any] = body.errors or (body.error if isinstance(body.error, dict) else {})
    for field, texts in source.items():
        fields[field] = [texts] if isinstance(texts, str) else list(texts)
    raise refusal(
        status,
        code=body.code or "",
        fields=fields,
        text=_sentence(status, body, fields),
        hint=body.hint,
        retry_after=_seconds(answer),
    )


def _sentence(status: int, body: ErrorBody, fields: Mapping[str, list[str]]) -> str:
    if fields:
        text = "; ".join(f"{field}: {', '.join(texts)}" for field, texts in fields.items())
    elif isinstance(body.error, str) and body.error:
        text = body.error
    elif body.message:
        text = body.message
    elif status < 400:  # noqa: PLR2004 - the redirects
        text = "The server sends elsewhere, which is not followed: use the URL it means."
    else:
        text = _WORDS.get(status, f"The server answered with status {status}.")
    return text[:_MAX_SENTENCE]


def _seconds(answer: httpx2.Response) -> float | None:
    value = answer.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 8 else None  # noqa: PLR2004 - digits
